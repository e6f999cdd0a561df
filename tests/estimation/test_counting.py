"""Counting charge against closed forms: trapezoids over the scans' own times, gaps that hide what flowed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.estimation.counting import Counting, count, handed_over

GAP_S = 0.3
NAN = math.nan
NOTHING = Counting()


def counted(*scans: tuple[float, float], past: Counting = NOTHING) -> Counting:
    """After scans of (time in s, current in A)."""
    for at_s, current_a in scans:
        past = count(past, at_s, current_a, GAP_S)
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
    assert count(before, 5.1 + dt_s, -80.0, GAP_S) == before


def test_what_was_handed_over_begins_a_new_span_and_keeps_the_totals() -> None:
    before = counted((5.0, -36.0), (5.1, -36.0), (5.5, -36.0))
    after = handed_over(before)
    assert (after.span_s, after.passed_ah, after.blind) == (0.0, 0.0, False)
    assert after.discharged_ah == before.discharged_ah > 0.0
    assert counted((5.6, -36.0), past=after).mean_a == pytest.approx(-36.0)
    assert handed_over(counted((5.7, NAN), past=after)).blind, "the next span begins with an unknown current"


@given(st.lists(st.tuples(st.floats(-1.0, 2.0), st.one_of(st.floats(-1e3, 1e3), st.just(NAN)))))
def test_totals_never_fall_and_never_exceed_what_flowed(steps: list[tuple[float, float]]) -> None:
    counting, at_s, most_a = Counting(), 0.0, 0.0
    for dt_s, current_a in steps:
        at_s += dt_s
        before, counting = counting, count(counting, at_s, current_a, GAP_S)
        most_a = max(most_a, abs(current_a)) if current_a == current_a else most_a
        assert counting.charged_ah >= before.charged_ah and counting.discharged_ah >= before.discharged_ah
        passed_ah = counting.charged_ah + counting.discharged_ah - before.charged_ah - before.discharged_ah
        assert passed_ah <= most_a * GAP_S / 3600.0 + 1e-12
