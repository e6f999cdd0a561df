"""Power ahead: closed forms, every reason, temperatures, and what must hold for any state whatever."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from estimation.cell_bench import RATED_AH, cell_of, charge_power, discharge_power
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.config.cellfile import load_cell
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState, start
from bms_daemon.estimation.soc_filter import FAST, SLOW
from bms_daemon.estimation.sop import HORIZONS_S, Bounds, Power, Why, both_powers
from bms_daemon.estimation.sop_path import look_ahead

ANYTHING = Bounds(0.0, 6.0, 1e4, 1e4, -60.0, 150.0, -60.0, 150.0)
HEAT = {"capacity_j_per_k": 45.0, "resistance_k_per_w": 10.0}


def state_of(cell: Cell, *soc: float, degc: float = 25.0) -> SocState:
    """At rest, exactly there."""
    at, temp_degc = np.array(soc), np.full(len(soc), float(degc))
    state = start(cell, Reading(0.0, np.zeros(at.size), cell.ocv_v(at, temp_degc), temp_degc), at)
    mean = state.filter.mean.copy()
    mean[0] = at
    return replace(state, filter=replace(state.filter, mean=mean, cov=np.zeros_like(state.filter.cov)))


def one_resistor(ohm: float = 0.05) -> Cell:
    none = ((0.0, 0.0),)
    return cell_of(resistance={"series_ohm": ((ohm, ohm),), "pair_ohm": (none, none), "knee_c": 0.0})


@pytest.mark.parametrize(("power", "limit_v"), [(discharge_power, 3.2), (charge_power, 4.0)])
def test_one_resistor_gives_what_ohms_law_says(power: object, limit_v: float) -> None:
    cell = one_resistor()
    bounds = replace(ANYTHING, min_v=limit_v, max_v=limit_v)
    found = power(cell, state_of(cell, 0.5), bounds, None, (1e-3,), 0.0)  # type: ignore[operator]
    assert found.current_a[0, 0] == pytest.approx(abs(3.67 - limit_v) / 0.05, abs=0.002 / 0.05)
    assert found.current_a[0, 0] <= abs(3.67 - limit_v) / 0.05
    assert found.power_w[0, 0] == pytest.approx(found.current_a[0, 0] * limit_v)
    assert found.why[0, 0] == Why.VOLTAGE


def test_every_reason_is_named() -> None:
    cell = one_resistor()
    states, rated = state_of(cell, 0.5, 0.01), replace(ANYTHING, discharge_max_a=1.0)
    assert discharge_power(cell, states, rated, None, (1.0,)).why[0, 0] == Why.CURRENT
    assert discharge_power(cell, states, replace(ANYTHING, min_v=3.4)).why[0, 0] == Why.VOLTAGE
    assert discharge_power(cell, states, rated, None, (1800.0,)).why[0, 1] == Why.SOC
    assert discharge_power(cell, states, ANYTHING, 151.0).why[0, 0] == Why.TEMPERATURE


@pytest.mark.parametrize("hottest_degc", [float("nan"), float("inf"), 60.1])
def test_a_temperature_that_is_unknown_or_too_high_allows_nothing(hottest_degc: float) -> None:
    cell = cell_of()
    for power in both_powers(cell, state_of(cell, 0.5, 0.6), Bounds.of(cell.file), hottest_degc):
        assert not power.current_a.any()
        assert not power.power_w.any()
        assert (power.why == Why.TEMPERATURE).all()


@pytest.mark.parametrize(("degc", "give", "take"), [(-21, 0, 0), (-19, 1, 0), (1, 1, 1), (46, 1, 0), (61, 0, 0)])
def test_each_direction_has_its_own_temperatures(degc: float, give: bool, take: bool) -> None:
    cell = cell_of()
    found = both_powers(cell, state_of(cell, 0.5, degc=degc), Bounds.of(cell.file))
    assert [bool(each.current_a.all()) for each in found] == [give, take]


def test_only_the_cell_whose_numbers_are_none_is_stopped() -> None:
    cell = cell_of()
    state = state_of(cell, 0.5, 0.5, 0.5)
    mean = state.filter.mean.copy()
    mean[FAST, 0], mean[0, 1] = np.nan, np.inf
    found = discharge_power(cell, replace(state, filter=replace(state.filter, mean=mean)), Bounds.of(cell.file))
    assert not found.current_a[:, :2].any()
    assert found.current_a[:, 2].all()


def test_the_hottest_cell_does_not_pass_its_limit_within_the_horizon() -> None:
    cell = cell_of(heat=HEAT)
    bounds = replace(Bounds.of(cell.file), min_v=1.0)
    found = discharge_power(cell, state_of(cell, 0.9), bounds, 59.5, (1.0, 600.0))
    assert found.why[:, 0].tolist() == [Why.CURRENT, Why.TEMPERATURE]
    warmed_k, ohm = 0.0, 0.055
    for _ in range(6000):
        warmed_k += 0.1 * (found.current_a[1, 0] ** 2 * ohm - warmed_k / 10.0) / 45.0
    assert 0.45 < warmed_k <= 0.501


def test_without_heat_in_the_file_only_the_present_temperature_counts() -> None:
    cell = cell_of()
    found = discharge_power(cell, state_of(cell, 0.9), replace(Bounds.of(cell.file), min_v=1.0), 59.99, (60.0,))
    assert found.why[0, 0] == Why.CURRENT


def test_a_cell_with_less_capacity_holds_out_with_less() -> None:
    cell = cell_of()
    state = state_of(cell, 0.3, 0.3)
    aged = replace(state, filter=replace(state.filter, capacity_ah=np.array([RATED_AH, 0.7 * RATED_AH])))
    whole, worn = discharge_power(cell, aged, ANYTHING, None, (1800.0,)).current_a[0]
    assert worn == pytest.approx(0.7 * whole)


def towards_empty(ohm: float) -> Cell:
    pairs = (((0.01, 0.01),),) * 2
    return cell_of(resistance={"soc": (0.08, 0.12), "series_ohm": ((ohm, 0.025),), "pair_ohm": pairs})


def test_resistance_that_rises_towards_empty_allows_less() -> None:
    bounds = replace(ANYTHING, min_v=3.0)
    steep, flat = (towards_empty(ohm) for ohm in (0.1, 0.025))
    steep_a, flat_a = (discharge_power(each, state_of(each, 0.12), bounds, None, (30.0,)) for each in (steep, flat))
    assert steep_a.current_a[0, 0] < 0.9 * flat_a.current_a[0, 0]


def polarised(cell: Cell, pair_v: float) -> SocState:
    """With voltage left on the pairs of 10 s and 300 s."""
    state = state_of(cell, 0.5)
    return replace(state, filter=replace(state.filter, pair_v=state.filter.pair_v + pair_v))


def test_while_a_cell_recovers_the_first_second_limits_the_longer_horizons() -> None:
    cell = cell_of()
    found = discharge_power(cell, polarised(cell, -0.1), replace(ANYTHING, min_v=3.4), None, (1.0, 10.0, 30.0))
    fresh = discharge_power(cell, state_of(cell, 0.5), replace(ANYTHING, min_v=3.4), None, (1.0, 10.0, 30.0))
    assert found.current_a[0, 0] == found.current_a[1, 0] < 0.6 * fresh.current_a[1, 0]


def test_charge_power_holds_from_the_start_when_the_voltage_is_lowest() -> None:
    cell = cell_of()
    found = charge_power(cell, state_of(cell, 0.3), Bounds.of(cell.file))
    assert found.current_a[0, 0] == found.current_a[3, 0]
    assert found.power_w[0, 0] == found.power_w[3, 0]


def test_resistance_is_not_carried_on_beyond_what_was_looked_at() -> None:
    """Rising by 30 mohm for 4 points of charge, over half an hour of 50 points it would be absurd."""
    cell = cell_of(resistance={"soc": (0.76, 0.8), "series_ohm": ((0.055, 0.025),), "pair_ohm": (((0.0, 0.0),),) * 2})
    found = discharge_power(cell, state_of(cell, 0.8), replace(ANYTHING, min_v=3.3), None, (1800.0,), 0.0)
    open_v = float(cell.ocv_v(np.array([0.8 - found.current_a[0, 0] * 0.5 / RATED_AH]), np.array([25.0]))[0])
    assert (open_v - 3.3) / found.current_a[0, 0] < 0.0551


def test_hysteresis_warms_too() -> None:
    flat, loop = (cell_of("lfp", heat=HEAT, hysteresis={"voltage_v": ((v, v),)}) for v in (0.0, 0.2))
    bounds = replace(ANYTHING, discharge_max_degc=60.0)
    without, with_it = (discharge_power(each, state_of(each, 0.6), bounds, 59.9, (60.0,)) for each in (flat, loop))
    assert (without.why[0, 0], with_it.why[0, 0]) == (Why.TEMPERATURE, Why.TEMPERATURE)
    assert with_it.current_a[0, 0] < 0.7 * without.current_a[0, 0]


def voltage_slack_v(cell: Cell, state: SocState, bounds: Bounds, found: tuple[Power, Power]) -> np.ndarray:
    """How far the end voltages are inside of their limits, of those that the voltage binds."""
    sign = np.array([-1.0, 1.0])[:, None, None]
    path, _ = look_ahead(cell, state, HORIZONS_S, sign, 1.0)
    end_v = path.voltage_v(cell, np.array([each.current_a for each in found]))
    slack_v = sign * (np.array([bounds.min_v, bounds.max_v])[:, None, None] - end_v)
    bound = np.array([(each.why == Why.VOLTAGE) & (each.current_a > 0.0) for each in found])
    shorter = np.array([np.vstack([each.current_a[:1] < -1, np.diff(each.current_a, axis=0) == 0]) for each in found])
    return slack_v[bound & ~shorter]


@pytest.mark.parametrize("name", ["lg-hg2", "generic-lfp", "generic-nmc"])
@pytest.mark.parametrize("degc", [-15.0, 0.0, 25.0])
def test_the_voltage_meets_its_limit_within_two_millivolts_and_never_passes_it(name: str, degc: float) -> None:
    cell = Cell(load_cell(Path(str(files("bms_daemon").joinpath("data", "config", "cells", f"{name}.toml")))))
    state = state_of(cell, *np.linspace(0.005, 0.995, 199), degc=degc)
    bounds = replace(Bounds.of(cell.file), charge_max_a=1e4, discharge_max_a=1e4, charge_min_degc=-40.0)
    found = both_powers(cell, state, bounds)
    slack_v = voltage_slack_v(cell, state, bounds, found)
    assert slack_v.size > 500
    assert slack_v.min() > -1e-9
    assert slack_v.max() <= 0.002 + 1e-9


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_state_gives_finite_limits_that_are_not_negative(data: st.DataObject) -> None:
    cell = cell_of(heat=HEAT)
    state = state_of(cell, 0.5, 0.5)
    mean, cov, pair_v = (getattr(state.filter, name).copy() for name in ("mean", "cov", "pair_v"))
    for values in (mean, cov, pair_v):
        values.flat[data.draw(st.integers(0, values.size - 1))] = data.draw(ANY)
        values.flat[data.draw(st.integers(0, values.size - 1))] = data.draw(ANY)
    odd_filter = replace(state.filter, mean=mean, cov=cov, pair_v=pair_v)
    odd = replace(state, filter=odd_filter, temp_degc=np.array([data.draw(ANY), 25.0]))
    for power in both_powers(cell, odd, Bounds.of(cell.file), data.draw(st.none() | ANY)):
        assert np.isfinite(power.current_a).all()
        assert np.isfinite(power.power_w).all()
        assert (power.current_a >= 0.0).all()
        assert (power.power_w >= 0.0).all()
        assert (np.diff(power.current_a, axis=0) <= 0.0).all()


@settings(max_examples=40, deadline=None)
@given(soc=st.floats(0.0, 1.0), doubt=st.floats(0.0, 0.5), pair_v=st.floats(-0.1, 0.1), degc=st.floats(5.0, 40.0))
def test_what_is_published_is_never_more_than_the_best_guess(
    soc: float, doubt: float, pair_v: float, degc: float
) -> None:
    cell = cell_of(heat=HEAT)
    state = state_of(cell, soc, degc=degc)
    cov = state.filter.cov.copy()
    cov[FAST, FAST] = cov[SLOW, SLOW] = doubt**2
    doubtful = replace(state, filter=replace(state.filter, cov=cov, pair_v=state.filter.pair_v + pair_v))
    bounds = Bounds.of(cell.file)
    published, guessed = (both_powers(cell, doubtful, bounds, caution=caution) for caution in (1.0, 0.0))
    for safe, best in zip(published, guessed, strict=True):
        assert (safe.current_a <= best.current_a * (1.0 + 1e-9) + 0.002 / 0.025).all()


@pytest.mark.parametrize(
    ("soc", "min_v", "found_a", "why"),
    [(0.0, 2.0, 0.15, Why.SOC), (0.0, 3.4, 0.0, Why.VOLTAGE), (0.0, 2.0, 0.0, Why.TEMPERATURE)],
    ids=["charge alone leaves a trickle", "the voltage has the last word", "and so has the temperature"],
)
def test_charge_alone_leaves_a_trickle(soc: float, min_v: float, found_a: float, why: Why) -> None:
    cell = cell_of()
    bounds = replace(Bounds.of(cell.file), min_v=min_v, trickle_a=0.15)
    hottest = 99.0 if why is Why.TEMPERATURE else None
    found = discharge_power(cell, state_of(cell, soc), bounds, hottest, (1.0, 10.0))
    assert found.current_a[:, 0] == pytest.approx([found_a] * 2, abs=1e-3)
    assert set(found.why[:, 0].tolist()) == {why}
