"""Power ahead: closed forms, every reason, temperatures, and what must hold for any state whatever."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from estimation.cell_bench import RATED_AH, Way, both_ways, cell_of, charge_power, discharge_power
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.config.cellfile import load_cell
from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.soc import Reading, SocState, start
from bms_daemon.estimation.soc_filter import CAPACITY, FAST, OFFSET, SLOW, SOC
from bms_daemon.estimation.sop import HORIZONS_S, SIGN
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.estimation.sop_path import look_ahead
from bms_daemon.model import Binding as B

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
    assert found.current_a[0] == pytest.approx(abs(3.67 - limit_v) / 0.05, abs=0.002 / 0.05)
    assert found.current_a[0] <= abs(3.67 - limit_v) / 0.05
    assert found.power_w[0] == pytest.approx(found.current_a[0] * limit_v, rel=1e-3)
    assert found.why[0] == B.CELL_VOLTAGE


def test_every_reason_is_named() -> None:
    cell = one_resistor()
    half, rated = state_of(cell, 0.5), replace(ANYTHING, discharge_max_a=1.0)
    assert discharge_power(cell, half, rated, None, (1.0,)).why == (B.RATED,)
    assert discharge_power(cell, half, replace(ANYTHING, min_v=3.4)).why[0] == B.CELL_VOLTAGE
    assert discharge_power(cell, state_of(cell, 0.01), rated, None, (1800.0,)).why == (B.SOC,)
    assert discharge_power(cell, half, ANYTHING, 151.0).why[0] == B.TEMPERATURE


@pytest.mark.parametrize("hottest_degc", [float("nan"), float("inf"), 60.1])
def test_a_temperature_that_is_unknown_or_too_high_allows_nothing(hottest_degc: float) -> None:
    cell = cell_of()
    for power in both_ways(cell, state_of(cell, 0.5, 0.6), Bounds.of(cell.file), hottest_degc):
        assert not power.current_a.any()
        assert not power.power_w.any()
        assert set(power.why) == {B.TEMPERATURE}


@pytest.mark.parametrize("hottest_degc", [None, 20.0])
def test_a_cell_that_is_hotter_than_what_was_named_counts(hottest_degc: float | None) -> None:
    cell = cell_of()
    warm = replace(state_of(cell, 0.5, 0.5), temp_degc=np.array([25.0, 60.1]))
    assert not discharge_power(cell, warm, Bounds.of(cell.file), hottest_degc).current_a.any()
    cold = replace(warm, temp_degc=np.array([25.0, -20.1]))
    assert not discharge_power(cell, cold, Bounds.of(cell.file), None, coldest_degc=20.0).current_a.any()


@pytest.mark.parametrize(("degc", "give", "take"), [(-21, 0, 0), (-19, 1, 0), (1, 1, 1), (46, 1, 0), (61, 0, 0)])
def test_each_direction_has_its_own_temperatures(degc: float, give: bool, take: bool) -> None:
    cell = cell_of()
    found = both_ways(cell, state_of(cell, 0.5, degc=degc), Bounds.of(cell.file))
    assert [bool(each.current_a.all()) for each in found] == [give, take]


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e9])
def test_one_cell_whose_numbers_are_none_stops_the_pack(number: float) -> None:
    cell = cell_of()
    state = state_of(cell, 0.5, 0.5, 0.5)
    mean = state.filter.mean.copy()
    mean[FAST, 1] = number
    found = discharge_power(cell, replace(state, filter=replace(state.filter, mean=mean)), Bounds.of(cell.file))
    assert not found.current_a.any()
    assert set(found.why) == {B.STALE}


def test_a_negative_variance_stops_the_pack_but_not_rounding() -> None:
    cell = cell_of()
    for variance, stopped in ((-1e-3, True), (-1e-9, False)):
        state = state_of(cell, 0.5, 0.5)
        state.filter.cov[SOC, SOC, 1] = variance
        found = discharge_power(cell, state, Bounds.of(cell.file))
        assert (set(found.why) == {B.STALE}) is stopped
        assert found.current_a.any() is not stopped


def test_the_hottest_cell_does_not_pass_its_limit_within_the_horizon() -> None:
    cell = cell_of(heat=HEAT)
    bounds = replace(Bounds.of(cell.file), min_v=1.0)
    found = discharge_power(cell, state_of(cell, 0.9), bounds, 59.5, (1.0, 600.0))
    assert found.why == (B.RATED, B.TEMPERATURE)
    warmed_k, ohm = 0.0, 0.055
    for _ in range(6000):
        warmed_k += 0.1 * (found.current_a[1] ** 2 * ohm - warmed_k / 10.0) / 45.0
    assert 0.45 < warmed_k <= 0.501


def test_without_heat_in_the_file_only_the_present_temperature_counts() -> None:
    cell = cell_of()
    found = discharge_power(cell, state_of(cell, 0.9), replace(Bounds.of(cell.file), min_v=1.0), 59.99, (60.0,))
    assert found.why[0] == B.RATED


@pytest.mark.parametrize(("own", "believed", "share"), [(0.7, 0.0, 0.7), (1.0, -0.25, 0.8), (1.0, 0.25, 1.0)])
def test_a_cell_with_less_capacity_holds_out_with_less(own: float, believed: float, share: float) -> None:
    """Be it its own by now, or less by what the filter sees; more than its own is not counted on."""
    cell = cell_of()
    state = state_of(cell, 0.3)
    aged = replace(state, filter=replace(state.filter, capacity_ah=np.array([own * RATED_AH])))
    aged.filter.mean[CAPACITY] = believed
    whole, worn = (discharge_power(cell, each, ANYTHING, None, (1800.0,)) for each in (state_of(cell, 0.3), aged))
    assert worn.current_a[0] == pytest.approx(share * whole.current_a[0])
    path, _ = look_ahead(cell, aged, (1800.0,), SIGN, 1.0)
    assert path.soc_per_a[1, 0, 0] == pytest.approx(0.5 / (share * RATED_AH))


def test_resistances_are_those_of_the_coldest_cell() -> None:
    cell, bounds = shipped("generic-lfp"), replace(ANYTHING, min_v=2.9, max_v=3.5)
    state = state_of(cell, 0.5, 0.5, degc=10.0)
    for way in range(2):
        told, there, here = (
            both_ways(cell, each, bounds, None, (1.0, 30.0), coldest_degc=degc)[way].current_a
            for each, degc in ((state, 0.0), (state_of(cell, 0.5, 0.5, degc=0.0), None), (state, None))
        )
        assert told == pytest.approx(there, rel=0.02), "but for the open-circuit voltage"
        assert (told < 0.8 * here).all()


@pytest.mark.parametrize(("soc", "sigma"), [(0.09, 0.08), (0.05, 0.03), (0.5, 0.1)])
def test_doubt_in_the_charge_is_that_of_a_cell_which_has_so_much_less(soc: float, sigma: float) -> None:
    """Also before a knee, where the curve's slope here says little."""
    for name, min_v in (("lfp", 2.6), ("nmc", 2.8)):
        cell, bounds = cell_of(name), replace(ANYTHING, min_v=min_v)
        vague, less = state_of(cell, soc), state_of(cell, soc - sigma)
        vague.filter.cov[SOC, SOC] = sigma**2
        told, there = (discharge_power(cell, each, bounds, None, (1.0,)) for each in (vague, less))
        assert told.why == (B.CELL_VOLTAGE,)
        assert told.current_a == pytest.approx(there.current_a, rel=0.05)


