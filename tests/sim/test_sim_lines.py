"""Simulated GPIO lines."""

from __future__ import annotations

from typing import Literal

import pytest

from bms_daemon.model import BusFault
from bms_daemon.sim.gpio import SimLines


def test_lines_are_inactive_until_written() -> None:
    levels = SimLines().read()
    assert set(levels) == {
        "main", "main_negative", "precharge", "dead_man", "fan", "second_disconnect",
        "main_aux", "main_negative_aux", "precharge_aux", "emergency_stop", "interlock", "alert",
    }  # fmt: skip
    assert not any(levels.values())


def test_written_levels_read_back_and_reach_the_circuit_once() -> None:
    lines = SimLines()
    seen: list[list[str]] = []
    lines.connect(lambda: None, lambda changed: seen.append(sorted(changed)))
    lines.write({"main": True, "dead_man": True})
    lines.write({"main": True, "dead_man": False})
    assert lines.read()["main"] is True
    assert seen == [["dead_man", "main"], ["dead_man"]]


def test_the_world_is_brought_to_the_present_before_a_level_changes() -> None:
    lines = SimLines()
    order: list[str] = []
    lines.connect(lambda: order.append("sync"), lambda changed: order.append("changed"))
    lines.write({"main": True})
    lines.read()
    assert order == ["sync", "changed", "sync"]


@pytest.mark.parametrize("role", ["alert", "main_aux", "horn"])
def test_writing_what_is_no_output_is_a_mistake(role: str) -> None:
    with pytest.raises(ValueError, match=role):
        SimLines().write({role: True})


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="horn"):
        SimLines(roles=("main", "horn"))


def test_edges_of_inputs_call_back_once_a_change() -> None:
    lines = SimLines()
    seen: list[tuple[str, bool]] = []
    lines.on_edge(lambda role, level: seen.append((role, level)))
    for level in (False, True, True, False):
        lines.set_input("alert", level)
    lines.write({"main": True})
    assert seen == [("alert", True), ("alert", False)]


def test_an_input_that_is_not_fitted_stays_silent() -> None:
    lines = SimLines(roles=("main", "dead_man"))
    seen: list[str] = []
    lines.on_edge(lambda role, level: seen.append(role))
    lines.set_input("alert", True)
    assert seen == []
    assert set(lines.read()) == {"main", "dead_man"}


@pytest.mark.parametrize("kind", ["busy", "denied", "gone"])
def test_a_refused_line_raises_and_nothing_of_the_write_happens(kind: str) -> None:
    lines = SimLines()
    lines.refused["main"] = kind
    with pytest.raises(BusFault) as caught:
        lines.write({"fan": True, "main": True})
    assert caught.value.kind == kind
    assert not any(lines.levels.values())


def test_a_stuck_line_lies_to_the_reader_only() -> None:
    lines = SimLines()
    lines.stuck["main"] = True
    assert lines.read()["main"] is True
    assert lines.levels["main"] is False


@pytest.mark.parametrize(("board", "kept"), [("pi", True), ("beaglebone", False)])
@pytest.mark.parametrize("end", ["process_died", "close"])
def test_the_board_decides_what_outlives_the_process(board: Literal["pi", "beaglebone"], kept: bool, end: str) -> None:
    lines = SimLines(board)
    lines.write({"main": True})
    lines.set_input("interlock", True)
    getattr(lines, end)()
    assert lines.levels["main"] is kept
    assert lines.levels["interlock"] is True


def test_a_dead_process_hears_no_edge_and_moves_no_line() -> None:
    lines = SimLines()
    seen: list[str] = []
    lines.on_edge(lambda role, level: seen.append(role))
    lines.process_died()
    lines.set_input("alert", True)
    assert seen == []
    with pytest.raises(BusFault):
        lines.write({"main": True})
