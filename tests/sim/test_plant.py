"""The plant as a whole: taps under current, switching between steps, energy, heat."""

from __future__ import annotations

import numpy as np
import pytest

from bms_daemon.sim.gate import Coils
from bms_daemon.sim.plant import Plant
from bms_daemon.sim.settings import WorldSettings


def plant(current_a: float = 0.0, **changes: object) -> Plant:
    profile = {"kind": "constant", "current_a": current_a}
    quiet_link = {"bleed_ohm": 1e7}
    return Plant(WorldSettings.model_validate({"profile": profile, "link": quiet_link, **changes}))


def closed(pack: Plant, now_s: float = 0.0) -> Plant:
    """Precharge for two seconds, then close; the main contact is closed and quiet one second later."""
    pack.step(now_s, Coils(False, False))
    pack.step(now_s, Coils(False, True))
    pack.step(now_s + 2.0, Coils(False, True))
    pack.step(now_s + 2.0, Coils(True, False))
    pack.step(now_s + 3.0, Coils(True, False))
    return pack


def test_taps_show_a_resting_pack_before_the_first_step() -> None:
    taps = plant().taps
    assert taps.cell_v.shape == (16,)
    assert taps.stack_v == pytest.approx(taps.cell_v.sum())
    assert 51.0 < taps.pack_v < 54.0
    assert (taps.link_v, taps.current_a) == (0.0, 0.0)
    assert taps.probe_degc.tolist() == [25.0, 25.0, 25.0]


def test_one_object_of_taps_serves_for_life() -> None:
    pack = plant(-20.0)
    taps = pack.taps
    assert closed(pack).taps is taps


def test_no_current_flows_until_the_main_contact_closes() -> None:
    pack = plant(-20.0)
    for k in range(100):
        pack.step(k * 0.02, Coils(False, False))
        assert pack.taps.current_a == 0.0
    assert closed(pack, 2.0).taps.current_a == pytest.approx(-20.0, abs=1e-3)
    assert pack.main_aux
    assert not pack.precharge_aux


def test_link_follows_the_pack_when_closed_and_decays_when_open() -> None:
    pack = closed(plant(-20.0, link={"bleed_ohm": 200.0}))
    assert pack.taps.link_v == pack.taps.pack_v
    before_v = pack.taps.link_v
    pack.step(3.0, Coils(False, False))
    pack.step(4.008, Coils(False, False))
    assert pack.taps.link_v == pytest.approx(before_v * np.exp(-1.0), rel=0.02)
    assert pack.taps.current_a == 0.0


def test_the_contact_breaks_the_current_at_its_own_instant() -> None:
    """The coil falls between two grid points; the current ends 8 ms later, not at the next grid point."""
    pack = closed(plant(-20.0))
    pack.step(3.0013, Coils(True, False))
    pack.step(3.0092, Coils(False, False))
    assert pack.taps.current_a == pytest.approx(-20.0, abs=1e-3)
    pack.step(3.0094, Coils(False, False))
    assert pack.taps.current_a == 0.0
    assert pack.path.charge_as == pytest.approx(-20.0 * (3.0013 + 0.008 - 2.015), abs=0.3)


def test_how_often_anybody_looks_does_not_matter() -> None:
    seldom, often = closed(plant(-50.0)), closed(plant(-50.0))
    rng = np.random.default_rng(4)
    for now_s in np.sort(rng.uniform(3.0, 10.0, 500)):
        often.step(float(now_s), Coils(True, False))
    for pack in (seldom, often):
        pack.step(10.0, Coils(True, False))
    np.testing.assert_array_equal(seldom.taps.cell_v, often.taps.cell_v)
    np.testing.assert_allclose(seldom.cells.soc, often.cells.soc, rtol=1e-12)


def test_charge_that_leaves_the_path_leaves_the_cells() -> None:
    pack = plant(-50.0, spread={"capacity": 0.0, "soc": 0.0})
    closed(pack)
    pack.step(603.0, Coils(True, False))
    leaked = 603.0 / 3600.0 * 0.02 / 730.0
    lost = 0.6 - pack.cells.soc.mean() - leaked
    assert lost * 100.0 * 3600.0 == pytest.approx(-pack.path.charge_as, rel=1e-4)


