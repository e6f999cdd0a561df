"""The coil gate and its exact times."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.sim.gate import RELEASED, CoilGate


def closed_gate(now_s: float = 1.0) -> CoilGate:
    gate = CoilGate()
    gate.dead_man_edge(now_s)
    gate.drive(now_s, True, False)
    return gate


def test_a_level_without_a_dead_man_energises_nothing() -> None:
    gate = CoilGate()
    gate.drive(0.0, True, True)
    assert gate.coil(1.0) == RELEASED
    assert gate.trace == []


def test_both_coils_follow_their_own_level() -> None:
    gate = CoilGate()
    gate.dead_man_edge(0.0)
    gate.drive(0.01, False, True)
    gate.drive(0.02, True, True)
    gate.drive(0.03, True, False)
    assert gate.trace == [(0.01, False, True), (0.02, True, True), (0.03, True, False)]


def test_the_monostable_drops_out_exactly_200_ms_after_its_last_edge() -> None:
    gate = closed_gate(1.0)
    gate.dead_man_edge(1.1)
    assert gate.next_event_s == pytest.approx(1.3, abs=1e-12)
    assert gate.coil(1.2999).main
    assert not gate.coil(57.0).main
    assert gate.trace[-1] == (pytest.approx(1.3, abs=1e-12), False, False)


def test_the_monostable_is_out_at_its_very_instant() -> None:
    gate = CoilGate(dead_man_s=0.25)
    gate.drive(1.0, True, False)
    gate.dead_man_edge(1.0)
    assert not gate.coil(1.25).main


def test_a_late_edge_shows_the_gap_that_nobody_watched() -> None:
    gate = closed_gate(1.0)
    gate.dead_man_edge(1.5)
    assert [(round(at_s, 9), main) for at_s, main, _ in gate.trace] == [(1.0, True), (1.2, False), (1.5, True)]


OPENERS: dict[str, Callable[[CoilGate], None]] = {
    "level": lambda gate: gate.drive(1.05, False, False),
    "charge pin": lambda gate: gate.allow(1.05, False, True),
    "discharge pin": lambda gate: gate.allow(1.05, True, False),
    "emergency stop": lambda gate: gate.emergency_stop(1.05, False),
    "coil supply": lambda gate: gate.supply(1.05, False),
}


@pytest.mark.parametrize("cause", OPENERS)
def test_every_input_alone_releases_the_coil_at_once(cause: str) -> None:
    gate = closed_gate(1.0)
    OPENERS[cause](gate)
    assert gate.coil(1.05) == RELEASED
    assert gate.released_at(1.01) == 1.05


@pytest.mark.parametrize(
    ("after_s", "released_s"), [(0.5, 0.5), (1.0, 1.2), (1.1, 1.2), (1.2, 1.2), (1.3, 1.3), (1.6, 1.7), (9.0, 9.0)]
)
def test_release_is_found_from_any_instant(after_s: float, released_s: float) -> None:
    gate = closed_gate(1.0)
    gate.coil(1.4)
    gate.dead_man_edge(1.5)
    gate.coil(2.0)
    assert gate.released_at(after_s) == pytest.approx(released_s)


def test_a_coil_that_holds_was_never_released() -> None:
    assert closed_gate(1.0).released_at(1.0) == inf


@given(
    edges=st.lists(st.floats(0.0, 0.4), max_size=30),
    looks=st.lists(st.integers(0, 29), max_size=10),
)
def test_looking_changes_nothing(edges: list[float], looks: list[int]) -> None:
    watched, unwatched = CoilGate(), CoilGate()
    now_s = 0.0
    for gate in (watched, unwatched):
        gate.drive(0.0, True, False)
    for number, gap_s in enumerate(edges):
        if number in looks:
            watched.coil(now_s + gap_s / 2.0)
        now_s += gap_s
        for gate in (watched, unwatched):
            gate.dead_man_edge(now_s)
    assert watched.coil(now_s + 1.0) == unwatched.coil(now_s + 1.0)
    assert watched.trace == unwatched.trace
