"""The filter's single steps against closed forms."""

from __future__ import annotations

from dataclasses import replace
from math import asinh, exp, log

import numpy as np
import pytest
from estimation.cell_bench import KNEE_C, PAIR_OHM, RATED_AH, SERIES_OHM, TAU_S, cell_of, drive, follow, simulate

from bms_daemon.estimation.soc_filter import (
    BIAS,
    CAPACITY,
    CAPACITY_KEPT,
    FAST,
    HABIT_SOC,
    OFFSET,
    SAG,
    SLOW,
    SOC,
    FilterState,
    begin,
    pass_blind,
    predict,
    recapacitate,
)
from bms_daemon.estimation.soc_voltage import correct, model_v
from bms_daemon.estimation.tuning import Tuning

NMC, LFP, TUNING = cell_of("nmc"), cell_of("lfp"), Tuning()
WARM = np.array([25.0])
SEEN = np.array([True])


def one(value: float) -> np.ndarray:
    return np.array([value])


def fresh(soc: float = 0.5, sigma: float = 0.02, cell=NMC, **rows: float) -> FilterState:  # type: ignore[no-untyped-def]
    state = begin(cell, one(soc), one(sigma), WARM, one(0.0), TUNING)
    mean = state.mean.copy()
    for name, value in rows.items():
        mean[globals()[name]] = value
    return replace(state, mean=mean)


def test_charge_is_counted_by_the_trapezoid_less_the_offset_and_over_the_true_capacity() -> None:
    before = replace(fresh(BIAS=0.2, CAPACITY=0.1), current_a=one(-3.0))
    after = predict(NMC, before, 2.0, one(-1.0), TUNING)
    assert after.mean[SOC, 0] - 0.5 == pytest.approx((-2.0 - 0.2) * 2.0 / 3600.0 / RATED_AH * 0.9)


def test_pairs_follow_the_saturated_current_of_the_sample_before() -> None:
    before = replace(fresh(), current_a=one(-6.0), pair_v=np.array([[0.03], [0.01]]))
    after = predict(NMC, before, 5.0, one(0.0), TUNING)
    knee_a = KNEE_C * RATED_AH
    for pair, (ohm, tau_s) in enumerate(zip(PAIR_OHM, TAU_S, strict=True)):
        keep, end_v = exp(-5.0 / tau_s), ohm * knee_a * asinh(-6.0 / knee_a)
        assert after.pair_v[pair, 0] == pytest.approx(keep * before.pair_v[pair, 0] + (1.0 - keep) * end_v)


def test_the_voltage_is_the_sum_of_its_parts() -> None:
    state = fresh(0.5, cell=LFP, BIAS=0.1, FAST=log(1.2), SLOW=log(0.8), OFFSET=0.004, SAG=-0.003)
    state = replace(state, pair_v=np.array([[0.02], [0.05]]), branch=one(-1.0))
    open_v = float(LFP.ocv_v(one(0.5), WARM)[0])
    wanted = open_v + 1.2 * (SERIES_OHM * 1.9 + 0.02) + 0.8 * 0.05 + 0.004 - 0.003 - 0.01
    assert model_v(LFP, state, one(2.0), WARM)[0] == pytest.approx(wanted)


def test_counting_takes_each_cells_own_capacity() -> None:
    pair = np.array([0.5, 0.5]), np.array([0.02, 0.02]), np.array([25.0, 25.0]), np.array([-3.0, -3.0])
    before = begin(NMC, *pair, TUNING, np.array([RATED_AH, 0.8 * RATED_AH]))
    after = predict(NMC, before, 10.0, pair[3], TUNING)
    moved = -30.0 / 3600.0 / RATED_AH
    assert after.mean[SOC] - 0.5 == pytest.approx([moved, moved / 0.8])
    cross = after.cov[SOC, BIAS] / before.cov[BIAS, BIAS]
    assert cross == pytest.approx([-10.0 / 3600.0 / RATED_AH, -10.0 / 3600.0 / RATED_AH / 0.8])