def test_same_seed_same_day() -> None:
    household = {"kind": "household"}
    first, second = (closed(plant(profile=household, seed=9)) for _ in range(2))
    for pack in (first, second):
        pack.step(120.0, Coils(True, False))
    np.testing.assert_array_equal(first.taps.cell_v, second.taps.cell_v)
    other = closed(plant(profile=household, seed=10))
    assert np.any(other.taps.cell_v != first.taps.cell_v)


def test_a_clock_that_starts_late_costs_nothing() -> None:
    pack = plant(-20.0)
    assert closed(pack, 1e6).taps.current_a == pytest.approx(-20.0, abs=1e-3)
    assert pack.cells.soc.max() < 0.62


def test_a_setting_shows_at_once_after_refresh() -> None:
    pack = closed(plant())
    before_v = pack.taps.cell_v[3]
    pack.cells.offset_v[3] = 0.6
    pack.thermal.forced_degc[1] = 70.0
    pack.outside.override_a = -300.0
    pack.refresh()
    assert pack.taps.cell_v[3] > before_v + 0.3
    assert pack.taps.probe_degc[1] == 70.0
    assert pack.taps.current_a == pytest.approx(-300.0, abs=1e-3)


def test_a_hard_discharge_warms_the_pack_and_a_fan_helps() -> None:
    still, blown = (closed(plant(-100.0, initial_soc=0.95, step_s=0.1)) for _ in range(2))
    blown.set_fan(True)
    for pack in (still, blown):
        pack.step(1800.0, Coils(True, False))
    assert still.taps.probe_degc.min() > 26.0
    assert blown.taps.probe_degc.max() < still.taps.probe_degc.max() - 0.2
    assert still.taps.die_degc > still.taps.probe_degc.mean()


def test_charging_without_a_charger_limit_reaches_over_voltage() -> None:
    pack = closed(plant(100.0, initial_soc=0.99))
    pack.step(200.0, Coils(True, False))
    assert pack.taps.cell_v.max() > 3.75


def test_a_charger_with_constant_voltage_stops_rising() -> None:
    pack = closed(plant(100.0, initial_soc=0.99, outside={"charge_stop_v": 56.0}))
    pack.step(600.0, Coils(True, False))
    assert pack.taps.pack_v == pytest.approx(56.0, abs=0.02)
    assert 0.0 < pack.taps.current_a < 50.0


def test_a_short_circuit_melts_the_fuse_and_leaves_the_pins_dead() -> None:
    pack = closed(plant())
    pack.outside.short_ohm = 0.005
    pack.refresh()
    assert pack.taps.current_a < -2000.0
    assert 10.0 < pack.taps.stack_v < 40.0
    pack.step(3.1, Coils(True, False))
    assert pack.path.fuse.melted
    assert pack.taps.current_a == 0.0
    assert pack.taps.stack_v > 45.0
    pack.step(60.0, Coils(False, False))
    assert pack.taps.pack_v == 0.0


def test_a_balancing_switch_discharges_its_cell_only() -> None:
    pack = plant(balance_ohm=33.0, step_s=0.1, spread={"soc": 0.0, "self_discharge": 0.0})
    pack.balancing_mask = lambda: np.arange(16) == 1
    pack.step(0.0, Coils(False, False))
    pack.step(3601.0, Coils(False, False))
    drained = pack.cells.soc[0] - pack.cells.soc[1]
    assert drained * pack.cells.capacity_ah[1] == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("series", [1, 4, 96, 400])
@pytest.mark.parametrize("chemistry", ["lfp", "nmc"])
def test_any_string_of_any_chemistry_runs(series: int, chemistry: str) -> None:
    pack = closed(plant(-20.0, series=series, chemistry=chemistry, probes=1))
    assert pack.taps.cell_v.shape == (series,)
    assert np.all((pack.taps.cell_v > 3.0) & (pack.taps.cell_v < 4.2))
