"""What a configuration says about the wiring, read by the rig itself: which nodes to serve, and what is behind them.

Read from the plain table, not through the daemon's loader: the rig shall find what that one misreads.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from bms_daemon.sim.derive import world_of
from bms_daemon.sim.gpio import INPUTS, OUTPUTS, Board
from bms_daemon.sim.rig.pins import Pin
from bms_daemon.sim.settings import WorldSettings

DEV = "/dev/"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Device names without /dev/, GPIO lines by role, and the pack behind them. ``shunt`` may be a CAN interface."""

    afe: str
    shunt: str | None
    label: str
    names: dict[int, str]
    pins: dict[str, Pin]
    world: WorldSettings


def read(config: Path, board: Board = "pi", current_a: float = -20.0, soc: float = 0.6) -> Wiring:
    """The wiring for a configuration file. Raises OSError, ValueError, KeyError."""
    table = tomllib.loads(config.read_text(encoding="utf-8"))
    gpio = table["gpio"]
    lines = {role: gpio[role] for role in (*OUTPUTS, *INPUTS) if role in gpio}
    pins = {role: Pin(_offset(line["line"]), bool(line.get("active_low"))) for role, line in lines.items()}
    return Wiring(
        afe=table["afe"]["bus"].removeprefix(DEV),
        shunt=table["shunt"]["port"].removeprefix(DEV) if "shunt" in table else None,
        label=gpio["chip"],
        names={pins[role].offset: str(line["line"]) for role, line in lines.items()},
        pins=pins,
        world=world_of(table, board, current_a, soc),
    )


def _offset(line: str) -> int:
    """Offset on the chip of a line whose name ends with a number: GPIO17 is 17, P8_11 is 11."""
    found = re.search(r"\d+$", line)
    if found is None:
        raise ValueError(f"the rig knows lines named GPIOn or Pm_n, not {line!r}")
    return int(found[0])
