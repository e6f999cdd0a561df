"""What is left, against closed forms: one resistance, a straight curve, one cell that is weaker than the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from estimation.cell_bench import cell_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState, start
from bms_daemon.estimation.soe import remaining
from bms_daemon.model import Remaining

OHM, RATED_AH, MIN_V, MAX_V = 0.02, 3.0, 3.0, 4.2
COLD = {"resistance": {"share": 1.0, "activation_k": 2000.0}}


def straight(**changes: dict[str, Any]) -> Cell:
    """From 3 V empty to 4 V full, one resistance that no state of charge changes and no knee."""
    zero = (0.0,) * 3
    curve = {"soc": (-0.1, 0.0, 1.1), "voltage_v": (2.9, 3.0, 4.1), "cold_v_per_k": zero, "warm_v_per_k": zero}
    plain = {"series_ohm": ((OHM, OHM),), "tau_s": (10.0,), "pair_ohm": (((0.0, 0.0),),), "knee_c": 0.0}
    changes["resistance"] = plain | changes.get("resistance", {})
    return cell_of(ocv=curve, **changes)


def state_of(cell: Cell, *soc: float, degc: float = 25.0, **known: Any) -> SocState:
    cells = len(soc)
    silent = np.full(cells, np.nan)
    reading = Reading(1.0, np.zeros(cells), silent, np.full(cells, degc))
    return start(cell, reading, np.array(soc), np.full(cells, 0.02), **known)


def left(cell: Cell, state: SocState, current_a: float) -> Remaining:
    return remaining(cell, state, MIN_V, MAX_V, current_a, float(state.temp_degc.min()))


def test_a_small_load_takes_all_charge_at_the_mean_open_voltage() -> None:
    cell = straight()
    found = left(cell, state_of(cell, 0.5, 0.5), 0.0)
    sag_v = OHM * 0.05 * RATED_AH
    assert found.charge_ah == pytest.approx((0.5 - sag_v) * RATED_AH)
    assert found.energy_wh == pytest.approx(2 * found.charge_ah * (0.5 * (3.5 + 3.0 + sag_v) - sag_v), rel=1e-4)
    assert found.room_ah == pytest.approx(0.5 * RATED_AH)
    assert math.isinf(found.time_to_empty_s) and math.isinf(found.time_to_full_s)


@pytest.mark.parametrize("current_a", [-1.5, -6.0, -15.0])
def test_under_load_the_end_comes_where_the_voltage_meets_its_limit(current_a: float) -> None:
    cell = straight()
    found = left(cell, state_of(cell, 0.5), current_a)
    charge_ah = (0.5 - OHM * -current_a) * RATED_AH
    assert found.charge_ah == pytest.approx(charge_ah, rel=1e-6)
    assert found.time_to_empty_s == pytest.approx(3600.0 * charge_ah / -current_a, rel=1e-6)
    assert math.isinf(found.time_to_full_s)


def test_a_load_that_the_cell_cannot_bear_leaves_nothing() -> None:
    cell = straight()
    found = left(cell, state_of(cell, 0.2), -30.0)
    assert (found.charge_ah, found.energy_wh, found.time_to_empty_s) == (0.0, 0.0, 0.0)


def test_the_cold_takes_what_its_resistance_costs() -> None:
    cell = straight(**COLD)
    warm, cold = (left(cell, state_of(cell, 0.9, degc=degc), -6.0) for degc in (25.0, -10.0))
    growth = math.exp(2000.0 * (1.0 / 263.15 - 1.0 / 298.15))
    assert warm.charge_ah == pytest.approx((0.9 - 0.12) * RATED_AH, rel=1e-3)
    assert cold.charge_ah == pytest.approx((0.9 - 0.12 * growth) * RATED_AH, rel=0.01)
    assert cold.energy_wh < 0.8 * warm.energy_wh


def test_the_coldest_place_of_the_pack_counts() -> None:
    cell = straight(**COLD)
    state = state_of(cell, 0.9, degc=25.0)
    found = [remaining(cell, state, MIN_V, MAX_V, -6.0, degc).charge_ah for degc in (25.0, 0.0)]
    assert found[0] > found[1]


def test_the_weakest_cell_ends_it_and_the_strongest_ends_the_charge() -> None:
    cell = straight()
    alone = left(cell, state_of(cell, 0.4), -3.0)
    found = left(cell, state_of(cell, 0.6, 0.4, 0.7), -3.0)
    assert found.charge_ah == pytest.approx(alone.charge_ah)
    assert found.room_ah == pytest.approx(0.3 * RATED_AH)
    mean_v = 3.0 + 1.7 / 3 - 0.5 * found.charge_ah / RATED_AH - OHM * 3.0
    assert found.energy_wh == pytest.approx(3 * found.charge_ah * mean_v, rel=1e-3)


def test_an_aged_cell_holds_less_and_sags_more() -> None:
    cell = straight()
    aged = {"capacity_ah": np.array([0.8 * RATED_AH]), "growth": np.array([2.0])}
    found = left(cell, state_of(cell, 0.5, **aged), -6.0)
    assert found.charge_ah == pytest.approx((0.5 - 2.0 * OHM * 6.0) * 0.8 * RATED_AH, rel=1e-6)


def test_the_most_aged_cell_ends_it_for_all() -> None:
    cell = straight()
    found = left(cell, state_of(cell, 0.5, 0.5, growth=np.array([1.0, 2.0])), -6.0)
    assert found.charge_ah == pytest.approx((0.5 - 2.0 * OHM * 6.0) * RATED_AH, rel=1e-6)


def test_charging_takes_constant_current_to_the_voltage_and_then_what_it_lets_through() -> None:
    cell = straight()
    state = state_of(cell, 0.5)
    by_current = left(cell, state, 3.0)
    assert by_current.time_to_full_s == pytest.approx(3600.0 * 0.5 * RATED_AH / 3.0)
    found = remaining(cell, state, MIN_V, 3.9, 6.0, 25.0)
    turns_at = 0.9 - OHM * 6.0  # then the current falls with what is missing to 3.9 V, and ends at C/20
    least_a = 0.05 * RATED_AH
    falling_s = 3600.0 * RATED_AH * OHM * math.log(6.0 / least_a)
    slow_s = 3600.0 * RATED_AH * (0.1 + OHM * least_a) / least_a
    wanted_s = 3600.0 * (turns_at - 0.5) * RATED_AH / 6.0 + falling_s + slow_s
    assert found.time_to_full_s == pytest.approx(wanted_s, rel=0.05)


def test_its_uncertainty_is_that_of_the_charge() -> None:
    cell = straight()
    state = state_of(cell, 0.5, 0.5)
    found = left(cell, state, 0.0)
    assert found.energy_sigma_wh == pytest.approx(state.soc_sigma[0] * RATED_AH * 3.25 * 2, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5), st.floats(-1000.0, 1000.0), st.floats(-40.0, 80.0))
def test_what_is_left_is_finite_and_never_more_than_there_is(soc: list[float], current_a: float, degc: float) -> None:
    cell = cell_of()
    found = remaining(cell, state_of(cell, *soc, degc=degc), 2.8, MAX_V, current_a, degc)
    assert 0.0 <= found.charge_ah <= min(soc) * RATED_AH + 1e-9
    assert 0.0 <= found.room_ah <= (1.0 - max(soc)) * RATED_AH + 1e-9
    assert 0.0 <= found.energy_wh <= found.charge_ah * len(soc) * MAX_V + 1e-9
    assert found.energy_sigma_wh > 0.0
    assert found.time_to_empty_s >= 0.0 and found.time_to_full_s >= 0.0
