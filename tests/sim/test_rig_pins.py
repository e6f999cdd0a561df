"""What results on a Pi and a BeagleBone stand on: levels between a chip's pins and the world's lines."""

from __future__ import annotations

import asyncio

import pytest
from rig_bench import PINS, Chip, pins_on

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.gpio import INPUTS, OUTPUTS, Board, SimLines
from bms_daemon.sim.rig.pins import KEPT, PERIOD_S


@pytest.mark.parametrize("role", ["main", "precharge"], ids=["active high", "active low"])
@pytest.mark.parametrize(("board", "kept"), [("pi", True), ("beaglebone", False)])
def test_an_output_that_nobody_drives_any_more(board: Board, kept: bool, role: str) -> None:
    async def main() -> None:
        chip, lines, pin = Chip(), SimLines(board), PINS[role]
        pins = pins_on(chip, lines, board)
        assert chip.level(pin.offset) is pin.active_low, "at first nobody drives it, and it is inactive"
        chip.driven[pin.offset] = not pin.active_low
        pins.look()
        assert lines.levels[role]
        del chip.driven[pin.offset]
        pins.look()
        assert lines.levels[role] is kept

    run_manual(main())


def test_an_output_that_was_driven_inactive_stays_so_on_a_pi() -> None:
    async def main() -> None:
        chip, lines = Chip(), SimLines("pi")
        pins = pins_on(chip, lines)
        for level in (True, False):
            chip.driven[17] = level
            pins.look()
        del chip.driven[17]
        pins.look()
        assert not lines.levels["main"]

    run_manual(main())


def test_each_change_is_seen_once_and_with_its_time() -> None:
    async def main() -> None:
        chip, lines = Chip(), SimLines("pi")
        pins = pins_on(chip, lines)
        pins.look()
        for wanted in ({17: True, 27: False}, {17: True, 27: False}, {17: False, 27: False}):
            await asyncio.sleep(0.25)
            chip.driven = wanted
            pins.look()
        assert sorted(pins.trace) == [(0.25, "main", True), (0.25, "precharge", True), (0.75, "main", False)]
        assert lines.writes == 2
        assert (lines.levels["main"], lines.levels["precharge"]) == (False, True)

    run_manual(main())


def test_what_is_kept_of_the_changes_is_bounded() -> None:
    async def main() -> None:
        chip = Chip()
        pins = pins_on(chip, SimLines("pi"))
        for turn in range(KEPT + 10):
            chip.driven[17] = turn % 2 == 0
            pins.look()
        assert len(pins.trace) == KEPT

    run_manual(main())


@pytest.mark.parametrize(("role", "offset", "turned"), [("alert", 16, False), ("main_aux", 23, True)])
def test_an_input_is_pulled_to_what_the_circuit_says(role: str, offset: int, turned: bool) -> None:
    chip, lines = Chip(), SimLines("pi")
    pins_on(chip, lines)
    assert chip.pulls[offset] is turned
    lines.set_input(role, True)
    assert chip.pulls[offset] is not turned
    lines.set_input(role, False)
    assert chip.pulls[offset] is turned


def test_an_input_that_is_high_before_the_chip_is_there_is_pulled_up() -> None:
    chip, lines = Chip(), SimLines("pi")
    lines.set_input("alert", True)
    pins_on(chip, lines)
    assert chip.pulls[16]


def test_a_line_that_is_not_wired_is_nobodys() -> None:
    chip, lines = Chip(), SimLines("pi")
    pins_on(chip, lines, pins={})
    for role in INPUTS:
        lines.set_input(role, True)
    assert not chip.pulls
    assert set(lines.levels) == {*OUTPUTS, *INPUTS}


def test_lateness_is_the_longest_wait_for_a_look_and_starts_anew_on_request() -> None:
    async def main() -> None:
        pins = pins_on(Chip(), SimLines("pi"))
        await asyncio.sleep(3.0)
        assert pins.late_s() == 0.0, "before the first look nothing is late"
        for wait_s in (0.0, PERIOD_S, 0.1, PERIOD_S):
            await asyncio.sleep(wait_s)
            pins.look()
        assert pins.late_s(reset=True) == pytest.approx(0.1 - PERIOD_S)
        await asyncio.sleep(PERIOD_S)
        pins.look()
        assert pins.late_s() == pytest.approx(0.0, abs=1e-9)
        await asyncio.sleep(0.05)
        assert pins.late_s() == pytest.approx(0.05 - PERIOD_S), "a look that is still to come"

    run_manual(main())