def test_errors_that_make_up_for_each_other_cost_no_power() -> None:
    """What a voltage has told: less charge goes with a curve that lies higher by as much."""
    cell, bounds = one_resistor(), replace(ANYTHING, min_v=3.2)
    sure, vague, bound = (state_of(cell, 0.45) for _ in range(3))
    slope_v = 0.5
    for state in (vague, bound):
        state.filter.cov[SOC, SOC], state.filter.cov[OFFSET, OFFSET] = 0.04**2, (0.04 * slope_v) ** 2
    bound.filter.cov[SOC, OFFSET] = bound.filter.cov[OFFSET, SOC] = -(0.04**2) * slope_v
    sure_a, vague_a, bound_a = (
        float(discharge_power(cell, each, bounds, None, (1e-3,)).current_a[0]) for each in (sure, vague, bound)
    )
    assert bound_a == pytest.approx(sure_a, rel=0.01)
    assert vague_a < 0.95 * sure_a


def test_a_factor_that_is_no_resistance_s_any_more_is_bounded() -> None:
    cell = one_resistor()
    grown, most = state_of(cell, 0.5), state_of(cell, 0.5)
    grown.filter.mean[FAST], most.filter.mean[FAST] = 5.0, 3.0
    grown_a, most_a = (discharge_power(cell, each, replace(ANYTHING, min_v=3.2)).current_a[0] for each in (grown, most))
    assert grown_a == pytest.approx(most_a)


