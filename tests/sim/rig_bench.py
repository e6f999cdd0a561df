"""A rig's parts without a kernel: a GPIO chip in memory, and pins, lines and back door on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bms_daemon.sim.assembly import Assembly
from bms_daemon.sim.gpio import Board, SimLines
from bms_daemon.sim.rig.gpio_sim import GpioSim
from bms_daemon.sim.rig.pins import Pin, Pins

PINS = {"main": Pin(17), "precharge": Pin(27, active_low=True), "main_aux": Pin(23, active_low=True), "alert": Pin(16)}


class Chip:
    """What drives a pin, and else what pulls it, decides its level; ``driven`` is the daemon's side."""

    def __init__(self) -> None:
        self.driven: dict[int, bool] = {}
        self.pulls: dict[int, bool] = {}

    def level(self, offset: int) -> bool:
        return self.driven.get(offset, self.pulls.get(offset, False))

    def pull(self, offset: int, high: bool) -> None:
        self.pulls[offset] = high


def pins_on(chip: Chip, lines: SimLines, board: Board = "pi", pins: Mapping[str, Pin] = PINS) -> Pins:
    """Needs a running loop as soon as it looks."""
    return Pins(cast(GpioSim, chip), pins, lines, board)


def pins_of(parts: Assembly) -> tuple[Chip, Pins]:
    """A chip with the pins of a whole installation, its dead-man line included."""
    chip = Chip()
    return chip, pins_on(chip, parts.lines, pins=PINS | {"dead_man": Pin(22)})
