"""State of health: capacity and resistance of aged cells are found between rests, and nothing else moves them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from estimation.cell_bench import RATED_AH, cell_of, drive
from estimation.soh_bench import aged_voltage, follow, shuttle
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.estimation.capacity import SHARE_MAX, SHARE_MIN
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.resistance import BEGIN_SIGMA, LEAST, MOST
from bms_daemon.estimation.rest import Anchor
from bms_daemon.estimation.soc import Reading, start
from bms_daemon.estimation.soc import step as soc_step
from bms_daemon.estimation.soh import (
    BIAS_C,
    GAIN_SIGMA,
    KEPT_PER_CELL,
    REST_S,
    SohState,
    _counted_sigma,
    begin,
    kept,
    step,
)
from bms_daemon.model import CapacitySource

NMC, LFP = cell_of("nmc"), cell_of("lfp")
SHARE, GROWTH = (1.0, 0.85), (1.0, 1.3)


def at_rest(cell: Cell, soc: float, minutes: float, state: SohState) -> SohState:
    """A cell rests at a state of charge for some minutes, one sample every ten seconds."""
    volts, zero = cell.ocv_v(np.array([soc]), np.array([25.0])), np.zeros(1)
    rest = start(cell, Reading(0.0, zero, volts, np.array([25.0])), np.array([soc]))
    for _ in range(int(minutes * 6)):
        rest = soc_step(cell, rest, Reading(10.0, zero, volts, np.array([25.0])))
        state = step(cell, state, rest, 10.0, zero)
    return state


def moved(cell: Cell, state: SohState, charge_ah: float, hours: float = 1.0, soc: float = 0.5) -> SohState:
    """Charge is counted, while the filter has nothing to say of it."""
    volts, temp_degc = cell.ocv_v(np.array([soc]), np.array([25.0])), np.array([25.0])
    seen = start(cell, Reading(0.0, np.zeros(1), volts, temp_degc), np.array([soc]))
    for _ in range(60):
        state = step(cell, state, seen, 60.0 * hours, np.array([charge_ah / hours]))
    return state


@pytest.mark.parametrize("bias_a", [0.0, 0.03, -0.03])
def test_capacity_and_resistance_of_cells_in_one_pack_are_found_between_rests(bias_a: float) -> None:
    """The sensor may be off by 1 % of a capacity; one cell is new, the other has lost 15 %."""
    current_a = shuttle(3)
    volts = np.array([aged_voltage(current_a, share, growth) for share, growth in zip(SHARE, GROWTH, strict=True)])
    found = follow(NMC, current_a, volts, bias_a)
    assert found.capacity_ah / RATED_AH == pytest.approx(SHARE, abs=0.02)
    assert (np.abs(found.capacity_ah - RATED_AH * np.array(SHARE)) <= 2.0 * found.capacity_sigma_ah).all()
    assert found.growth == pytest.approx(GROWTH, rel=0.05)
    assert (np.abs(found.growth - GROWTH) <= 2.0 * found.growth_sigma).all()
    assert (found.capacity_sigma_ah < 0.03 * RATED_AH).all()


@pytest.mark.parametrize(
    ("away", "counted", "why"),
    [
        (0.3, -0.54, CapacitySource.PARTIAL_DISCHARGE),
        (0.05, -0.765, CapacitySource.FULL_SWING),
    ],
)
def test_a_pair_says_what_it_was_and_how_long_ago(away: float, counted: float, why: CapacitySource) -> None:
    """The true share is 0.9, on the way from a state of 0.9 to another one."""
    state = at_rest(NMC, 0.9, 15.0, begin(NMC, 1))
    state = at_rest(NMC, away, 15.0, moved(NMC, state, counted * RATED_AH))
    assert state.why[0] == why
    assert state.capacity_ah[0] / RATED_AH == pytest.approx(0.9, abs=0.02)
    assert 0.0 <= state.age_s(0) <= 900.0


@pytest.mark.parametrize("counted", [0.045, -0.1])
def test_a_short_way_says_nothing(counted: float) -> None:
    state = at_rest(NMC, 0.9, 15.0, begin(NMC, 1))
    state = at_rest(NMC, 0.9 + counted / 0.7, 15.0, moved(NMC, state, counted * RATED_AH))
    assert state.capacity_ah[0] == RATED_AH and state.why[0] == CapacitySource.NONE
    assert state.age_s(0) == np.inf


def test_a_charge_is_called_one() -> None:
    state = at_rest(NMC, 0.3, 15.0, begin(NMC, 1))
    state = at_rest(NMC, 0.8, 15.0, moved(NMC, state, 0.45 * RATED_AH))
    assert state.why[0] == CapacitySource.PARTIAL_CHARGE
    assert state.capacity_ah[0] / RATED_AH == pytest.approx(0.9, abs=0.02)


def test_what_was_counted_is_less_sure_after_long_much_and_unseen() -> None:
    """Offset over the time, gain of the charge, and what nobody saw, as independent errors."""
    zero, two = np.zeros(1), np.full(1, 2.0)
    start_, end = Anchor(zero, zero, zero, zero, zero), Anchor(zero, zero, zero, 3600.0 * two, np.full(1, 0.03))
    found = _counted_sigma(start_, end, np.array([-0.8]))
    assert found[0] == pytest.approx(np.sqrt((2.0 * BIAS_C) ** 2 + (0.8 * GAIN_SIGMA) ** 2 + 0.03**2))


def test_cycles_are_counted_and_the_belief_is_brought_up_to_date() -> None:
    state = moved(NMC, begin(NMC, 1), -0.5 * RATED_AH)
    assert state.cycles == pytest.approx(0.25)
    state = at_rest(NMC, 0.9, 15.0, begin(NMC, 1))
    state = at_rest(NMC, 0.3, 15.0, moved(NMC, state, -0.54 * RATED_AH))
    assert state.aged_cycles == state.cycles == pytest.approx(0.27)


def test_cycles_without_a_rest_cost_certainty_that_a_restart_does_not_bring_back() -> None:
    state = at_rest(NMC, 0.3, 15.0, moved(NMC, at_rest(NMC, 0.9, 15.0, begin(NMC, 1)), -0.54 * RATED_AH))
    later = state
    for _ in range(100):
        later = moved(NMC, moved(NMC, later, -0.5 * RATED_AH), 0.5 * RATED_AH)
    assert later.capacity_ah[0] == state.capacity_ah[0]
    assert later.capacity_sigma_ah[0] > 1.2 * state.capacity_sigma_ah[0]
    assert begin(NMC, 1, kept(later)).capacity_sigma_ah == pytest.approx(later.capacity_sigma_ah, rel=1e-4)


@pytest.mark.parametrize(("first", "then", "kept_first"), [(0.16, 0.29, True), (0.29, 0.16, False)])
def test_a_worse_rest_does_not_replace_a_better_start_and_a_better_one_does(
    first: float, then: float, kept_first: bool
) -> None:
    """At 0.16 the curve is twice as steep as at 0.29; the way between them is too short for a pair."""
    state = at_rest(NMC, first, 15.0, begin(NMC, 1))
    state = at_rest(NMC, then, 15.0, moved(NMC, state, (then - first) * RATED_AH))
    assert state.anchor.usable[0] and state.why[0] == CapacitySource.NONE
    assert state.anchor.soc[0] == pytest.approx(first if kept_first else then, abs=0.005)


def test_on_a_flat_curve_nothing_is_learned() -> None:
    """Both rests lie on the plateau: whatever was counted between them, the capacity stays."""
    state = at_rest(LFP, 0.65, 15.0, begin(LFP, 1))
    state = at_rest(LFP, 0.45, 15.0, moved(LFP, state, -0.4 * RATED_AH))
    assert state.why[0] == CapacitySource.NONE
    assert state.capacity_ah[0] == RATED_AH


def test_a_rest_that_is_too_short_is_no_rest() -> None:
    state = at_rest(NMC, 0.9, 15.0, begin(NMC, 1))
    state = at_rest(NMC, 0.4, REST_S / 60.0 - 1.0, moved(NMC, state, -0.45 * RATED_AH))
    assert state.why[0] == CapacitySource.NONE


@pytest.mark.parametrize(("dt_s", "amps"), [(3600.0, 0.0), (3600.0, np.nan), (3600.0, -3.0), (900.0, np.nan)])
def test_a_gap_between_two_rests_makes_the_pair_worthless(dt_s: float, amps: float) -> None:
    """A quarter of an hour unseen may hide an eighth of a capacity."""
    state = moved(NMC, at_rest(NMC, 0.9, 15.0, begin(NMC, 1)), -0.3 * RATED_AH)
    volts, temp_degc = np.array([3.7]), np.array([25.0])
    seen = start(NMC, Reading(0.0, np.zeros(1), volts, temp_degc), np.array([0.5]))
    state = step(NMC, state, seen, dt_s, np.array([amps]))
    state = at_rest(NMC, 0.4, 15.0, state)
    assert state.why[0] == CapacitySource.NONE and state.capacity_ah[0] == RATED_AH


def test_seconds_without_a_current_only_cost_a_little_certainty() -> None:
    state = moved(NMC, at_rest(NMC, 0.9, 15.0, begin(NMC, 1)), -0.45 * RATED_AH)
    volts, temp_degc = np.array([3.7]), np.array([25.0])
    seen = start(NMC, Reading(0.0, np.zeros(1), volts, temp_degc), np.array([0.5]))
    for _ in range(10):
        state = step(NMC, state, seen, 1.0, np.array([np.nan]))
    state = at_rest(NMC, 0.4, 15.0, state)
    assert state.capacity_ah[0] / RATED_AH == pytest.approx(0.9, abs=0.02)


def test_resistance_is_not_learned_at_temperatures_nobody_measured_nor_at_rest() -> None:
    current_a, volts = drive(3600), np.full(1, 3.7)
    cold = start(NMC, Reading(0.0, np.zeros(1), volts, np.array([-20.0])), np.array([0.5]))
    warm = start(NMC, Reading(0.0, np.zeros(1), volts, np.array([25.0])), np.array([0.5]))
    for seen, amps in ((cold, float(np.abs(current_a).max())), (warm, 0.01 * RATED_AH)):
        sure = replace(seen.filter, mean=seen.filter.mean + 0.3, cov=0.01 * seen.filter.cov)
        seen = replace(seen, filter=sure)
        state = begin(NMC, 1)
        for _ in range(400):
            state = step(NMC, state, seen, 60.0, np.array([amps]))
        assert state.growth[0] == 1.0
        assert state.growth_sigma[0] >= BEGIN_SIGMA


def test_what_was_kept_is_there_after_a_restart() -> None:
    current_a = shuttle(2)
    volts = np.array([aged_voltage(current_a, share, growth) for share, growth in zip(SHARE, GROWTH, strict=True)])
    before = follow(NMC, current_a, volts)
    table = kept(before)
    after = begin(NMC, 2, table)
    assert len(table) == 2 * KEPT_PER_CELL and np.isfinite(table).all()
    for name in ("capacity_ah", "capacity_sigma_ah", "growth", "growth_sigma"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-4, abs=1e-4), name
    assert [after.age_s(cell) for cell in (0, 1)] == pytest.approx([before.age_s(cell) for cell in (0, 1)], rel=1e-4)
    assert (after.why == CapacitySource.KEPT).all()
    assert kept(after) == table


def test_cells_of_which_nothing_was_learned_are_not_called_kept() -> None:
    again = begin(NMC, 3, kept(begin(NMC, 3)))
    assert (again.why == CapacitySource.NONE).all() and again.age_s(2) == np.inf
    assert (again.capacity_ah == RATED_AH).all()


@pytest.mark.parametrize(
    "table",
    [(1.0,) * 5, (np.nan,) * 6, (9.0, 0.1, 0.0, 0.1, 1.0, 0.0), (1.0, -0.1, 0.0, 0.1, 1.0, 0.0),
     (1.0, 0.1, 99.0, 0.1, 1.0, 0.0), (np.inf,) * 6, (1.0,) * 12],
)  # fmt: skip
def test_a_journal_that_makes_no_sense_is_a_new_cell(table: tuple[float, ...]) -> None:
    fresh, found = begin(NMC, 1), begin(NMC, 1, table)
    assert kept(found) == kept(fresh)
    assert found.why[0] == CapacitySource.NONE


def test_one_cell_that_makes_no_sense_does_not_take_the_others_along() -> None:
    good = (0.8, 0.02, 0.1, 0.05, 1.0, 60.0)
    found = begin(NMC, 2, (*good, *(np.nan,) * 6))
    assert found.capacity_ah / RATED_AH == pytest.approx([0.8, 1.0])
    assert found.why.tolist() == [CapacitySource.KEPT, CapacitySource.NONE]


@pytest.mark.parametrize("dt_s", [0.0, -1.0, float("nan"), float("-inf")])
def test_time_that_does_not_pass_changes_nothing(dt_s: float) -> None:
    state, volts = begin(NMC, 1), np.array([3.7])
    seen = start(NMC, Reading(0.0, np.zeros(1), volts, np.array([25.0])), None)
    assert step(NMC, state, seen, dt_s, np.array([1.0])) is state


anything = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-1000.0, 1000.0), st.just(0.0))
steps_s = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.0, 4000.0), st.just(3600.0))


@settings(max_examples=60, deadline=None)
@given(
    lfp=st.booleans(),
    samples=st.lists(st.tuples(steps_s, anything, anything, anything, st.integers(1, 80)), min_size=1, max_size=12),
)
def test_nothing_makes_the_state_infinite_or_leave_its_bounds(
    lfp: bool, samples: list[tuple[float, float, float, float, int]]
) -> None:
    cell = LFP if lfp else NMC
    seen = start(cell, Reading(0.0, np.zeros(1), np.array([3.3]), np.array([25.0])), None)
    state = begin(cell, 1)
    for dt_s, amps, volts, degc, times in samples:
        reading = Reading(dt_s, np.array([amps]), np.array([volts]), np.array([degc]))
        for _ in range(times):
            seen = soc_step(cell, seen, reading)
            state = step(cell, state, seen, dt_s, reading.current_a)
    for field in fields(state):
        value = getattr(state, field.name)
        parts = [getattr(value, part.name) for part in fields(value)] if hasattr(value, "__slots__") else [value]
        assert all(np.isfinite(part).all() for part in parts), field.name
    assert SHARE_MIN <= state.capacity_ah[0] / RATED_AH <= SHARE_MAX
    assert LEAST <= state.growth[0] <= MOST
    assert state.capacity_sigma_ah[0] > 0.0 and state.growth_sigma[0] > 0.0