def test_what_the_series_resistance_owes_to_the_charge_bends_as_charge_transfer_does() -> None:
    """20 of 45 mohm, at currents far beyond the knee: less than Ohm's law would take."""
    none = (((0.0, 0.0, 0.0),),) * 2
    cell = cell_of(
        resistance={"soc": (0.0, 0.4, 1.0), "series_ohm": ((0.045, 0.045, 0.025),), "pair_ohm": none, "knee_c": 1.0}
    )
    found = discharge_power(cell, state_of(cell, 0.3), replace(ANYTHING, min_v=2.4), None, (1e-3,), 0.0)
    assert (3.58 - 2.4) / 0.045 * 1.2 < found.current_a[0] < (3.58 - 2.4) / 0.025


def towards_empty(ohm: float) -> Cell:
    pairs = (((0.01, 0.01),),) * 2
    return cell_of(resistance={"soc": (0.08, 0.12), "series_ohm": ((ohm, 0.025),), "pair_ohm": pairs})


def test_resistance_that_rises_towards_empty_allows_less() -> None:
    bounds = replace(ANYTHING, min_v=3.0)
    steep, flat = (towards_empty(ohm) for ohm in (0.1, 0.025))
    steep_a, flat_a = (discharge_power(each, state_of(each, 0.12), bounds, None, (30.0,)) for each in (steep, flat))
    assert steep_a.current_a[0] < 0.9 * flat_a.current_a[0]


def polarised(cell: Cell, pair_v: float) -> SocState:
    """With voltage left on the pairs of 10 s and 300 s."""
    state = state_of(cell, 0.5)
    return replace(state, filter=replace(state.filter, pair_v=state.filter.pair_v + pair_v))


def test_while_a_cell_recovers_the_first_second_limits_the_longer_horizons() -> None:
    cell = cell_of()
    found = discharge_power(cell, polarised(cell, -0.1), replace(ANYTHING, min_v=3.4), None, (1.0, 10.0, 30.0))
    fresh = discharge_power(cell, state_of(cell, 0.5), replace(ANYTHING, min_v=3.4), None, (1.0, 10.0, 30.0))
    assert found.current_a[0] == found.current_a[1] < 0.6 * fresh.current_a[1]
    rated = discharge_power(
        cell, polarised(cell, -0.1), replace(ANYTHING, min_v=3.4, discharge_max_a=3.5), None, (1.0, 30.0)
    )
    assert rated.why == (B.CELL_VOLTAGE, B.CELL_VOLTAGE), "the reason is that of the horizon which binds"


def test_charge_power_holds_from_the_start_when_the_voltage_is_lowest() -> None:
    cell = cell_of()
    found = charge_power(cell, state_of(cell, 0.3), Bounds.of(cell.file))
    assert found.current_a[0] == found.current_a[3]
    assert found.power_w[0] == found.power_w[3]


