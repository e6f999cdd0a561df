"""Carries levels between a gpio-sim chip and the world's lines: outputs are watched, inputs are pulled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bms_daemon.sim.gpio import INPUTS, OUTPUTS, Board, SimLines
from bms_daemon.sim.rig.gpio_sim import GpioSim


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of the chip, and whether its logical sense is turned round."""

    offset: int
    active_low: bool = False


class Pins:
    """``board``: what an output does when nobody drives it. A Pi's keeps its level, a BeagleBone's goes inactive."""

    def __init__(self, chip: GpioSim, pins: Mapping[str, Pin], lines: SimLines, board: Board) -> None:
        self.board = board
        self._chip, self._pins, self._lines = chip, pins, lines
        self._outputs = {role: pins[role] for role in OUTPUTS if role in pins}
        self._seen = dict.fromkeys(self._outputs, False)
        lines.on_edge(self._show)
        for role in INPUTS:
            self._show(role, lines.levels.get(role, False))
        for pin in self._outputs.values():
            chip.pull(pin.offset, pin.active_low)

    def look(self) -> None:
        """Tell the world which outputs have moved."""
        levels = {role: self._chip.level(pin.offset) ^ pin.active_low for role, pin in self._outputs.items()}
        changed = {role: level for role, level in levels.items() if self._seen[role] is not level}
        if not changed:
            return
        self._seen = levels
        self._lines.write(changed)
        if self.board == "pi":
            for role, level in changed.items():
                self._chip.pull(self._pins[role].offset, level ^ self._pins[role].active_low)

    def let_go(self) -> None:
        """What a cold start of the board does to outputs that it had kept."""
        for pin in self._outputs.values():
            self._chip.pull(pin.offset, pin.active_low)

    def _show(self, role: str, level: bool) -> None:
        if (pin := self._pins.get(role)) is not None:
            self._chip.pull(pin.offset, level ^ pin.active_low)
