"""Carries levels between a gpio-sim chip and the world's lines: outputs are watched, inputs are pulled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from bms_daemon.sim.gpio import INPUTS, OUTPUTS, Board, SimLines
from bms_daemon.sim.rig.gpio_sim import GpioSim
from bms_daemon.sim.world import loop_time_s

PERIOD_S = 0.004  # from one look to the next
KEPT = 4096  # changes of outputs; the dead-man line alone brings some twenty a second


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of the chip, and whether its logical sense is turned round."""

    offset: int
    active_low: bool = False


class Pins:
    """``board``: what an output does when nobody drives it. A Pi's keeps its level, a BeagleBone's goes inactive.

    ``trace`` holds the newest (time_s, role, level) changes of outputs as ``look`` saw them.
    """

    def __init__(
        self,
        chip: GpioSim,
        pins: Mapping[str, Pin],
        lines: SimLines,
        board: Board,
        clock: Callable[[], float] = loop_time_s,
    ) -> None:
        self.board = board
        self.trace: deque[tuple[float, str, bool]] = deque(maxlen=KEPT)
        self._clock, self._looked_s, self._late_s = clock, inf, 0.0
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
        now_s = self._clock()
        self._late_s, self._looked_s = max(self._late_s, self._overdue_s(now_s)), now_s
        if changed := {role: level for role, level in levels.items() if self._seen[role] is not level}:
            self._seen = levels
            self.trace.extend((now_s, role, level) for role, level in changed.items())
            self._carry(changed)

    def late_s(self, reset: bool = False) -> float:
        """By how much the longest time between two looks was beyond PERIOD_S; ``reset`` starts anew after this."""
        late_s = max(self._late_s, self._overdue_s(self._clock()))
        self._late_s = 0.0 if reset else late_s
        return late_s

    def _overdue_s(self, now_s: float) -> float:
        return now_s - self._looked_s - PERIOD_S

    def _carry(self, changed: Mapping[str, bool]) -> None:
        self._lines.write(changed)
        if self.board == "pi":
            for role, level in changed.items():
                self._chip.pull(self._pins[role].offset, level ^ self._pins[role].active_low)

    def _show(self, role: str, level: bool) -> None:
        if (pin := self._pins.get(role)) is not None:
            self._chip.pull(pin.offset, level ^ pin.active_low)
