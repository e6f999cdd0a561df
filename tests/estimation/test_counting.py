"""Counting charge against closed forms: trapezoids over the scans' own times, a sensor's own counter, gaps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.estimation.counting import Counting, Sample, Sight, count, handed_over

GAP_S = 0.3
SIGHT = Sight(GAP_S, bridge_s=60.0, largest_a=100.0)
AS = 1.0 / 3600.0  # Ah of an ampere second
NAN = math.nan
NOTHING = Counting()


def counted(*scans: tuple[float, float], past: Counting = NOTHING) -> Counting:
    """After scans of (time in s, current in A)."""
    for at_s, current_a in scans:
        past = count(past, Sample(at_s, current_a), SIGHT)
    return past


def test_a_ramp_counts_as_its_trapezoid_over_the_scans_own_times() -> None:
    found = counted((5.0, 0.0), (5.2, -90.0), (5.3, -30.0))
    assert found.discharged_ah == pytest.approx((45.0 * 0.2 + 60.0 * 0.1) / 3600.0)
    assert (found.charged_ah, found.passed_ah) == (0.0, -found.discharged_ah)
    assert found.span_s == pytest.approx(0.3)
    assert found.mean_a == pytest.approx(-15.0 / 0.3)


def test_charge_and_discharge_are_counted_apart_and_their_difference_passes() -> None:
    found = counted((0.0, 36.0), (0.1, 36.0), (0.2, -72.0), (0.3, -72.0))
    assert found.charged_ah == pytest.approx(0.001)
    assert found.discharged_ah == pytest.approx(0.0005 + 0.002)
    assert found.passed_ah == pytest.approx(found.charged_ah - found.discharged_ah)


@pytest.mark.parametrize(
    "scans",
    [
        [(0.0, -80.0), (0.31, -80.0)],
        [(0.0, -80.0), (0.1, NAN)],
        [(0.0, NAN), (0.1, -80.0)],
        [(0.0, math.inf), (0.1, 1.0)],
    ],
    ids=["a gap", "unknown now", "unknown before", "infinite"],
)
def test_what_nobody_saw_is_blind_and_counts_nothing(scans: list[tuple[float, float]]) -> None:
    found = counted(*scans)
    assert found.blind
    assert math.isnan(found.mean_a)
    assert (found.charged_ah, found.discharged_ah) == (0.0, 0.0)


@pytest.mark.parametrize("dt_s", [0.0, -5.0])
def test_time_that_stands_or_runs_back_changes_nothing(dt_s: float) -> None:
    before = counted((5.0, -80.0), (5.1, -80.0))
    assert count(before, Sample(5.1 + dt_s, -80.0), SIGHT) == before


def test_what_was_handed_over_begins_a_new_span_and_keeps_the_totals() -> None:
    before = counted((5.0, -36.0), (5.1, -36.0), (5.5, -36.0))
    after = handed_over(before)
    assert (after.span_s, after.passed_ah, after.blind) == (0.0, 0.0, False)
    assert after.discharged_ah == before.discharged_ah > 0.0
    assert counted((5.6, -36.0), past=after).mean_a == pytest.approx(-36.0)
    assert handed_over(counted((5.7, NAN), past=after)).blind, "the next span begins with an unknown current"


# ------------------------------------------------------------------ a counter beside the samples
class Sensor:
    """Current and counter, sampled every 0.1 s. ``shows``: what its counter makes of the charge, in As."""

    def __init__(self, shows: Callable[[float], float] = float, begun_as: float = 36000.0) -> None:
        self.counting, self.at_s, self.charge_as = Counting(), 0.0, begun_as
        self.shows, self.last_a = shows, 0.0

    def flow(self, seconds: float, current_a: float, counted_a: float = NAN) -> None:
        """A constant current; the counter sees ``counted_a`` where it sees something else."""
        for _ in range(round(seconds / 0.1)):
            self.unseen(0.1, 0.5 * (self.last_a + current_a) if counted_a != counted_a else counted_a)
            self.sample(current_a)

    def unseen(self, seconds: float, current_a: float) -> None:
        self.at_s += seconds
        self.charge_as += current_a * seconds

    def sample(self, current_a: float) -> None:
        self.last_a = current_a
        self.counting = count(self.counting, Sample(self.at_s, current_a, self.shows(self.charge_as) * AS), SIGHT)

    @property
    def passed_as(self) -> float:
        return self.counting.passed_ah / AS

    def proven(self) -> Sensor:
        """Seen beside a current for long enough: 31 As and a tenth of it, and begun anew as a count."""
        self.sample(-50.0)
        self.flow(20.0, -50.0)
        self.counting = handed_over(self.counting)
        return self


def test_what_the_counter_saw_between_samples_is_counted() -> None:
    sensor = Sensor()
    sensor.sample(0.0)
    for current_a in range(60):
        sensor.flow(4.0, -current_a, counted_a=-1.04 * current_a)
        apart_as = sensor.passed_as - (sensor.charge_as - 36000.0)
        assert apart_as <= 1.1 + 0.1 * current_a, "to its step and a sample"
    assert apart_as == pytest.approx(1.0 + 5.9, abs=0.3), "and nothing twice"
    assert sensor.counting.discharged_ah == -sensor.counting.passed_ah


def test_what_is_apart_when_a_load_ends_is_let_go_and_is_no_contradiction() -> None:
    sensor = Sensor().proven()
    sensor.flow(100.0, -80.0, counted_a=-81.0)
    sensor.flow(1.0, 0.0)
    before_as = sensor.passed_as
    sensor.flow(10.0, 0.0)
    assert sensor.passed_as == before_as
    assert sensor.counting.counter.agreed_ah > 8000.0 * AS


def test_next_to_nothing_that_a_counter_rounds_otherwise_is_no_contradiction() -> None:
    sensor = Sensor().proven()
    sensor.flow(1.0, 0.0)
    before_as = sensor.passed_as
    sensor.flow(1000.0, 0.0, counted_a=-0.009)
    assert sensor.passed_as - before_as == pytest.approx(-9.0, abs=1.1)
    assert sensor.counting.counter.agreed_ah > 900.0 * AS


def test_a_counter_that_was_right_and_stands_is_not_believed_any_more() -> None:
    sensor = Sensor().proven()
    sensor.flow(5.0, -50.0, counted_a=0.0)
    sensor.unseen(5.0, 0.0)
    sensor.sample(-50.0)
    assert sensor.counting.blind


@pytest.mark.parametrize("counted_a", [0.0, 50.0, -75.0, -40.0], ids=["stands", "wrong sign", "too much", "too little"])
@pytest.mark.parametrize("current_a", [-50.0, -2.0, -0.2])
def test_a_counter_that_contradicts_the_samples_changes_nothing(current_a: float, counted_a: float) -> None:
    sensor = Sensor()
    sensor.sample(current_a)
    sensor.flow(500.0, current_a, counted_a * current_a / -50.0)
    assert sensor.passed_as == pytest.approx(500.0 * current_a)
    before_as = sensor.passed_as
    sensor.unseen(2.0, counted_a * current_a / -50.0)
    sensor.sample(current_a)
    assert sensor.counting.blind and sensor.passed_as == before_as, "and is not believed in a gap"


def test_a_coarse_counter_neither_shakes_the_count_nor_lets_it_drift() -> None:
    sensor = Sensor(shows=math.floor)
    sensor.sample(-0.7)
    before_as, most_as = 0.0, 0.0
    for _ in range(2000):
        sensor.flow(0.1, -0.7)
        most_as, before_as = max(most_as, abs(sensor.passed_as - before_as)), sensor.passed_as
    assert most_as <= 0.07 * 1.11, "no step of an ampere second shows"
    assert sensor.passed_as == pytest.approx(-140.0, abs=1.1)


def test_a_counter_that_is_one_sample_late_is_right() -> None:
    sensor, late = Sensor(), [36000.0]
    sensor.shows = lambda charge_as: (late.append(charge_as), late[-2])[1]
    for current_a in (-90.0, 0.0, 60.0, -10.0) * 10:
        sensor.flow(3.0, current_a)
    sampled = Sensor(shows=lambda charge_as: NAN)
    for current_a in (-90.0, 0.0, 60.0, -10.0) * 10:
        sampled.flow(3.0, current_a)
    assert sensor.passed_as == pytest.approx(sampled.passed_as, abs=1.0)
    assert sensor.counting.counter.agreed_ah > 0.5 * (sampled.counting.charged_ah + sampled.counting.discharged_ah)


@pytest.mark.parametrize("seconds", [0.5, 5.0, 60.0])
@pytest.mark.parametrize("current_a", [-80.0, 80.0, 0.0])
def test_a_gap_is_bridged_by_a_counter_that_was_right(seconds: float, current_a: float) -> None:
    sensor = Sensor().proven()
    sensor.unseen(seconds, current_a)
    sensor.sample(0.0)
    assert not sensor.counting.blind
    assert sensor.passed_as == pytest.approx(seconds * current_a, abs=6.0)
    assert sensor.counting.mean_a == pytest.approx(current_a, abs=6.0 / seconds)
    sensor.flow(5.0, -10.0)
    sensor.unseen(2.0, -10.0)
    sensor.sample(-10.0)
    assert sensor.passed_as == pytest.approx(seconds * current_a - 69.5, abs=7.0), "and another gap is none"


def new_sensor(sensor: Sensor) -> None:
    sensor.charge_as = -50.0


def nothing_proven(sensor: Sensor) -> None:
    sensor.counting = replace(sensor.counting, counter=replace(sensor.counting.counter, agreed_ah=300.0 * AS))


def no_counter(sensor: Sensor) -> None:
    sensor.shows = lambda charge_as: NAN


@pytest.mark.parametrize(
    ("seconds", "current_a", "spoil"),
    [
        (61.0, -50.0, lambda sensor: None),
        (5.0, -101.0, lambda sensor: None),
        (5.0, 0.0, new_sensor),
        (5.0, -50.0, nothing_proven),
        (5.0, -50.0, no_counter),
    ],
    ids=["too long", "more than can flow", "begun anew", "not proven", "no counter"],
)
def test_a_gap_that_the_counter_does_not_tell_stays_dark(
    seconds: float, current_a: float, spoil: Callable[[Sensor], None]
) -> None:
    sensor = Sensor().proven()
    sensor.unseen(seconds, current_a)
    spoil(sensor)
    sensor.sample(-50.0)
    assert sensor.counting.blind and sensor.passed_as == 0.0


def test_a_counter_that_began_close_to_zero_is_believed_once_it_is_far_from_it() -> None:
    """Before that nobody could tell whether it began anew within the gap."""
    sensor = Sensor(begun_as=1000.0).proven()
    sensor.unseen(1.0, -50.0)
    sensor.sample(-50.0)
    assert sensor.charge_as == pytest.approx(-50.0) and sensor.counting.blind


@given(
    st.lists(
        st.tuples(
            st.floats(-1.0, 2.0),
            st.one_of(st.floats(-1e3, 1e3), st.just(NAN)),
            st.one_of(st.floats(-1e4, 1e4), st.just(NAN)),
        )
    )
)
def test_totals_never_fall_and_never_exceed_what_flowed(steps: list[tuple[float, float, float]]) -> None:
    """Whatever a counter says that has proven nothing: by samples, and a share of them more."""
    counting, at_s, most_a = Counting(), 0.0, 0.0
    for dt_s, current_a, charge_ah in steps:
        at_s += dt_s
        before, counting = counting, count(counting, Sample(at_s, current_a, charge_ah), SIGHT)
        most_a = max(most_a, abs(current_a)) if current_a == current_a else most_a
        assert counting.charged_ah >= before.charged_ah and counting.discharged_ah >= before.discharged_ah
        passed_ah = counting.charged_ah + counting.discharged_ah - before.charged_ah - before.discharged_ah
        assert passed_ah <= 1.11 * most_a * GAP_S / 3600.0 + 1e-6
