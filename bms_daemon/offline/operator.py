"""The operator that replay plays: when the data are good again it clears, opens, closes. Never a thermal emergency."""

from __future__ import annotations

from collections.abc import Callable

from bms_daemon.model import Doubt, PackState, Quality, Snapshot

LOOK_S = 0.5
NEVER_CLEARED = frozenset({"temperature_critical"})
Ask = Callable[..., str | None]


class Operator:
    """Looks at a snapshot twice a second. ``once``: closes the pack at the start and then leaves it as it is."""

    def __init__(self, ask: Ask, once: bool = False) -> None:
        self._ask, self._once = ask, once
        self._look_s = float("-inf")
        self._done = False

    def see(self, snapshot: Snapshot) -> None:
        if snapshot.now_s < self._look_s or self._done:
            return
        self._look_s = snapshot.now_s + LOOK_S
        state = snapshot.control.state
        if state is PackState.CLOSED:
            self._done = self._once
        elif state in (PackState.STANDBY, PackState.FAULT, PackState.LATCHED) and _good(snapshot):
            self._act(snapshot)

    def _act(self, snapshot: Snapshot) -> None:
        clearable = [code for code in snapshot.faults.latched if code not in NEVER_CLEARED]
        if clearable and not self._once:
            for code in clearable:
                self._ask("clear", code)
        elif snapshot.control.state is PackState.STANDBY:
            self._ask("close" if snapshot.control.armed else "open")


def _good(snapshot: Snapshot) -> bool:
    measured = snapshot.measured
    known = measured.cells.quality is measured.temps.quality is Quality.GOOD
    return known and measured.doubts is Doubt.NONE