def test_a_mean_that_somebody_counted_moves_the_charge_and_the_pairs() -> None:
    before = replace(fresh(BIAS=0.2), current_a=one(-6.0), pair_v=np.array([[0.03], [0.01]]))
    after = predict(NMC, before, 5.0, one(0.0), TUNING, one(-2.0))
    assert after.mean[SOC, 0] - 0.5 == pytest.approx(-2.2 * 5.0 / 3600.0 / RATED_AH)
    knee_a = KNEE_C * RATED_AH
    for pair, (ohm, tau_s) in enumerate(zip(PAIR_OHM, TAU_S, strict=True)):
        keep, end_v = exp(-5.0 / tau_s), ohm * knee_a * asinh(-2.2 / knee_a)
        assert after.pair_v[pair, 0] == pytest.approx(keep * before.pair_v[pair, 0] + (1.0 - keep) * end_v)


@pytest.mark.parametrize(("belief", "wanted"), [(0.0, 0.01 / 0.99), (0.03, 0.03), (-0.015, 0.985 / 0.99 - 1.0)])
def test_another_capacity_keeps_the_filters_belief_near_the_new_one(belief: float, wanted: float) -> None:
    before = fresh(CAPACITY=belief)
    cov = before.cov.copy()
    cov[SOC, CAPACITY] = cov[CAPACITY, SOC] = 1e-5
    after = recapacitate(replace(before, cov=cov), one(0.99 * RATED_AH))
    assert after.capacity_ah[0] == 0.99 * RATED_AH
    assert after.mean[CAPACITY, 0] == pytest.approx(wanted)
    assert after.cov[CAPACITY, CAPACITY, 0] == pytest.approx(before.cov[CAPACITY, CAPACITY, 0] / 0.99**2)
    assert after.cov[SOC, CAPACITY, 0] == after.cov[CAPACITY, SOC, 0] == pytest.approx(1e-5 / 0.99)
    assert after.mean[SOC, 0] == 0.5


def test_a_belief_is_taken_along_by_a_capacity_far_away() -> None:
    assert recapacitate(fresh(), one(0.8 * RATED_AH)).mean[CAPACITY, 0] == pytest.approx(CAPACITY_KEPT)


def test_what_is_not_known_grows_as_the_assumptions_say() -> None:
    before = replace(fresh(), current_a=one(-3.0))
    cov = before.cov.copy()
    cov[FAST, FAST], cov[SLOW, SLOW] = 0.02**2, 0.3**2
    before = replace(before, cov=cov)
    after = predict(NMC, before, 10.0, one(-3.0), TUNING)
    grown = np.diagonal(after.cov[:, :, 0] - before.cov[:, :, 0])
    moved = 30.0 / 3600.0 / RATED_AH
    share = 10.0 / 3600.0 / RATED_AH
    by_bias, by_capacity = share**2 * before.cov[BIAS, BIAS, 0], (3.0 * share) ** 2 * before.cov[CAPACITY, CAPACITY, 0]
    assert grown[SOC] == pytest.approx(by_bias + by_capacity + TUNING.soc_walk**2 * 10.0)
    assert grown[BIAS] == pytest.approx((TUNING.bias_walk * RATED_AH) ** 2 * 10.0)
    lost = 1.0 - exp(-2.0 * moved / TUNING.scale_soc)
    assert grown[FAST] == pytest.approx(lost * (TUNING.scale_sigma**2 - 0.02**2))
    assert grown[SLOW] == pytest.approx(lost * (TUNING.scale_sigma**2 - 0.3**2))


