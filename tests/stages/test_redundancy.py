"""Which of two sensors is suspected, by what the cells' voltage says of each current."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages.stage_builders import CELLS, Feed, FullAfe, FullShunt, channel, scan, settings

from bms_daemon import model as m
from bms_daemon.config.driver_tables import ShuntTable
from bms_daemon.config.pack_cell import pack_cell
from bms_daemon.config.senses import Senses, Source, spare
from bms_daemon.stages.redundancy import Sources
from bms_daemon.stages.redundancy import vote as vote_on
from bms_daemon.stages.validate import SourceAges, ValidateState, validate
from bms_daemon.stages.witness import Tally, Verdict, Witness, span_ohm, vote

D = m.Doubt
NAN = float("nan")
OHM = 0.0005  # of a cell of 100 Ah
STEPS_A = (-10.0, -40.0, -12.0, -45.0, -5.0, 20.0, -30.0, 5.0, -60.0, -10.0)  # a second each
QUICK = settings(shunt={"settings": FullShunt(), "period_s": 0.1})
SLOW = settings(shunt={"settings": FullShunt(), "period_s": 1.0})
ALONE = settings(shunt=None)
Wrong = Callable[[float], float]


def right(current_a: float) -> float:
    return current_a


def drive(
    config: Any, afe: Wrong = right, shunt: Wrong = right, seconds: int = 30, steps: Any = STEPS_A, pack: Wrong = right
) -> list[m.Measured]:
    """Scans and messages ten times a second, through wrong sensors; what validation made of the last second."""
    feed, state, ages, seen = Feed(), ValidateState(), SourceAges.of(config), []
    for at in range(seconds * 10):
        now_s, current_a = at * 0.1, steps[at // 10 % len(steps)]
        cell_v = 3.3 + OHM * current_a
        link_v = {"pack_v": pack(CELLS * cell_v)}
        samples = {"cells": scan(cell_v, current_a=afe(current_a), **link_v)}
        if config.shunt is not None and at % round(10 * config.shunt.period_s) == 0:
            samples["shunt"] = m.ShuntReading(shunt(current_a))
        found, state = validate(feed.put(now_s, **samples), state, config, ages, now_s)
        seen.append(found)
    return seen[-10:]


def stuck(_: float) -> float:
    return -20.0


def turned(current_a: float) -> float:
    return -current_a


def tenfold(current_a: float) -> float:
    return 30.0 * current_a


# ------------------------------------------------------------------ two currents
@pytest.mark.parametrize("wrong", [stuck, turned, tenfold])
def test_a_wrong_current_sensor_is_named_and_the_other_is_gone_by(wrong: Wrong) -> None:
    for found in drive(QUICK, afe=wrong):
        assert found.doubts & D.CURRENT_SUSPECT
        assert found.current_a in STEPS_A, "the shunt's"
        assert not found.doubts & D.CURRENT_CONTRADICTED
    for found in drive(QUICK, shunt=wrong):
        assert found.doubts & D.CURRENT_SUSPECT and not found.doubts & D.CURRENT_CONTRADICTED
        assert found.current_a in STEPS_A, "the front end's"


def test_a_suspect_that_has_no_fast_stand_in_is_not_gone_round() -> None:
    """A sensor that speaks once a second protects nobody."""
    for found in drive(SLOW, afe=stuck):
        assert not found.doubts & D.CURRENT_SUSPECT and found.current_a == -20.0
        assert found.doubts & D.CURRENT_CONTRADICTED


def test_an_offset_between_two_currents_has_no_suspect() -> None:
    for found in drive(QUICK, shunt=lambda current_a: current_a + 30.0)[-4:]:
        assert found.doubts & (D.CURRENT_MISMATCH | D.CURRENT_SUSPECT) == D.CURRENT_MISMATCH


def test_a_suspect_that_agrees_again_is_forgotten() -> None:
    calls = iter(range(10_000))
    healed = drive(QUICK, afe=lambda current_a: -20.0 if next(calls) < 300 else current_a, seconds=60)
    assert not any(found.doubts for found in healed)


def test_who_was_spoken_against_while_both_agreed_is_no_suspect_when_they_disagree() -> None:
    sources, healthy = Sources.of(QUICK), Witness(suspect=Source.AFE)
    cells, shunt = channel(scan(), fresh=False), channel(m.ShuntReading(0.0), fresh=False)
    for agreed in (True, False):
        witness = healthy
        if agreed:
            witness, _, _ = vote_on(witness, D.NONE, D.NONE, cells, shunt, sources, QUICK, 1.0)
        _, _, doubts = vote_on(witness, D.NONE, D.CURRENT_MISMATCH, cells, shunt, sources, QUICK, 1.1)
        assert bool(doubts & D.CURRENT_SUSPECT) is not agreed


@pytest.mark.parametrize("config", [QUICK, SLOW, ALONE], ids=["quick", "slow", "alone"])
@given(st.lists(st.floats(-100.0, 50.0), min_size=3, max_size=12))
def test_right_sensors_are_never_doubted(config: Any, steps: list[float]) -> None:
    for found in drive(config, seconds=15, steps=steps):
        assert not found.doubts & (D.CURRENT_SUSPECT | D.CURRENT_CONTRADICTED | D.TERMINALS)


# ------------------------------------------------------------------ one current
@pytest.mark.parametrize(("wrong", "still"), [(stuck, True), (lambda _: 0.0, True), (turned, False)])
def test_a_single_sensor_is_contradicted_by_the_cells(wrong: Wrong, still: bool) -> None:
    for found in drive(ALONE, afe=wrong):
        assert found.doubts & D.CURRENT_CONTRADICTED
        assert bool(found.doubts & D.CURRENT_STUCK) is still


def test_a_voltage_that_relaxes_without_a_current_stops_nothing() -> None:
    """Recordings that hold their rows for half a minute show it in steps, and all of them one way."""
    falling = Tally()
    for _ in range(10):
        falling = falling.heard(Verdict.CONTRADICTS, -0.005)
    assert falling.contradicted and not falling.stuck
    assert falling.heard(Verdict.CONTRADICTS, 0.005).stuck


@pytest.mark.parametrize("current_a", [0.0, -50.0])
def test_a_sensor_that_stands_still_with_its_current_is_healthy(current_a: float) -> None:
    assert not any(found.doubts for found in drive(ALONE, steps=[current_a]))


def test_one_glitch_of_the_voltage_convicts_nobody() -> None:
    """Up, and down again."""
    tally = Tally().heard(Verdict.CONTRADICTS).heard(Verdict.CONTRADICTS)
    assert not tally.contradicted
    assert tally.heard(Verdict.CONTRADICTS).contradicted
    assert not tally.heard(Verdict.EXPLAINS).heard(Verdict.CONTRADICTS).contradicted


@pytest.mark.parametrize(
    ("changed_v", "changed_a", "verdict"),
    [(0.01, 10.0, Verdict.EXPLAINS), (0.01, 101.0, Verdict.SILENT), (0.01, 202.0, Verdict.CONTRADICTS),
     (0.01, 0.53, Verdict.SILENT), (0.01, 0.49, Verdict.CONTRADICTS), (0.01, -10.0, Verdict.CONTRADICTS),
     (-0.01, -10.0, Verdict.EXPLAINS), (0.01, 0.0, Verdict.CONTRADICTS), (0.01, float("nan"), Verdict.SILENT),
     (0.0029, 61.0, Verdict.CONTRADICTS), (0.0029, 59.0, Verdict.SILENT), (0.0, -61.0, Verdict.CONTRADICTS),
     (0.0, float("nan"), Verdict.SILENT)],
)  # fmt: skip
def test_a_change_counts_by_what_the_resistance_can_be(changed_v: float, changed_a: float, verdict: Verdict) -> None:
    """Between 0.1 and 10 mOhm, and between half and twice that nobody knows."""
    assert vote(changed_v, changed_a, abs(changed_v) >= 0.003, (1e-4, 1e-2)) is verdict


def test_the_span_of_resistance_is_the_cell_files_with_room() -> None:
    low_ohm, high_ohm = span_ohm(pack_cell(ALONE))
    assert 1e-5 < low_ohm < OHM < high_ohm < 0.1


# ------------------------------------------------------------------ terminals
@pytest.mark.parametrize(("factor", "apart"), [(1.0, False), (1.05, False), (1.12, True), (0.0, True), (-1.0, True)])
def test_terminals_that_contradict_the_cells_are_told(factor: float, apart: bool) -> None:
    """Four cells of 3.3 V: twice 0.5 V and 1 % of 13.2 V are allowed."""
    for found in drive(ALONE, pack=lambda pack_v: factor * pack_v):
        assert bool(found.doubts & D.TERMINALS) is apart


def test_terminals_that_are_not_known_clear_nothing() -> None:
    """They contradict for ten seconds, and then nobody measures them any more."""
    calls = iter(range(10_000))
    for found in drive(ALONE, pack=lambda pack_v: 0.0 if next(calls) < 100 else NAN):
        assert found.doubts & D.TERMINALS


# ------------------------------------------------------------------ who stands in
FAST, LAZY = {"scan_period_s": 0.05}, {"scan_period_s": 0.2}


class NoCurrent(ShuntTable):
    """Of a sensor that measures something else."""


@pytest.mark.parametrize(
    ("changes", "used", "found"),
    [
        ({"shunt": {"settings": FullShunt(), "period_s": 0.1}}, Source.SHUNT, Source.AFE),
        ({"shunt": {"settings": FullShunt(), "period_s": 0.22}, "afe": FAST}, Source.AFE, Source.SHUNT),
        ({"shunt": {"settings": FullShunt(), "period_s": 0.24}}, Source.AFE, Source.NONE),
        ({"shunt": {"settings": NoCurrent(), "period_s": 0.1}}, Source.AFE, Source.NONE),
        ({"shunt": {"settings": FullShunt(), "period_s": 0.1}, "afe": LAZY}, Source.SHUNT, Source.NONE),
        ({"shunt": None}, Source.AFE, Source.NONE),
    ],
)
def test_only_a_sensor_that_is_fast_enough_stands_in(changes: Any, used: Source, found: Source) -> None:
    """The front end's current is 0.25 s old and comes every 0.1 s; over-current must be answered within 0.5 s."""
    config = settings(**changes)
    assert Senses.of(config).current is used
    assert spare(config, used) is found
    assert spare(config, Source.NONE) is Source.NONE


def test_a_front_end_that_measures_everything_is_the_test_pack() -> None:
    assert "current_a" in FullAfe().measures
