"""What tells the bq76942 and the bq769142 from a bq76952: cell inputs, device number, time of a measurement loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """``inputs`` that exist, from 1. ``number``: its device number; None where nobody has published it."""

    inputs: tuple[int, ...]
    number: int | None
    loop_s: float


PARTS = {
    "bq76952": Part(tuple(range(1, 17)), 0x7695, 0.069),
    "bq76942": Part(tuple(range(1, 11)), 0x7694, 0.045),
    "bq769142": Part((*range(1, 13), 14, 16), None, 0.063),
}


def other(part: str, number: int) -> str:
    """Why a device number cannot be this part's; empty when it can."""
    known = {each.number: name for name, each in PARTS.items() if each.number is not None}
    wanted = PARTS[part].number
    if number == wanted or (wanted is None and number not in known):
        return ""
    return f"device number 0x{number:04X} is {'a ' + known[number] + ', ' if number in known else ''}no {part}"
