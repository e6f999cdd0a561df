"""Validation: what is believed, how old it is, and what is doubted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages.stage_builders import SETTINGS, Feed, FullShunt, scan, settings, temps

from bms_daemon import model as m
from bms_daemon.config.driver_tables import ShuntTable
from bms_daemon.stages.channel import Ages, Trail, follow, grade
from bms_daemon.stages.validate import SourceAges, ValidateState, validate

NAN = float("nan")
Q = m.Quality
AGES = SourceAges.of(SETTINGS)


class Bench:
    """Runs validation tick by tick on samples that are put in between."""

    def __init__(self, now_s: float = 10.0) -> None:
        self.feed, self.state, self.now_s = Feed(), ValidateState(), now_s

    def tick(self, dt_s: float = 0.1, **values: Any) -> m.Measured:
        """Move on, leave the new samples, validate."""
        self.now_s += dt_s
        self.feed.put(self.now_s, **values)
        return self.look()

    def look(self, **raw: Any) -> m.Measured:
        measured, self.state = validate(replace(self.feed.raw, **raw), self.state, SETTINGS, AGES, self.now_s)
        return measured

    def settled(self) -> Bench:
        for _ in range(5):
            self.tick(cells=scan(), temps=temps())
        return self


# ------------------------------------------------------------------ ages and quality
@pytest.mark.parametrize(
    ("age_s", "quality"),
    [(0.0, Q.GOOD), (0.2, Q.GOOD), (0.21, Q.HELD), (0.3, Q.HELD), (0.31, Q.FAILED), (-0.01, Q.FAILED), (NAN, Q.FAILED)],
)
def test_a_value_is_held_after_two_periods_and_lost_after_three(age_s: float, quality: m.Quality) -> None:
    assert grade(age_s, Ages(0.2, 0.3)) is quality


def test_ages_of_a_period_are_two_and_three_of_it() -> None:
    assert Ages.of_period(0.5) == Ages(1.0, 1.5)


def test_sources_age_at_their_own_periods() -> None:
    config = settings(shunt={"period_s": 2.0}, can={"interface": "virtual", "vcu_timeout_s": 3.0})
    ages = SourceAges.of(config)
    assert (ages.cells.lost_s, ages.temps.lost_s, ages.shunt.lost_s) == pytest.approx((0.3, 3.0, 6.0))
    assert (ages.vcu, ages.pins.lost_s) == (Ages(1.5, 3.0), pytest.approx(0.15))


def test_a_pack_without_a_shunt_is_fine() -> None:
    assert SourceAges.of(settings(shunt=None)).shunt.lost_s == 3.0


def test_nothing_seen_is_failed_and_has_no_value() -> None:
    measured = Bench().look()
    for source in (measured.cells, measured.temps, measured.shunt, measured.pins, measured.vcu):
        assert (source.value, source.quality, source.fresh) == (None, Q.FAILED, False)
    assert measured.current_a != measured.current_a
    assert measured.frozen_s == 0.0


def test_a_failed_sample_keeps_the_last_value_until_it_is_lost() -> None:
    bench = Bench().settled()
    qualities = [bench.tick(0.09, cells="nack").cells for _ in range(4)]
    assert [found.quality for found in qualities] == [Q.GOOD, Q.GOOD, Q.HELD, Q.FAILED]
    assert not any(found.fresh or found.tried for found in qualities)
    assert qualities[0].value is not None
    assert qualities[3].value is None
    assert (qualities[3].bad_run, qualities[3].refused, qualities[3].reason) == (4, 8, "nack")


def test_a_sample_looked_at_twice_is_fresh_once() -> None:
    bench = Bench().settled()
    assert bench.tick(cells=scan()).cells.fresh
    again = bench.look().cells
    assert (again.fresh, again.tried, again.value is not None) == (False, False, True)


@pytest.mark.parametrize("time_s", [5.0, 20.0, NAN], ids=["long ago", "in the future", "never"])
def test_a_new_sample_of_another_time_is_not_fresh(time_s: float) -> None:
    found, _ = follow(Trail(), m.Sample(1.0, time_s, 1), Ages(0.2, 0.3), 10.0, lambda value: (value, ""))
    assert (found.value, found.fresh, found.quality) == (None, False, Q.FAILED)


# ------------------------------------------------------------------ refused scans
ABSENT, MISSING, RANGE, STACK = m.Doubt.CELLS_ABSENT, m.Doubt.CELL_MISSING, m.Doubt.CELL_RANGE, m.Doubt.SUM_STACK


@pytest.mark.parametrize(
    ("bad", "doubt", "reason"),
    [
        (scan(0.0), ABSENT, "every cell reads as absent"),
        (scan(-0.001), ABSENT, "every cell reads as absent"),
        (scan(NAN), ABSENT, "every cell reads as absent"),
        (scan([3.3, 0.0, 3.3, 3.3]), MISSING, "cell 2 reads as absent"),
        (scan([3.3, 3.3, 3.3, NAN]), MISSING, "cell 4 reads as absent"),
        (scan([3.3, 3.3, 3.3]), MISSING, "3 cells answered, 4 are configured"),
        (scan([3.3, 3.3, 5.3, 3.3]), RANGE, "cell 3 reads 5.300 V"),
        (scan([3.3, 3.3, 53.0, 3.3]), RANGE, "cell 3 reads 53.000 V"),
        (scan([0.4, 3.3, 3.3, 3.3]), RANGE, "cell 1 reads 0.400 V"),
        (scan([2e9, 3.3, 3.3, 3.3]), RANGE, "cell 1 reads 2000000000.000 V"),
        (scan([float("inf"), 3.3, 3.3, 3.3]), RANGE, "cell 1 reads inf V"),
        (scan(current_a=NAN), m.Doubt.NONE, "no current in the scan"),
        (scan(was_reset=True), m.Doubt.RESET, "the chip was reset"),
    ],
)
def test_a_scan_that_no_pack_can_give_is_refused(bad: m.AfeScan, doubt: m.Doubt, reason: str) -> None:
    measured = Bench().settled().tick(cells=bad)
    assert (measured.cells.fresh, measured.cells.tried, measured.cells.reason) == (False, True, reason)
    assert measured.doubts == doubt
    assert measured.cells.value is not None
    assert measured.cells.value.cell_v.tolist() == [3.3] * 4


@pytest.mark.parametrize(("stack_v", "doubt"), [(13.7, m.Doubt.NONE), (13.8, STACK), (12.6, STACK), (NAN, STACK)])
def test_a_sum_that_misses_the_stack_is_doubted_and_not_refused(stack_v: float, doubt: m.Doubt) -> None:
    measured = Bench().settled().tick(cells=scan(stack_v=stack_v))
    assert (measured.doubts, measured.cells.fresh) == (doubt, True)


def test_one_over_charged_cell_is_never_voted_away() -> None:
    measured = Bench().settled().tick(cells=scan([3.3, 3.3, 4.9, 3.3], stack_v=13.2))
    assert measured.cells.fresh
    assert measured.cells.value is not None
    assert measured.cells.value.cell_v.max() == 4.9


def test_a_doubt_stands_while_attempts_fail_and_goes_with_the_next_good_scan() -> None:
    bench = Bench().settled()
    bench.tick(cells=scan([3.3, 0.0, 3.3, 3.3]))
    assert bench.tick(cells="crc").doubts == MISSING
    assert bench.tick(cells=scan()).doubts == m.Doubt.NONE


# ------------------------------------------------------------------ settling
def test_the_first_four_scans_after_power_up_are_not_believed() -> None:
    bench = Bench()
    found = [bench.tick(cells=scan()) for _ in range(6)]
    assert [each.cells.value is not None for each in found] == [False] * 4 + [True] * 2
    assert [bool(each.doubts & m.Doubt.SETTLING) for each in found] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("bad", [scan(53.0), scan(was_reset=True), "nack"], ids=["wild", "reset", "failed"])
def test_a_bad_scan_while_settling_starts_the_count_anew(bad: object) -> None:
    bench = Bench()
    for _ in range(3):
        bench.tick(cells=scan())
    bench.tick(cells=bad)
    assert [bench.tick(cells=scan()).cells.fresh for _ in range(5)] == [False] * 4 + [True]


def test_one_spike_costs_one_scan_and_no_settling() -> None:
    bench = Bench().settled()
    assert not bench.tick(cells=scan([3.3, 5.3, 3.3, 3.3])).cells.fresh
    after = bench.tick(cells=scan())
    assert (after.cells.fresh, after.cells.quality, after.cells.bad_run) == (True, Q.GOOD, 0)


@pytest.mark.parametrize("lost", ["failing", "silent"])
def test_a_chip_that_was_lost_settles_anew(lost: str) -> None:
    bench = Bench().settled()
    if lost == "failing":
        for _ in range(4):
            bench.tick(cells="nack")
    else:
        bench.tick(dt_s=0.5)
    assert [bench.tick(cells=scan()).cells.fresh for _ in range(5)] == [False] * 4 + [True]


def test_a_chip_that_was_reset_settles_anew() -> None:
    bench = Bench().settled()
    bench.tick(cells=scan(was_reset=True))
    assert [bench.tick(cells=scan()).cells.fresh for _ in range(5)] == [False] * 4 + [True]


# ------------------------------------------------------------------ conversion proof
def test_a_chip_that_answers_without_converting_is_seen_as_frozen() -> None:
    bench = Bench()
    for count in range(3):
        assert bench.tick(cells=scan(conversions=count)).frozen_s == 0.0
    frozen = [bench.tick(cells=scan(conversions=2)).frozen_s for _ in range(8)]
    assert frozen == pytest.approx([0.1 * i for i in range(1, 9)])
    assert bench.tick(cells=scan(conversions=3)).frozen_s == 0.0


@pytest.mark.parametrize("attempt", ["nack", scan(53.0, conversions=7)])
def test_only_a_new_count_proves_a_conversion(attempt: object) -> None:
    bench = Bench()
    bench.tick(cells=scan(conversions=6))
    found = bench.tick(cells=attempt).frozen_s
    assert found == (pytest.approx(0.1) if attempt == "nack" else 0.0)


# ------------------------------------------------------------------ temperatures
FEW, LOST = m.Doubt.PROBES_FEW, m.Doubt.PROBE_RANGE


@pytest.mark.parametrize(
    ("probes", "kept", "doubts"),
    [
        ((20.0, 21.0, 22.0), (20.0, 21.0, 22.0), m.Doubt.NONE),
        ((20.0, -40.0, 22.0), (20.0, NAN, 22.0), LOST),
        ((20.0, 125.0, 22.0), (20.0, NAN, 22.0), LOST),
        ((20.0, NAN, 22.0), (20.0, NAN, 22.0), LOST),
        ((NAN, -40.0, 22.0), (NAN, NAN, 22.0), LOST | FEW),
        ((20.0,), (20.0,), FEW),
    ],
)
def test_lost_probes_are_blanked_and_too_few_are_told(
    probes: tuple[float, ...], kept: tuple[float, ...], doubts: m.Doubt
) -> None:
    measured = Bench().tick(temps=temps(*probes))
    assert measured.temps.value is not None
    np.testing.assert_array_equal(measured.temps.value.probe_degc, kept)
    assert measured.doubts == doubts


@pytest.mark.parametrize("probes", [[NAN, NAN], [-40.0, 125.0], []], ids=["lost", "open and shorted", "none"])
def test_a_scan_without_a_single_probe_is_refused(probes: list[float]) -> None:
    measured = Bench().tick(temps=m.TempScan(np.array(probes), 30.0))
    assert (measured.temps.fresh, measured.temps.reason) == (False, "no probe is in range")
    assert measured.doubts == LOST | FEW


def test_doubts_of_cells_and_probes_do_not_touch_each_other() -> None:
    bench = Bench().settled()
    bench.tick(temps=temps(20.0, NAN, 22.0))
    assert bench.tick(cells=scan(stack_v=20.0)).doubts == STACK | LOST
    assert bench.tick(temps=temps()).doubts == STACK


def test_a_failed_temperature_scan_clears_no_doubt() -> None:
    bench = Bench()
    bench.tick(temps=temps(20.0, NAN, 22.0))
    assert bench.tick(temps="crc").doubts == LOST


# ------------------------------------------------------------------ shunt
@pytest.mark.parametrize(
    ("shunt_a", "apart"), [(-30.0, False), (-20.0, False), (-36.0, True), (-4.0, True), (4.0, True)]
)
def test_the_shunt_must_lie_in_what_the_afe_saw_of_its_period(shunt_a: float, apart: bool) -> None:
    bench = Bench().settled()
    bench.tick(shunt=m.ShuntReading(0.0))
    bench.tick(shunt=m.ShuntReading(0.0))
    for current_a in (-30.0, -20.0, -10.0):
        bench.tick(cells=scan(current_a=current_a))
    measured = bench.tick(shunt=m.ShuntReading(shunt_a))
    assert (measured.doubts == m.Doubt.CURRENT_MISMATCH) is apart


def test_the_span_of_the_period_before_still_counts_and_older_ones_do_not() -> None:
    bench = Bench().settled()
    bench.tick(cells=scan(current_a=40.0), shunt=m.ShuntReading(0.0))
    bench.tick(cells=scan(current_a=0.0), shunt=m.ShuntReading(40.0))
    assert bench.look().doubts == m.Doubt.NONE
    assert bench.tick(cells=scan(current_a=0.0), shunt=m.ShuntReading(40.0)).doubts == m.Doubt.CURRENT_MISMATCH


def test_a_mismatch_stands_while_the_afe_is_late() -> None:
    bench = Bench().settled()
    bench.tick(shunt=m.ShuntReading(90.0))
    bench.tick(dt_s=0.25, shunt=m.ShuntReading(0.0))
    assert bench.look().doubts & m.Doubt.CURRENT_MISMATCH


def test_a_shunt_is_compared_with_nothing_while_no_scan_came() -> None:
    bench = Bench().settled()
    for _ in range(2):
        found = bench.tick(dt_s=0.05, shunt=m.ShuntReading(0.0))
    assert bench.tick(dt_s=0.05, shunt=m.ShuntReading(90.0)).doubts == found.doubts == m.Doubt.NONE


@pytest.mark.parametrize("current_a", [NAN, float("inf"), float("-inf")])
def test_a_message_without_a_current_is_refused(current_a: float) -> None:
    measured = Bench().tick(shunt=m.ShuntReading(current_a))
    assert (measured.shunt.fresh, measured.shunt.reason) == (False, "no current in the message")


@pytest.mark.parametrize(("by_shunt", "charge_ah"), [(True, -40.0), (False, NAN)])
def test_a_sensors_counter_counts_where_its_current_does(by_shunt: bool, charge_ah: float) -> None:
    config = settings(shunt={"settings": FullShunt() if by_shunt else ShuntTable(), "period_s": 0.05})
    raw = Feed().put(5.0, cells=scan(), shunt=m.ShuntReading(-7.0, charge_ah=-40.0))
    measured, _ = validate(raw, ValidateState(), config, SourceAges.of(config), 5.0)
    assert measured.charge_ah == pytest.approx(charge_ah, nan_ok=True)


# ------------------------------------------------------------------ time
def run_of(lateness_s: list[float]) -> list[float]:
    bench = Bench()
    found = []
    for late_s in lateness_s:
        bench.now_s += 0.02 + late_s
        found.append(bench.look(lateness_s=late_s).late_run_s)
    return found


def test_a_tick_out_of_turn_says_nothing_about_lateness() -> None:
    bench = Bench()
    for late_s, edge in ((0.1, False), (0.1, False), (0.0, True)):
        bench.now_s += 0.1
        assert bench.look(lateness_s=late_s, edge=edge).late_run_s == 0.0
    bench.now_s += 0.1
    assert bench.look(lateness_s=0.1).late_run_s == pytest.approx(0.4)


def test_trips_of_a_scan_that_is_refused_are_seen() -> None:
    bench = Bench()
    tripped = bench.tick(cells=scan(trips=m.Trip.HOST_WATCHDOG))
    assert (tripped.cells.value, tripped.trips) == (None, m.Trip.HOST_WATCHDOG)
    assert bench.tick(cells="nack").trips is m.Trip.HOST_WATCHDOG
    assert bench.tick(cells=scan()).trips is m.Trip.NONE


def test_a_hiccup_is_no_run_of_late_ticks() -> None:
    assert run_of([0.0, 0.5, 0.0, 0.5, 0.5, 0.0]) == [0.0] * 6


def test_three_late_ticks_in_a_row_are_a_run_from_the_firsts_deadline() -> None:
    assert run_of([0.03, 0.03, 0.03])[:2] == [0.0, 0.0]
    assert run_of([0.03, 0.03, 0.03])[2] == pytest.approx(0.03 + 0.05 + 0.05)


def test_half_a_tick_is_not_late() -> None:
    assert run_of([0.01] * 5) == [0.0] * 5


@pytest.mark.parametrize(("step_s", "dt_s"), [(0.02, 0.02), (0.0, 0.0), (-5.0, 0.0), (3600.0, 0.06)])
def test_time_that_stands_jumps_back_or_stalls_is_guarded(step_s: float, dt_s: float) -> None:
    bench = Bench()
    bench.look()
    bench.now_s += step_s
    assert bench.look().dt_s == pytest.approx(dt_s)


def test_the_first_tick_has_no_duration() -> None:
    assert Bench().look().dt_s == 0.0


def test_what_is_not_judged_is_passed_on() -> None:
    can, health, orders = m.CanHealth(1.5, True), m.Health(journal_ok=False), m.Orders(open=True)
    measured = Bench().look(can=can, health=health, orders=orders, lateness_s=0.004)
    assert (measured.can, measured.health, measured.orders, measured.lateness_s) == (can, health, orders, 0.004)


def test_inputs_and_requests_are_believed_until_they_are_old() -> None:
    bench = Bench()
    wish = m.VcuRequest(m.Request.CLOSE, moving=True, charger_present=False)
    measured = bench.tick(pins=m.Pins(interlock_ok=False), vcu=wish)
    assert (measured.pins.value, measured.vcu.value) == (m.Pins(interlock_ok=False), wish)
    bench.now_s += 0.16
    assert (bench.look().pins.value, bench.look().vcu.value) == (None, wish)
    bench.now_s += 0.9
    assert bench.look().vcu.value is None


# ------------------------------------------------------------------ properties
NUMBERS = st.one_of(st.floats(-6.0, 6.0), st.sampled_from([NAN, 3.3, 0.0, 2e9, float("inf"), float("-inf")]))
SCANS = st.builds(
    lambda cells, stack, current, conversions, reset: scan(
        cells, stack_v=stack, current_a=current, conversions=conversions, was_reset=reset
    ),
    st.one_of(st.lists(NUMBERS, min_size=1, max_size=6), st.just([3.3] * 4)),
    NUMBERS,
    NUMBERS,
    st.integers(0, 3),
    st.sampled_from([False, False, False, True]),
)
ATTEMPTS = st.one_of(st.none(), SCANS, st.just(scan()))
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.02, 0.1, 0.25, 1.0]), ATTEMPTS), max_size=30)


@given(STEPS)
def test_no_bad_sample_is_ever_fresh_and_no_old_value_is_ever_shown(
    steps: list[tuple[float, m.AfeScan | None]],
) -> None:
    bench = Bench()
    for dt_s, attempt in steps:
        measured = bench.tick(dt_s, cells=attempt, temps=temps())
        cells = measured.cells
        if cells.fresh:
            assert attempt is not None and cells.value is not None
            assert cells.value.cell_v is attempt.cell_v, "a feed may have numbered its conversion"
        assert (cells.value is None) == (cells.quality is Q.FAILED) == (cells.age_s > 0.3)
        if cells.value is not None:
            assert np.all((cells.value.cell_v >= 0.5) & (cells.value.cell_v <= 5.0))
            assert not cells.value.was_reset
            assert measured.current_a == cells.value.current_a
        else:
            assert measured.current_a != measured.current_a


@given(st.lists(st.lists(st.floats(allow_nan=True), max_size=5), max_size=10))
def test_no_probe_outside_its_range_is_ever_shown(scans: list[list[float]]) -> None:
    bench = Bench()
    for probes in scans:
        shown = bench.tick(temps=m.TempScan(np.array(probes, dtype=np.float64), 30.0)).temps.value
        if shown is not None:
            good = shown.probe_degc[~np.isnan(shown.probe_degc)]
            assert good.size > 0
            assert np.all((good >= -39.0) & (good <= 120.0))


def test_what_a_frozen_chip_says_is_not_known_however_young_it_is() -> None:
    bench = Bench()
    for _ in range(3):
        bench.tick(cells=scan(current_a=20.0), temps=temps())
    found = [bench.tick(cells=scan(current_a=20.0, conversions=2)) for _ in range(9)]
    assert math.isnan(found[-1].current_a)
    assert found[-1].cells.value is found[-1].temps.value is None
    assert (found[-1].cells.quality, found[-1].cells.reason) == (Q.FAILED, "the chip converts no more")
    assert bench.tick(cells=scan(current_a=21.0)).current_a == 21.0


LATE_AFE = settings(shunt={"settings": FullShunt(), "period_s": 0.1})


def test_of_two_currents_the_one_that_shows_it_later_is_compared_with_what_the_other_saw() -> None:
    """The front end's is a quarter of a second old: a step is in its future, and no mismatch."""
    feed, state, ages, found = Feed(), ValidateState(), SourceAges.of(LATE_AFE), []
    for at in range(60):
        now_s = 0.1 * at
        shunt_a, afe_a = -40.0 if at >= 30 else 0.0, -40.0 if at >= 33 else 0.0
        if at >= 50:
            afe_a = -60.0
        raw = feed.put(now_s, cells=scan(current_a=afe_a), shunt=m.ShuntReading(shunt_a))
        measured, state = validate(raw, state, LATE_AFE, ages, now_s)
        found.append(bool(measured.doubts & m.Doubt.CURRENT_MISMATCH))
        assert measured.compared is measured.cells.fresh
    assert not any(found[:50]) and all(found[50:])
