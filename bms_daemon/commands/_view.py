"""What the demo shows: a line now and then where there is no terminal."""

from __future__ import annotations

from typing import TextIO

from bms_daemon.config.schema import Settings
from bms_daemon.model import Snapshot

LINE_S = 1.0


class View:
    """Sees every snapshot and shows some of them."""

    def __init__(self, settings: Settings, speed: float, out: TextIO) -> None:
        self._out, self._every_s = out, LINE_S * speed
        self._shown_s = float("-inf")
        self._name = settings.node.name

    def begin(self) -> None:
        print(f"{self._name}: a simulated pack; Ctrl-C ends it in good order", file=self._out, flush=True)

    def see(self, snapshot: Snapshot) -> None:
        if snapshot.now_s - self._shown_s < self._every_s:
            return
        self._shown_s = snapshot.now_s
        print(line(snapshot), file=self._out, flush=True)

    def end(self) -> None:
        print(f"{self._name}: ended", file=self._out, flush=True)


def line(snapshot: Snapshot) -> str:
    """One line of text about a snapshot."""
    scan, limits = snapshot.measured.cells.value, snapshot.limits
    pack = "no cell data" if scan is None else f"{scan.stack_v:6.2f} V {scan.current_a:+7.2f} A"
    soc = f"SOC {100 * snapshot.estimate.soc:5.1f} %" if snapshot.estimate.soc_valid else "SOC unknown"
    worst = snapshot.faults.worst
    fault = f"  {worst.code} ({worst.reaction.name})" if worst else ""
    state = snapshot.control.state.name.lower()
    return f"{state:<10} {pack}  {soc}  limits +{limits.charge_a:.0f}/-{limits.discharge_a:.0f} A{fault}"
