"""Faults of the rig that open the pack, and how much later than its bound a kernel in a process may show it."""

from __future__ import annotations

from dataclasses import dataclass, field

MARGIN_S = 0.3  # timers are a few ms late there, and processes now and then more


@dataclass(frozen=True)
class Fault:
    """A fault by its name in the rig. ``bound_s`` as ``bms-daemon check --timing`` has it for the shipped file."""

    row: str
    name: str
    code: str
    bound_s: float
    args: dict[str, object] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)
