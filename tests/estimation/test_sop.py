"""State of power against the cell's own closed form, and what must hold for every state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from estimation.cell_bench import (
    PAIR_OHM,
    RATED_AH,
    SERIES_OHM,
    TAU_S,
    Way,
    both_ways,
    cell_of,
    charge_power,
    discharge_power,
    follow,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import FAST, OFFSET, SAG, SLOW
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.model import Binding as B
from bms_daemon.model import FloatArray

STRAIGHT = cell_of("nmc", resistance={"knee_c": 0.0})
HORIZONS_S = (1.0, 2.0, 10.0, 30.0, 600.0)


def bounds_of(cell: Cell) -> Bounds:
    return Bounds.of(cell.file)


def rested(soc: float, cell: Cell = STRAIGHT) -> SocState:
    volts = float(cell.ocv_v(np.array([soc]), np.array([25.0]))[0])
    return follow(cell, np.zeros(900), np.full(900, volts), soc)[-1]


def voltage_after(soc: float, current_a: float, span_s: float) -> float:
    """The bench cell's voltage at the end of a constant current from rest."""
    open_v = STRAIGHT.ocv_v(np.array([soc + current_a * span_s / 3600.0 / RATED_AH]), np.array([25.0]))[0]
    pairs_ohm = sum(r * (1.0 - np.exp(-span_s / tau)) for r, tau in zip(PAIR_OHM, TAU_S, strict=True))
    return float(open_v + current_a * (SERIES_OHM + pairs_ohm))


@pytest.mark.parametrize("span_s", [1.0, 10.0, 30.0])
def test_the_voltage_limit_is_met_at_the_end_of_the_horizon_on_the_safe_side(span_s: float) -> None:
    cell = cell_of("nmc", resistance={"knee_c": 0.0}, cell={"min_v": 3.3, "discharge_max_c": 50.0})
    found = discharge_power(cell, rested(0.5, cell), bounds_of(cell), horizons_s=(span_s,))
    amps = float(found.current_a[0])
    assert found.why[0] == B.CELL_VOLTAGE
    end_v = voltage_after(0.5, -amps, span_s)
    assert 3.306 < end_v < 3.35
    assert found.power_w[0] == pytest.approx(amps * 3.3, rel=1e-3)


def test_a_full_cell_takes_nothing_and_gives_its_rated_current() -> None:
    state = rested(1.0)
    assert charge_power(STRAIGHT, state, bounds_of(STRAIGHT), None, HORIZONS_S).current_a.max() < 0.1
    found = discharge_power(STRAIGHT, state, bounds_of(STRAIGHT), None, HORIZONS_S[:3])
    assert found.current_a == pytest.approx(6.0 * RATED_AH)
    assert set(found.why) == {B.RATED}


def test_an_almost_empty_cell_is_bound_by_its_charge_over_a_long_horizon() -> None:
    state = rested(0.05)
    deep = cell_of("nmc", cell={"min_v": 0.5})
    found = discharge_power(deep, state, bounds_of(deep), horizons_s=(600.0,))
    left = float(state.soc[0] - state.soc_sigma[0])
    assert found.why[0] == B.SOC
    assert found.current_a[0] == pytest.approx(left * 3600.0 * RATED_AH / 600.0)


@pytest.mark.parametrize(("row", "more"), [(FAST, 0.3), (SLOW, 0.3), (OFFSET, 0.03), (SAG, 0.03)])
@pytest.mark.parametrize("power", [discharge_power, charge_power])
def test_less_certainty_allows_less(power: Callable[..., Way], row: int, more: float) -> None:
    cell = cell_of("nmc", cell={"min_v": 3.3, "max_v": 3.9, "discharge_max_c": 50.0, "charge_max_c": 20.0})
    state, asked = rested(0.5, cell), (bounds_of(cell), None, (30.0,))
    cov = state.filter.cov.copy()
    cov[row, row] += more**2
    doubtful = replace(state, filter=replace(state.filter, cov=cov))
    assert power(cell, doubtful, *asked).current_a[0] < 0.99 * power(cell, state, *asked).current_a[0]


def powers(soc: float, amps: float) -> tuple[FloatArray, FloatArray]:
    volts = float(STRAIGHT.ocv_v(np.array([soc]), np.array([25.0]))[0])
    state = follow(STRAIGHT, np.full(40, amps), np.full(40, volts), soc)[-1]
    found = both_ways(STRAIGHT, state, bounds_of(STRAIGHT), None, HORIZONS_S)
    return found[0].current_a, found[1].current_a


@settings(max_examples=30, deadline=None)
@given(soc=st.floats(0.0, 1.0), amps=st.floats(-20.0, 20.0))
def test_limits_are_finite_not_negative_and_a_longer_horizon_never_allows_more(soc: float, amps: float) -> None:
    volts = float(STRAIGHT.ocv_v(np.array([soc]), np.array([25.0]))[0])
    rest = follow(STRAIGHT, np.full(5, 0.0), np.full(5, volts), soc)[-1]
    for power in (discharge_power, charge_power):
        found = power(STRAIGHT, rest, bounds_of(STRAIGHT), None, HORIZONS_S).current_a
        assert np.all(np.diff(found) <= 1e-6 + 1e-3 * found[:-1])
    for found in powers(soc, amps):
        assert np.isfinite(found).all()
        assert (found >= 0.0).all()
