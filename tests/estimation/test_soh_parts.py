"""What a rest says and how sure that is; how a resistance is averaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimation.cell_bench import cell_of

from bms_daemon.estimation import resistance
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.resistance import EVERY_CYCLES, TABLE_SIGMA, WALK, Growth, due, looked
from bms_daemon.estimation.rest import WORTHLESS, Anchor, rested
from bms_daemon.estimation.soc import LEAST_SIGMA, Reading, SocState, start
from bms_daemon.estimation.soc_filter import FAST, OFFSET, SOC
from bms_daemon.estimation.tuning import USUAL

NMC, LFP = cell_of("nmc"), cell_of("lfp")
DEGC = np.array([25.0])


def seen(cell: Cell, soc: float) -> SocState:
    volts = cell.ocv_v(np.array([soc]), DEGC)
    return start(cell, Reading(0.0, np.zeros(1), volts, DEGC), np.array([soc]))


def told(cell: Cell, soc: float, pair_v: float = 0.0, offset_v: float = 0.0, unusable: bool = False) -> Anchor:
    """A rest at which the filter believes in a state of charge and an error of the voltage."""
    state = seen(cell, soc)
    mean = state.filter.mean.copy()
    mean[SOC], mean[OFFSET] = soc, offset_v
    filtered = replace(state.filter, mean=mean, pair_v=np.full_like(state.filter.pair_v, pair_v))
    state = replace(state, filter=filtered, unusable=np.array([unusable]))
    return rested(cell, state, np.array([-0.3]), 7200.0, 0.01, USUAL)


def slope_v(cell: Cell, soc: float) -> float:
    high_v, low_v = cell.ocv_v(np.array([soc + 0.02, soc - 0.02]), np.array([25.0, 25.0]))
    return float(high_v - low_v) / 0.04


@pytest.mark.parametrize("soc", [0.12, 0.35, 0.62, 0.9, 0.999])
def test_a_rest_tells_the_state_of_charge(soc: float) -> None:
    found = told(NMC, soc)
    assert found.soc[0] == pytest.approx(soc, abs=0.001)
    assert found.usable[0]
    assert (found.counted[0], found.clock_s[0], found.unseen[0]) == (-0.3, 7200.0, 0.01)


def test_what_the_filter_took_for_an_error_of_the_voltage_is_voltage_again() -> None:
    soc = 0.5
    volts = NMC.ocv_v(np.array([soc]), DEGC) + 0.01
    found = told(NMC, soc, offset_v=0.01)
    assert NMC.ocv_v(found.soc, DEGC) == pytest.approx(volts, abs=1e-4)


def test_doubt_is_that_of_the_voltage_over_the_slope() -> None:
    polarised_v = USUAL.sag_sigma_v + USUAL.sag_share * NMC.tau_s.size * 0.02
    doubt_v = float(np.hypot(USUAL.offset_sigma_v, polarised_v))
    found = told(NMC, 0.3, pair_v=0.02)
    assert found.sigma[0] == pytest.approx(np.hypot(doubt_v / slope_v(NMC, float(found.soc[0])), LEAST_SIGMA), rel=1e-6)


def test_hysteresis_is_doubt() -> None:
    doubt_v = float(np.hypot(USUAL.offset_sigma_v + USUAL.branch_share * 0.01, USUAL.sag_sigma_v))
    found = told(LFP, 0.05)
    assert found.sigma[0] == pytest.approx(np.hypot(doubt_v / slope_v(LFP, float(found.soc[0])), LEAST_SIGMA), rel=1e-6)


def test_a_voltage_off_the_curve_and_an_unusable_sample_say_nothing() -> None:
    assert told(NMC, 1.0, offset_v=0.1).sigma[0] == WORTHLESS
    assert told(NMC, 0.0, offset_v=-0.5).sigma[0] == WORTHLESS
    assert told(NMC, 0.5, unusable=True).sigma[0] == WORTHLESS
    assert not told(LFP, 0.6).usable[0]


def looking(mean: float, variance: float, unusable: bool = False) -> SocState:
    state = seen(NMC, 0.5)
    means, cov = state.filter.mean.copy(), state.filter.cov.copy()
    means[FAST], cov[FAST, FAST] = mean, variance
    return replace(state, filter=replace(state.filter, mean=means, cov=cov), unusable=np.array([unusable]))


def test_a_look_is_weighed_by_what_is_known_of_both() -> None:
    growth = Growth(np.array([0.1]), np.array([0.2]), 10.0)
    found = looked(growth, looking(0.4, 0.05**2), 11.0, USUAL)
    before, noise = 0.2**2 + WALK**2, 0.05**2 + TABLE_SIGMA**2
    assert found.mean[0] == pytest.approx(0.1 + before / (before + noise) * 0.3)
    assert found.sigma[0] == pytest.approx((1.0 / before + 1.0 / noise) ** -0.5)
    assert found.cycles == 11.0


@pytest.mark.parametrize(("sigma", "unusable"), [(1.01 * USUAL.scale_sigma, False), (0.02, True)])
def test_where_nothing_is_seen_only_doubt_grows(sigma: float, unusable: bool) -> None:
    growth = Growth(np.array([0.1]), np.array([0.1]), 10.0)
    found = looked(growth, looking(0.4, sigma**2, unusable), 110.0, USUAL)
    assert found.mean[0] == 0.1
    assert found.sigma[0] == pytest.approx(np.hypot(0.1, 10.0 * WALK))


def test_a_look_is_due_after_throughput_and_under_current() -> None:
    growth = Growth(np.zeros(1), np.ones(1), 5.0)
    assert due(growth, 5.0 + 1.1 * EVERY_CYCLES, 0.5)
    assert not due(growth, 5.0 + 0.9 * EVERY_CYCLES, 0.5)
    assert not due(growth, 6.0, 0.9 * resistance.EXCITED_C)


def test_a_grown_resistance_is_told_with_the_doubt_of_the_tables() -> None:
    growth = Growth(np.log(np.array([1.5])), np.zeros(1))
    assert growth.factor[0] == pytest.approx(1.5)
    assert growth.told_sigma[0] == pytest.approx(1.5 * TABLE_SIGMA)
