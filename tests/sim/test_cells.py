"""Electrical and thermal model of the cells."""

from __future__ import annotations

import numpy as np
import pytest

from bms_daemon.sim.cells import Cells
from bms_daemon.sim.settings import Spread, WorldSettings
from bms_daemon.sim.thermal import Thermal

EVEN = Spread(capacity=0.0, resistance=0.0, soc=0.0, self_discharge=0.0)


def cells(seed: int = 1, **changes: object) -> Cells:
    return Cells(WorldSettings.model_validate({"spread": EVEN, **changes}), np.random.default_rng(seed))


def test_charge_is_counted_exactly() -> None:
    pack = cells(initial_soc=0.2)
    pack.self_discharge_a[:] = 0.0
    for _ in range(3600):
        pack.step(50.0, 1.0)
    np.testing.assert_allclose(pack.soc, 0.7, atol=1e-9)


def test_self_discharge_takes_about_two_per_cent_a_month() -> None:
    pack = cells(initial_soc=0.5)
    for _ in range(730):
        pack.step(0.0, 3600.0)
    np.testing.assert_allclose(0.5 - pack.soc, 0.02, rtol=1e-6)


@pytest.mark.parametrize("dt_s", [0.02, 1.0, 10.0])
def test_rc_pairs_do_not_depend_on_the_step(dt_s: float) -> None:
    pack = cells()
    for _ in range(round(60.0 / dt_s)):
        pack.step(-40.0, dt_s)
    fast_v = -40.0 * 0.0004 * (1.0 - np.exp(-60.0 / 10.0))
    slow_v = -40.0 * 0.0006 * (1.0 - np.exp(-60.0 / 300.0))
    np.testing.assert_allclose(pack.pair_v[0], fast_v, rtol=1e-9)
    np.testing.assert_allclose(pack.pair_v[1], slow_v, rtol=1e-9)


def test_a_changed_step_is_noticed() -> None:
    even, mixed = cells(), cells()
    for _ in range(20):
        even.step(30.0, 1.0)
    for _ in range(10):
        mixed.step(30.0, 0.5)
        mixed.step(30.0, 1.5)
    np.testing.assert_allclose(mixed.emf_v(), even.emf_v(), rtol=1e-9)


def test_current_drops_over_the_ohmic_resistance_at_once() -> None:
    pack = cells()
    np.testing.assert_allclose(pack.terminal_v(100.0) - pack.terminal_v(0.0), 0.08, rtol=1e-9)


def test_rest_voltage_after_charge_lies_above_that_after_discharge() -> None:
    charged, discharged = cells(initial_soc=0.5), cells(initial_soc=0.7)
    for _ in range(360):
        charged.step(50.0, 10.0)
        discharged.step(-50.0, 10.0)
    charged.soc[:] = discharged.soc[:] = 0.6
    for pack in (charged, discharged):
        pack.step(0.0, 1e5)
    assert np.all(charged.emf_v() - discharged.emf_v() > 0.01)


def test_cold_cells_have_more_resistance() -> None:
    pack = cells()
    pack.warm(np.full(16, -10.0))
    assert np.all(pack.r0_ohm > 2.0 * 0.0008)
    assert np.all(pack.r0_ohm < 5.0 * 0.0008)


def test_open_circuit_voltage_follows_the_entropic_slope() -> None:
    """An almost empty lithium iron phosphate cell loses some 0.35 mV/K."""
    cold, hot = cells(initial_soc=0.05), cells(initial_soc=0.05)
    cold.warm(np.full(16, 5.0))
    hot.warm(np.full(16, 45.0))
    np.testing.assert_allclose(hot.emf_v() - cold.emf_v(), -0.014, atol=0.006)


def test_spread_comes_from_the_seed_alone() -> None:
    first, same, other = (cells(seed, spread=Spread()) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.capacity_ah, same.capacity_ah)
    assert np.any(first.capacity_ah != other.capacity_ah)
    assert 0.001 < np.std(first.capacity_ah) / 100.0 < 0.03
    assert np.std(first.soc) > 0.0005


def test_balancing_draws_from_the_masked_cells_only() -> None:
    pack = cells()
    pack.balance(np.isin(np.arange(pack.soc.size), (0, 2)), 33.0)
    assert np.flatnonzero(pack.balance_a).tolist() == [0, 2]
    np.testing.assert_allclose(pack.balance_a[0], pack.emf_v()[0] / 33.0)


# ------------------------------------------------------------------ temperature
def thermal(**changes: object) -> Thermal:
    return Thermal(WorldSettings.model_validate(changes))


def warm(model: Thermal, current_a: float, seconds: int) -> None:
    for _ in range(seconds):
        model.step(current_a, np.full(16, 0.001), np.zeros(16), 1.0)


def test_heat_settles_where_convection_balances_it() -> None:
    model = thermal()
    warm(model, 40.0, 40_000)
    rise_k = 40.0**2 * 0.001 / 0.4
    np.testing.assert_allclose(model.degc, 25.0 + rise_k, rtol=1e-3)


def test_a_fan_cools() -> None:
    still, blown = thermal(), thermal()
    blown.fan = True
    for model in (still, blown):
        warm(model, 100.0, 3600)
    assert np.all(blown.degc < still.degc - 5.0)


def test_a_hot_cell_warms_its_neighbours_most() -> None:
    model = thermal()
    model.extra_w[5] = 100.0
    warm(model, 0.0, 1000)
    assert model.degc[5] > model.degc[4] > model.degc[3] > model.degc[0] > 25.0
    assert model.degc[5] > model.degc[6] > model.degc[7] > model.degc[15] > 25.0


def test_conduction_neither_makes_nor_loses_heat() -> None:
    """1000 J into one cell of a 100 Ah string at 2000 J/K, before convection counts."""
    model = thermal()
    model.extra_w[5] = 100.0
    warm(model, 0.0, 10)
    assert np.sum(model.degc - 25.0) == pytest.approx(0.5, rel=0.01)


def test_discharge_with_negative_slope_heats_and_charge_cools() -> None:
    """Reversible heat is -I T dU/dT of the discharge current: positive for discharge where dU/dT is negative."""
    heating, cooling = thermal(), thermal()
    slope = np.full(16, -0.3e-3)
    heating.step(-10.0, np.zeros(16), slope, 1.0)
    cooling.step(10.0, np.zeros(16), slope, 1.0)
    assert np.all(heating.degc > 25.0)
    assert np.all(cooling.degc < 25.0)


def test_a_forced_probe_leaves_the_others_alone() -> None:
    model = thermal(probes=3)
    model.forced_degc[1] = 70.0
    assert model.probe_degc().tolist() == [25.0, 70.0, 25.0]


def test_probes_spread_over_the_string() -> None:
    assert thermal(probes=3).probe_cells.tolist() == [0, 8, 15]
    assert thermal(probes=1, series=4).probe_cells.tolist() == [0]