def test_resistance_is_not_carried_on_beyond_what_was_looked_at() -> None:
    """Rising by 30 mohm for 4 points of charge, over half an hour of 50 points it would be absurd."""
    cell = cell_of(resistance={"soc": (0.76, 0.8), "series_ohm": ((0.055, 0.025),), "pair_ohm": (((0.0, 0.0),),) * 2})
    found = discharge_power(cell, state_of(cell, 0.8), replace(ANYTHING, min_v=3.3), None, (1800.0,), 0.0)
    open_v = float(cell.ocv_v(np.array([0.8 - found.current_a[0] * 0.5 / RATED_AH]), np.array([25.0]))[0])
    assert (open_v - 3.3) / found.current_a[0] < 0.0551


def test_hysteresis_warms_too() -> None:
    flat, loop = (cell_of("lfp", heat=HEAT, hysteresis={"voltage_v": ((v, v),)}) for v in (0.0, 0.2))
    bounds = replace(ANYTHING, discharge_max_degc=60.0)
    without, with_it = (discharge_power(each, state_of(each, 0.6), bounds, 59.9, (60.0,)) for each in (flat, loop))
    assert (without.why[0], with_it.why[0]) == (B.TEMPERATURE, B.TEMPERATURE)
    assert with_it.current_a[0] < 0.7 * without.current_a[0]


@pytest.mark.parametrize(("v_per_k", "warmed_by"), [(2e-4, 1), (-2e-4, 0)])
def test_a_reaction_that_warms_in_one_direction_allows_less_there(v_per_k: float, warmed_by: int) -> None:
    """T dU/dT: charging warms where the voltage rises with the temperature; cooling is not counted on."""
    slopes = [v_per_k] * 14
    plain, reacting = (
        cell_of(heat=HEAT, ocv={"cold_v_per_k": each, "warm_v_per_k": each}) for each in ([0.0] * 14, slopes)
    )
    bounds = replace(ANYTHING, discharge_max_degc=60.0, charge_max_degc=60.0)
    without, with_it = (both_ways(each, state_of(each, 0.5), bounds, 59.9, (60.0,)) for each in (plain, reacting))
    assert {each.why for each in without + with_it} == {(B.TEMPERATURE,)}
    assert with_it[warmed_by].current_a[0] < 0.8 * without[warmed_by].current_a[0]
    assert with_it[1 - warmed_by].current_a[0] == pytest.approx(without[1 - warmed_by].current_a[0])


def within_voltage_v(cell: Cell, state: SocState, bounds: Bounds, found: tuple[Way, Way], more: float) -> np.ndarray:
    """How far one cell is inside of its limit with so much more current, and that of an hour, where voltage binds."""
    path, _ = look_ahead(cell, state, HORIZONS_S, SIGN, 1.0)
    current_a = np.array([each.current_a for each in found])
    more_a = (1.0 + more) * current_a + more * RATED_AH
    end_v = path.voltage_v(cell, more_a[..., None])[..., 0]
    slack_v = SIGN[..., 0] * (np.array([[bounds.min_v], [bounds.max_v]]) - end_v)
    bound = (np.array([each.why for each in found]) == B.CELL_VOLTAGE) & (current_a > 0.0)
    shorter = np.diff(current_a, axis=1, prepend=np.inf) == 0.0
    return slack_v[bound & ~shorter]


@pytest.mark.parametrize("name", ["lg-hg2", "generic-lfp", "generic-nmc"])
@pytest.mark.parametrize("degc", [-15.0, 0.0, 25.0])
def test_the_voltage_never_passes_its_limit_and_with_a_little_more_is_there(name: str, degc: float) -> None:
    """A fifth of a per cent is little, and so is the 1 mV that the search stays away."""
    cell = shipped(name)
    bounds = replace(Bounds.of(cell.file), charge_max_a=1e4, discharge_max_a=1e4, charge_min_degc=-40.0)
    inside, there = [], []
    for soc in np.linspace(0.005, 0.995, 199):
        state = state_of(cell, float(soc), degc=degc)
        found = both_ways(cell, state, bounds)
        inside.append(within_voltage_v(cell, state, bounds, found, 0.0))
        there.append(within_voltage_v(cell, state, bounds, found, 0.002))
    assert np.concatenate(inside).size > 500
    assert np.concatenate(inside).min() > -1e-9
    assert np.concatenate(there).max() <= 0.001