def test_resistances_return_to_their_usual_factors_which_follow_slowly() -> None:
    before = replace(fresh(FAST=0.5, SLOW=0.1), current_a=one(-3.0), usual=np.array([[0.3], [0.1]]))
    after = predict(NMC, before, 10.0, one(-3.0), TUNING)
    moved = 30.0 / 3600.0 / RATED_AH
    kept = exp(-moved / TUNING.scale_soc)
    assert after.mean[FAST, 0] == pytest.approx(0.3 + kept * 0.2)
    assert after.usual[:, 0] == pytest.approx([0.3 + (1.0 - kept) * 0.2 * TUNING.scale_soc / HABIT_SOC, 0.1])
    assert after.mean[SLOW, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("row", [OFFSET, SAG])
def test_voltage_errors_are_forgotten_with_charge_or_time(row: int) -> None:
    state = fresh()
    mean, cov = state.mean.copy(), state.cov.copy()
    mean[row], cov[row, row] = 0.05, 0.05**2
    state = replace(state, mean=mean, cov=cov, current_a=one(-3.0))
    for _ in range(1000):
        state = predict(NMC, state, 1.0, one(-3.0), TUNING)
    passed = {OFFSET: 3000.0 / 3600.0 / RATED_AH / TUNING.offset_soc, SAG: 1000.0 / TUNING.sag_s}[row]
    assert state.mean[row, 0] == pytest.approx(0.05 * exp(-passed), rel=1e-6)
    assert state.cov[row, row, 0] < 0.05**2


def pull(deviations: float) -> float:
    """How far a sample that many standard deviations off moves the state of charge."""
    state = fresh()
    expected_v = float(model_v(NMC, state, one(0.0), WARM)[0])
    slope = float(NMC.ocv_v(one(0.54), WARM)[0] - NMC.ocv_v(one(0.46), WARM)[0]) / 0.08
    variance = (slope * 0.02) ** 2 + float(state.cov[OFFSET, OFFSET, 0] + state.cov[SAG, SAG, 0]) + TUNING.noise_v**2
    variance += (SERIES_OHM + sum(PAIR_OHM)) ** 2 * float(state.cov[BIAS, BIAS, 0])
    cell_v = one(expected_v + deviations * variance**0.5)
    return float(correct(NMC, state, cell_v, one(0.0), WARM, SEEN, TUNING).mean[SOC, 0]) - 0.5


def test_where_the_curve_falls_off_a_voltage_says_less() -> None:
    """At the knee of the curve the chord over the secant's reach is below it by ``knee_v``: that much more noise."""
    state, still = fresh(0.05, sigma=0.001), one(0.0)
    low_v, here_v, high_v = NMC.ocv_v(np.array([0.05 - TUNING.slope_soc, 0.05, 0.05 + TUNING.slope_soc]), WARM)
    knee_v = here_v - 0.5 * (low_v + high_v)
    assert knee_v > 0.01
    cell_v = model_v(NMC, state, still, WARM) + 0.01
    moved = [
        float(correct(NMC, state, cell_v, still, WARM, SEEN, tuning).mean[SOC, 0]) - 0.05
        for tuning in (TUNING, replace(TUNING, knee_share=0.0))
    ]
    slope = (high_v - low_v) / (2.0 * TUNING.slope_soc)
    known = (slope * 0.001) ** 2 + state.cov[OFFSET, OFFSET, 0] + state.cov[SAG, SAG, 0]
    known += (SERIES_OHM + sum(PAIR_OHM)) ** 2 * state.cov[BIAS, BIAS, 0] + TUNING.noise_v**2
    assert moved[0] / moved[1] == pytest.approx(known / (known + (TUNING.knee_share * knee_v) ** 2), rel=1e-3)


def test_where_the_curves_end_cuts_the_reach_a_straight_curve_is_no_knee() -> None:
    state, still = fresh(1.0, sigma=0.01), one(0.0)
    cell_v = model_v(NMC, state, still, WARM) + 0.01
    bent, straight = (
        correct(NMC, state, cell_v, still, WARM, SEEN, tuning).mean[SOC, 0]
        for tuning in (TUNING, replace(TUNING, knee_share=0.0))
    )
    assert bent == straight


def test_a_far_sample_pulls_no_more_than_one_at_three_deviations_and_a_wild_one_not_at_all() -> None:
    assert pull(-2.0) == pytest.approx(2.0 * pull(-1.0), rel=0.05)
    assert 0.9 * pull(3.0) < pull(6.0) < 1.05 * pull(3.0)
    assert pull(20.0) == 0.0


def test_a_noisy_sensor_is_recognised_and_averaged() -> None:
    amps = drive(1800)
    true_soc, volts = simulate(amps)
    noisy_v = volts + 0.05 * np.random.default_rng(3).standard_normal(volts.size)
    states = follow(NMC, amps, noisy_v, 0.9)
    assert states[-1].filter.noise[0] > 5.0
    assert max(abs(float(s.soc[0]) - true) for s, true in zip(states[300:], true_soc[300:], strict=True)) < 0.03


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_another_resistance_than_the_files_is_found_and_does_not_shift_the_charge(factor: float) -> None:
    cell = cell_of(
        resistance={
            "series_ohm": ((SERIES_OHM / factor,) * 2,),
            "pair_ohm": tuple(((ohm / factor,) * 2,) for ohm in PAIR_OHM),
        }
    )
    amps = drive(2400)
    true_soc, volts = simulate(amps)
    last = follow(cell, amps, volts, 0.9)[-1]
    assert last.filter.mean[FAST, 0] == pytest.approx(log(factor), abs=0.1)
    assert abs(float(last.soc[0]) - true_soc[-1]) < 0.01


def test_hysteresis_follows_the_charge_that_passes() -> None:
    amps = np.concatenate([np.full(600, 2.0), np.full(900, -2.0)])
    _, volts = simulate(amps, soc=0.4, chemistry="lfp")
    states = follow(LFP, amps, volts, 0.4)
    assert states[599].filter.branch[0] > 0.95
    assert states[-1].filter.branch[0] < -0.95
    shown = states[-1].filter
    assert model_v(LFP, shown, one(-2.0), WARM)[0] == pytest.approx(volts[-1], abs=0.003)


def test_unseen_time_lets_pairs_relax_and_keeps_the_mean() -> None:
    before = replace(fresh(), pair_v=np.array([[0.1], [0.1]]))
    after = pass_blind(NMC, before, 600.0, TUNING)
    assert after.pair_v[:, 0] == pytest.approx([0.1 * exp(-600.0 / tau) for tau in TAU_S])
    assert after.mean[SOC, 0] == 0.5
    assert after.cov[SOC, SOC, 0] == pytest.approx((0.02 + 0.5 * 600.0 / 3600.0) ** 2)


def test_unseen_current_lasts_so_its_doubt_does_not_depend_on_the_steps() -> None:
    slow = fast = fresh()
    for _ in range(360):
        fast = pass_blind(NMC, fast, 1.0, TUNING)
    slow = pass_blind(NMC, slow, 360.0, TUNING)
    assert fast.cov[SOC, SOC, 0] == pytest.approx(slow.cov[SOC, SOC, 0])
    assert fast.cov[SOC, SOC, 0] == pytest.approx(0.07**2)


def test_unseen_time_makes_nothing_more_certain_and_nothing_less_than_anything() -> None:
    assert pass_blind(NMC, fresh(), 1e6, TUNING).cov[SOC, SOC, 0] == 1.0
    wild = fresh()
    wild.cov[SOC, SOC] = 1.3
    assert pass_blind(NMC, wild, 1.0, TUNING).cov[SOC, SOC, 0] == 1.3


def test_beyond_the_curve_s_end_its_slope_is_one_of_the_curve() -> None:
    beyond = fresh(1.07)
    after = correct(NMC, beyond, one(4.2), one(0.0), WARM, SEEN, TUNING)
    assert np.isfinite(after.mean).all() and after.mean[SOC, 0] <= 1.02
