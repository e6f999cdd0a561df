"""State of charge: it finds a wrong start, a biased sensor, says honestly what it knows, and bears any input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimation.cell_bench import RATED_AH, cell_of, drive, follow, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState, finite, start, step, with_capacity
from bms_daemon.estimation.soc_filter import FAST, SLOW
from bms_daemon.estimation.tuning import Tuning

NMC, LFP = cell_of("nmc"), cell_of("lfp")
NAN = float("nan")
DRIVE_A = drive(3600)
TRUE_SOC, TRUE_V = simulate(DRIVE_A)


def one(value: float) -> np.ndarray:
    return np.array([value])


def reading(current_a: float, cell_v: float, dt_s: float = 1.0, temp_degc: float = 25.0) -> Reading:
    return Reading(dt_s, one(current_a), one(cell_v), one(temp_degc))


def settled(cell: Cell = NMC, soc: float = 0.5) -> SocState:
    """A state that has seen a cell at rest for a minute."""
    volts = float(cell.ocv_v(one(soc), one(25.0))[0])
    return follow(cell, np.zeros(60), np.full(60, volts), soc)[-1]


def errors(states: list[SocState]) -> np.ndarray:
    return np.array([float(state.soc[0]) for state in states]) - TRUE_SOC


def test_a_drive_is_followed_to_half_a_point() -> None:
    assert np.abs(errors(follow(NMC, DRIVE_A, TRUE_V, 0.9))).max() < 0.005


@pytest.mark.parametrize("wrong", [-0.2, 0.1])
def test_a_wrong_start_is_found_within_three_minutes_and_stays_found(wrong: float) -> None:
    assert np.abs(errors(follow(NMC, DRIVE_A, TRUE_V, 0.9 + wrong)))[180:].max() < 0.03


def test_an_unknown_start_under_load_is_found_too() -> None:
    assert np.abs(errors(follow(NMC, DRIVE_A, TRUE_V, None)))[180:].max() < 0.03


@pytest.mark.parametrize("bias_a", [-RATED_AH / 60.0, RATED_AH / 60.0])
def test_a_biased_current_sensor_is_recognised_by_its_sign_and_does_not_carry_the_state_away(bias_a: float) -> None:
    states = follow(NMC, DRIVE_A + bias_a, TRUE_V, 0.9)
    assert np.abs(errors(states))[600:].max() < 0.015
    assert states[-1].filter.mean[1, 0] * bias_a > 0.0


def test_the_error_lies_within_two_sigma_and_the_uncertainty_is_not_a_blanket() -> None:
    states = follow(NMC, DRIVE_A + 0.03, TRUE_V + 0.004, 0.75)
    sigma = np.array([float(state.soc_sigma[0]) for state in states])
    assert np.mean(np.abs(errors(states))[600:] < 2.0 * sigma[600:]) > 0.9
    assert sigma[600:].max() < 0.02


def test_a_flat_curve_tells_little_and_the_estimator_knows() -> None:
    flat, steep = settled(LFP, 0.5), settled(NMC, 0.5)
    assert flat.soc_sigma[0] > 3.0 * steep.soc_sigma[0]


def test_cells_side_by_side_are_estimated_as_each_alone() -> None:
    currents, volts = np.array([-3.0, 1.0]), np.array([3.5, 3.9])
    both = Reading(1.0, currents, volts, np.array([25.0, 5.0]))
    together = step(NMC, start(NMC, both), both)
    for cell, degc in enumerate((25.0, 5.0)):
        single = reading(float(currents[cell]), float(volts[cell]), temp_degc=degc)
        alone = step(NMC, start(NMC, single), single)
        assert together.soc[cell] == pytest.approx(alone.soc[0], abs=1e-12)
        assert together.soc_sigma[cell] == pytest.approx(alone.soc_sigma[0], abs=1e-12)


def test_a_cell_whose_current_nobody_knows_goes_blind_alone() -> None:
    """And keeps what a current moves; the one beside it is counted as if there were no other."""
    first = Reading(1.0, np.array([-3.0, -3.0]), np.array([3.29, 3.29]), np.full(2, 25.0))
    half = replace(first, current_a=np.array([-2.0, NAN]))
    known = start(LFP, first, np.full(2, 0.6))
    for _ in range(30):
        known = step(LFP, known, first)
    after = step(LFP, known, half).filter
    beside = step(LFP, known, replace(first, current_a=np.array([-2.0, -2.0]))).filter
    blind = step(LFP, known, replace(first, current_a=np.full(2, NAN))).filter
    for name in ("mean", "cov", "pair_v", "branch", "noise", "current_a", "usual", "capacity_ah", "strange"):
        now, counted, unseen = (getattr(each, name) for each in (after, beside, blind))
        assert now[..., 0] == pytest.approx(counted[..., 0], rel=1e-9, abs=1e-15), name
        assert now[..., 1] == pytest.approx(unseen[..., 1], rel=1e-9, abs=1e-15), name
    for name in ("mean", "cov", "pair_v", "branch", "current_a", "usual"):
        assert getattr(beside, name)[..., 1] != pytest.approx(getattr(blind, name)[..., 1], rel=1e-9, abs=1e-15), name


@pytest.mark.parametrize("soc", [0.02, 0.3, 0.97])
def test_an_unknown_start_at_rest_is_where_the_voltage_says(soc: float) -> None:
    first = start(NMC, reading(0.0, float(NMC.ocv_v(one(soc), one(25.0))[0])))
    assert first.soc[0] == pytest.approx(soc, abs=0.01)
    assert first.soc_sigma[0] < 0.03


def test_an_unknown_start_on_the_plateau_stays_uncertain() -> None:
    first = start(LFP, reading(0.0, float(LFP.ocv_v(one(0.5), one(25.0))[0])))
    assert first.soc_sigma[0] > 0.1


def test_a_full_cell_is_seen_as_full_whatever_somebody_said() -> None:
    assert start(LFP, reading(0.0, 3.42), one(0.6)).soc[0] == pytest.approx(1.0, abs=0.02)


def test_a_start_that_nothing_speaks_for_is_anything() -> None:
    first = start(NMC, reading(NAN, NAN))
    assert (first.soc[0], first.soc_sigma[0]) == pytest.approx((0.5, 1.0))


def test_a_start_that_somebody_knows_well_is_believed_and_a_missing_one_is_not() -> None:
    """At 0.55 the voltage rises by 1.1 V over a whole charge; a sigma of 1 % is worth 11 mV."""
    volts = float(NMC.ocv_v(one(0.55), one(25.0))[0])
    sure, vague = (start(NMC, reading(0.0, volts), one(0.53), one(sigma)) for sigma in (0.002, 0.1))
    assert sure.soc[0] == pytest.approx(0.53, abs=0.006)
    assert vague.soc[0] == pytest.approx(0.55, abs=0.002)
    unknown = start(NMC, reading(0.0, volts), one(NAN), one(0.002))
    assert unknown.soc[0] == pytest.approx(0.55, abs=0.005)
    assert np.isfinite(start(NMC, reading(0.0, volts), one(0.53), one(0.0)).filter.cov).all()
    doubtless = start(NMC, reading(0.0, volts), one(0.53), one(NAN))
    assert doubtless.soc_sigma[0] == unknown.soc_sigma[0], "a sigma that is none makes the value none"


def test_an_aged_cell_is_counted_with_its_own_capacity_and_expected_with_its_own_resistance() -> None:
    first = reading(-3.0, NAN)
    aged = start(NMC, first, one(0.5), capacity_ah=one(0.8 * RATED_AH), growth=one(1.5))
    assert aged.filter.capacity_ah[0] == pytest.approx(0.8 * RATED_AH)
    assert np.exp(aged.filter.mean[[FAST, SLOW], 0]) == pytest.approx([1.5, 1.5])
    assert np.exp(aged.filter.usual[:, 0]) == pytest.approx([1.5, 1.5])
    after = step(NMC, aged, Reading(1.0, one(-3.0), one(NAN), one(25.0), one(-90.0)))
    assert after.soc[0] - 0.5 == pytest.approx(-90.0 / 3600.0 / (0.8 * RATED_AH))
    assert after.published[0] == pytest.approx(after.soc[0])
    new = start(NMC, first, one(0.5))
    assert (new.filter.capacity_ah[0], *new.filter.usual[:, 0]) == (RATED_AH, 0.0, 0.0)


def test_another_capacity_moves_no_state_of_charge_and_the_same_one_nothing() -> None:
    before = follow(NMC, DRIVE_A[:300], TRUE_V[:300], 0.9)[-1]
    after = with_capacity(before, one(0.9 * RATED_AH))
    assert (after.soc[0], after.soc_sigma[0], after.published[0]) == (
        before.soc[0],
        before.soc_sigma[0],
        before.published[0],
    )
    assert after.filter.capacity_ah[0] == 0.9 * RATED_AH
    assert with_capacity(after, one(0.9 * RATED_AH)) is after


def test_charge_that_somebody_counted_in_between_is_what_moved() -> None:
    before = settled()
    after = step(NMC, before, Reading(1.0, one(0.0), one(NAN), one(25.0), one(-90.0)))
    bias_a = float(before.filter.mean[1, 0])
    own_ah = float(before.filter.capacity_ah[0]) / (1.0 - float(before.filter.mean[2, 0]))
    assert after.soc[0] - before.soc[0] == pytest.approx((-90.0 - bias_a) / 3600.0 / own_ah)
    assert after.published[0] == pytest.approx(after.soc[0])
    assert after.filter.current_a[0] == 0.0


@pytest.mark.parametrize("mean_a", [NAN, 1000.0])
def test_a_mean_that_nobody_knows_hides_what_flowed(mean_a: float) -> None:
    before = settled()
    after = step(NMC, before, Reading(1.0, one(0.0), one(NAN), one(25.0), one(mean_a)))
    assert after.soc[0] == before.soc[0]
    assert after.soc_sigma[0] > before.soc_sigma[0]


def test_a_count_stands_where_the_last_sample_is_missing_and_its_voltage_is_left_aside() -> None:
    before = settled()
    silent = step(NMC, before, Reading(1.0, one(NAN), one(3.0), one(25.0), one(-9.0)))
    assert silent.soc[0] - before.soc[0] == pytest.approx(-9.0 / 3600.0 / RATED_AH, rel=0.02)
    assert silent.unusable[0]


def test_numbers_that_are_none_are_noticed() -> None:
    good = settled()
    assert finite(good)
    for name in ("mean", "cov", "pair_v"):
        broken = getattr(good.filter, name).copy()
        broken[-1] = NAN
        assert not finite(replace(good, filter=replace(good.filter, **{name: broken})))


@pytest.mark.parametrize(
    "bad",
    [
        reading(NAN, 3.6),
        reading(float("inf"), 3.6),
        reading(1000.0, 3.6),
        reading(-1000.0, NAN),
        reading(NAN, 3.6, dt_s=3600.0),
        reading(-3.0, 3.6, dt_s=3600.0, temp_degc=NAN),
    ],
)
def test_what_nobody_saw_moves_nothing_and_widens_the_uncertainty(bad: Reading) -> None:
    before = settled()
    silent = replace(bad, cell_v=one(NAN))
    after = step(NMC, before, silent)
    assert after.soc[0] == before.soc[0]
    assert after.soc_sigma[0] > before.soc_sigma[0]
    assert after.unusable[0]


@pytest.mark.parametrize("cell_v", [NAN, 0.0, 1.0, 9.0, -3.6, float("inf")])
def test_an_impossible_voltage_leaves_the_counting_alone(cell_v: float) -> None:
    before = settled()
    after = step(NMC, before, reading(-3.6, cell_v))
    counted = (0.5 * -3.6 - float(before.filter.mean[1, 0])) / 3600.0 / NMC.capacity_ah
    assert after.soc[0] - before.soc[0] == pytest.approx(counted, rel=0.02)


def test_one_wrong_voltage_among_good_ones_hardly_moves_the_state() -> None:
    before = settled()
    assert abs(step(NMC, before, reading(0.0, 3.3)).soc[0] - before.soc[0]) < 0.002


@pytest.mark.parametrize("dt_s", [0.0, -1.0, NAN])
def test_time_that_does_not_pass_changes_nothing(dt_s: float) -> None:
    before = settled()
    assert step(NMC, before, reading(-3.0, 3.5, dt_s=dt_s)) is before


def test_the_published_value_moves_at_a_bounded_rate() -> None:
    states = follow(NMC, DRIVE_A, TRUE_V, 0.7)
    published = np.array([float(state.published[0]) for state in states])
    counted = np.abs(DRIVE_A[1:]) / 3600.0 / RATED_AH
    assert np.all(np.abs(np.diff(published)) <= counted + Tuning().publish_per_s + 1e-12)
    assert abs(published[-1] - states[-1].soc[0]) < 1e-9


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
anything = st.one_of(NUMBERS, st.sampled_from([1000.0, -1000.0, 3.6, 0.0, 1e308]))
steps_s = st.one_of(NUMBERS, st.sampled_from([0.0, -5.0, 1.0, 3600.0, 1e-9]))


@settings(max_examples=150, deadline=None)
@given(
    lfp=st.booleans(),
    soc=st.one_of(st.none(), st.floats(allow_nan=False)),
    samples=st.lists(st.tuples(steps_s, anything, anything, anything), min_size=1, max_size=25),
)
def test_nothing_makes_the_state_infinite_or_leave_its_bounds(
    lfp: bool, soc: float | None, samples: list[tuple[float, float, float, float]]
) -> None:
    cell = LFP if lfp else NMC
    (_, *first), *rest = samples
    state = start(cell, Reading(0.0, *(one(value) for value in first)), None if soc is None else one(soc))
    for dt_s, *values in rest:
        state = step(cell, state, Reading(dt_s, *(one(value) for value in values)))
    for array in (state.filter.mean, state.filter.cov, state.filter.pair_v, state.filter.noise, state.published):
        assert np.isfinite(array).all()
    assert 0.0 <= state.soc[0] <= 1.0
    assert 0.0 <= state.published[0] <= 1.0
    assert 0.0 < state.soc_sigma[0] <= 1.0
    assert (np.diagonal(state.filter.cov[:, :, 0]) >= 0.0).all()