def shipped(name: str) -> Cell:
    return Cell(load_cell(Path(str(files("bms_daemon").joinpath("data", "config", "cells", f"{name}.toml")))))


@pytest.mark.parametrize("degc", [0.0, 25.0])
def test_a_pack_of_unlike_cells_gives_the_current_of_its_weakest_at_the_sum_of_their_voltages(degc: float) -> None:
    """Beside every cell asked alone."""
    cell, rng = shipped("generic-nmc"), np.random.default_rng(7)
    bounds = replace(Bounds.of(cell.file), charge_max_a=1e4, discharge_max_a=1e4)
    for spread in (0.002, 0.02, 0.2):
        state = state_of(cell, *(0.5 + spread * rng.standard_normal(60)), degc=degc)
        mean = state.filter.mean.copy()
        mean[FAST : SLOW + 1] = 0.2 * rng.standard_normal((2, 60))
        state = replace(state, filter=replace(state.filter, mean=mean))
        alone = [both_ways(cell, one_of(state, index), bounds) for index in range(60)]
        for way, together in enumerate(both_ways(cell, state, bounds)):
            least_a = np.min([each[way].current_a for each in alone], axis=0)
            assert together.current_a == pytest.approx(least_a, rel=0.01, abs=0.1)
            assert (together.power_w >= together.current_a * 60 * bounds.min_v - 1e-6).all()
            assert (together.power_w <= together.current_a * 60 * bounds.max_v + 1e-6).all()


def one_of(state: SocState, index: int) -> SocState:
    """A single cell of several."""
    one, now = slice(index, index + 1), state.filter
    circuit = Circuit(*(getattr(now.circuit, each.name)[..., one] for each in fields(Circuit)))
    arrays = {each.name: getattr(now, each.name)[..., one] for each in fields(now) if each.name != "circuit"}
    filtered = replace(now, circuit=circuit, **arrays)
    return SocState(filtered, state.published[one], state.temp_degc[one], state.unusable[one])


def test_power_is_told_at_the_voltages_under_the_common_current() -> None:
    cell = one_resistor(0.05)
    state = state_of(cell, 0.5, 0.5)
    found = discharge_power(cell, state, replace(ANYTHING, discharge_max_a=10.0), None, (1e-3,), 0.0)
    open_v = cell.ocv_v(np.array([0.5]), np.array([25.0]))[0]
    assert found.power_w[0] == pytest.approx(2 * 10.0 * (open_v - 10.0 * 0.05), rel=1e-4)


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
    for power in both_ways(cell, odd, Bounds.of(cell.file), data.draw(st.none() | ANY)):
        assert np.isfinite(power.current_a).all()
        assert np.isfinite(power.power_w).all()
        assert (power.current_a >= 0.0).all()
        assert (power.power_w >= 0.0).all()
        assert (np.diff(power.current_a) <= 0.0).all()


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
    published, guessed = (both_ways(cell, doubtful, bounds, caution=caution) for caution in (1.0, 0.0))
    for safe, best in zip(published, guessed, strict=True):
        assert (safe.current_a <= best.current_a * (1.0 + 1e-9) + 0.002 / 0.025).all()


@pytest.mark.parametrize(
    ("soc", "min_v", "found_a", "why"),
    [(0.0, 2.0, 0.15, B.SOC), (0.0, 3.4, 0.0, B.CELL_VOLTAGE), (0.0, 2.0, 0.0, B.TEMPERATURE)],
    ids=["charge alone leaves a trickle", "the voltage has the last word", "and so has the temperature"],
)
def test_charge_alone_leaves_a_trickle(soc: float, min_v: float, found_a: float, why: B) -> None:
    cell = cell_of()
    bounds = replace(Bounds.of(cell.file), min_v=min_v, trickle_a=0.15)
    hottest = 99.0 if why is B.TEMPERATURE else None
    found = discharge_power(cell, state_of(cell, soc), bounds, hottest, (1.0, 10.0))
    assert found.current_a == pytest.approx([found_a] * 2, abs=1e-3)
    assert set(found.why) == {why}
