"""The estimate stage: counting between the estimators' steps, starts, restarts, doubts, and what a snapshot is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stages.stage_builders import channel, measured, scan, settings, temps

from bms_daemon import model as m
from bms_daemon.estimation import soc as soc_module
from bms_daemon.estimation.estimate import estimate, kept_charge, resume
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.estimation.soc import SocState, step

NAN, INF = math.nan, math.inf
LFP = PackModel.of(settings())
NMC_SETTINGS = settings(
    pack={"chemistry": "nmc"},
    cell={"recharge_min_v": 2.0, "critical_min_v": 2.6, "min_v": 2.9, "max_v": 4.2, "critical_max_v": 4.3},
)
NMC = PackModel.of(NMC_SETTINGS)
HALF = m.Survivor(soc=0.5, soc_sigma=0.02, commissioned_hash="x")


class Pack:
    """Scans of four cells every 0.1 s; capacity 100 Ah."""

    def __init__(self, model: PackModel = NMC, survivor: m.Survivor | None = None) -> None:
        self.model, self.now_s = model, 50.0
        self.state = resume(survivor)

    def scan(self, current_a: float = 0.0, cell_v: Any = 3.69, dt_s: float = 0.1, **parts: Any) -> m.Estimate:
        self.now_s += dt_s
        seen = measured(self.now_s, cells=scan(cell_v, current_a=current_a), **parts)
        found, self.state = estimate(seen, self.state, self.model)
        return found

    def run(self, seconds: float, current_a: float = 0.0, cell_v: Any = 3.69, dt_s: float = 0.1) -> m.Estimate:
        found = self.state.estimate
        for _ in range(round(seconds / dt_s)):
            found = self.scan(current_a, cell_v, dt_s)
        return found


# ------------------------------------------------------------------ counting and looking
def test_between_its_looks_only_charge_is_counted() -> None:
    pack = Pack(survivor=HALF)
    first = pack.scan(-36.0)
    for _ in range(9):
        found = pack.scan(-36.0)
    assert found.power is first.power, "the estimators look once a second"
    assert found.discharge_throughput_ah == pytest.approx(0.009)
    assert pack.scan(-36.0).power is not first.power


def test_without_a_new_scan_nothing_changes() -> None:
    pack = Pack(survivor=HALF)
    pack.run(2.0, -36.0)
    cells = channel(scan(current_a=-36.0), fresh=False)
    found, state = estimate(measured(99.0, cells=cells, shunt=channel(None)), pack.state, pack.model)
    assert found is pack.state.estimate and state is pack.state


@pytest.mark.parametrize("lost", ["cells", "temps"])
def test_what_the_cells_can_do_is_not_told_again_once_they_are_lost(lost: str) -> None:
    pack = Pack(survivor=HALF)
    before = pack.run(2.0)
    assert before.power is not None and before.remaining is not None and before.soc_valid
    gone, pack.state = estimate(measured(pack.now_s, **{lost: channel(None)}), pack.state, pack.model)
    assert (gone.power, gone.remaining) == (None, None)
    assert gone.soc_valid is (lost == "temps")
    back = pack.scan()
    assert back.power is not None and back.remaining is not None and back.soc_valid, "at once with the first scan"


def test_an_hour_counts_as_its_closed_form() -> None:
    pack = Pack(LFP, HALF)
    found = pack.run(360.0, 20.0, 3.32, dt_s=0.2)
    assert found.charge_throughput_ah == pytest.approx(2.0, rel=1e-3)
    assert found.soc == pytest.approx(0.52, abs=0.005)


def test_a_gap_widens_and_does_not_move() -> None:
    pack = Pack(LFP, HALF)
    before = pack.run(5.0, 0.0, 3.30)
    found = pack.scan(-50.0, 3.24, dt_s=600.0)
    assert found.soc == pytest.approx(before.soc, abs=0.01)
    assert found.soc_sigma > before.soc_sigma + 0.02
    assert found.discharge_throughput_ah == before.discharge_throughput_ah


@pytest.mark.parametrize("current_a", [NAN, INF, -INF, 1e9])
def test_a_current_that_is_none_counts_as_a_gap(current_a: float) -> None:
    pack = Pack(LFP, HALF)
    before = pack.run(5.0, 0.0, 3.30)
    found = pack.run(20.0, current_a, 3.30)
    assert (found.charge_throughput_ah, found.discharge_throughput_ah) == (0.0, 0.0)
    assert found.soc == pytest.approx(before.soc, abs=0.01)
    assert found.soc_sigma > before.soc_sigma
    assert math.isfinite(found.remaining.energy_wh)


def test_a_cell_that_nobody_sees_gets_less_certain_and_the_others_do_not() -> None:
    pack = Pack(survivor=HALF)
    pack.run(3.0)
    pack.run(60.0, cell_v=[3.69, NAN, 3.69, 3.69])
    sigma = pack.state.estimate.cells.soc_sigma
    assert sigma[1] > sigma[0] == pytest.approx(sigma[2])


# ------------------------------------------------------------------ a sensor that counts by itself
class Counted(Pack):
    """Voltages say nothing; a current sensor's own counter goes on while the daemon does not see it."""

    def __init__(self, model: PackModel = LFP) -> None:
        super().__init__(model, HALF)
        self.charge_ah = -40.0

    def step(self, flows_a: float, **told: Any) -> m.Estimate:
        """A tick in which this flows; what is told differs by name."""
        self.now_s += 0.1
        self.charge_ah += flows_a * 0.1 / 3600.0
        usual = {"cells": scan([NAN] * 4), "current_a": flows_a, "charge_ah": self.charge_ah}
        usual |= {"current_s": self.now_s, "current_fresh": True}
        found, self.state = estimate(measured(self.now_s, **(usual | told)), self.state, self.model)
        return found

    def flow(self, seconds: float, flows_a: float, **told: Any) -> m.Estimate:
        for _ in range(round(seconds / 0.1)):
            self.step(flows_a, **told)
        return self.state.estimate

    def unseen(self, seconds: float, flows_a: float) -> m.Estimate:
        """Cells are scanned, the sensor's bus is broken."""
        return self.flow(seconds, flows_a, current_a=NAN, charge_ah=NAN, current_fresh=False)


@pytest.mark.parametrize("late", [0, 1, 4], ids="counter {} samples after the current".format)
def test_a_sensor_that_counts_unseen_leaves_no_gap(late: int) -> None:
    pack, watched = Counted(), Counted()
    for each in (pack, watched):
        before = each.flow(30.0, -90.0)
    during = pack.unseen(60.5, -90.0)
    watched.flow(60.5, -90.0)
    assert during.discharge_throughput_ah == before.discharge_throughput_ah, "it never guesses"
    assert during.soc_sigma > before.soc_sigma + 0.005
    pack.flow(0.1 * late, -90.0, charge_ah=NAN)
    found, seen = pack.flow(3.0 - 0.1 * late, -90.0), watched.flow(3.0, -90.0)
    assert found.discharge_throughput_ah == pytest.approx(seen.discharge_throughput_ah)
    assert before.soc - found.soc == pytest.approx(63.5 * 90.0 / 3600.0 / 100.0, rel=0.01)
    assert (found.soc, found.soc_sigma) == pytest.approx((seen.soc, seen.soc_sigma), abs=3e-4)


@pytest.mark.parametrize(
    ("seconds", "again"),
    [(5.0, {"charge_ah": NAN}), (5.0, {"charge_ah": -0.1}), (110.0, {})],
    ids=["no counter", "begun anew", "too long"],
)
def test_a_gap_that_no_counter_tells_stays_one(seconds: float, again: dict[str, Any]) -> None:
    pack = Counted()
    before = pack.flow(30.0, -90.0)
    blind = pack.unseen(seconds, -90.0)
    for _ in range(20):
        pack.step(-90.0, **again)
    found = pack.state.estimate
    passed_ah = found.discharge_throughput_ah - before.discharge_throughput_ah
    assert passed_ah == pytest.approx(2.0 * 90.0 / 3600.0, abs=0.003)
    assert found.soc_sigma == pytest.approx(blind.soc_sigma, rel=0.2)
    assert pack.state.sighted is None


def test_what_the_counter_says_beside_an_impossible_current_is_not_believed() -> None:
    pack = Counted()
    before = pack.flow(30.0, -90.0)
    found = pack.flow(5.0, -90.0, current_a=1e6)
    assert found.discharge_throughput_ah == before.discharge_throughput_ah
    found = pack.flow(1.0, -90.0)
    assert found.discharge_throughput_ah == pytest.approx(36.0 * 90.0 / 3600.0, rel=0.01), "the gap is bridged"


def test_a_sensor_that_was_lost_before_the_first_scan_leaves_no_gap_either() -> None:
    pack = Counted()
    pack.flow(30.0, -90.0, cells=channel(None))
    assert pack.unseen(3.0, -90.0).soc_valid
    found = pack.flow(2.0, -90.0)
    assert found.discharge_throughput_ah == pytest.approx(34.9 * 90.0 / 3600.0)
    assert found.soc_valid and found.soc == pytest.approx(0.5, abs=0.01)


# ------------------------------------------------------------------ starting
def test_the_journal_is_believed_where_the_voltage_says_nothing() -> None:
    found = Pack(LFP, replace(HALF, charge_throughput_ah=120.0, discharge_throughput_ah=80.0)).scan(0.0, 3.295)
    assert (found.soc, found.soc_valid) == (pytest.approx(0.5, abs=0.02), True)
    assert (found.charge_throughput_ah, found.discharge_throughput_ah) == (120.0, 80.0)


def test_every_cell_starts_from_its_own_state_in_the_journal() -> None:
    kept = replace(HALF, cell_soc=(0.5, 0.45, 0.55, 0.5), cell_soc_sigma=(0.01,) * 4)
    found = Pack(LFP, kept).scan(0.0, 3.295)
    assert found.cells.soc == pytest.approx([0.5, 0.45, 0.55, 0.5], abs=0.01)


def test_a_journal_that_the_voltage_contradicts_loses() -> None:
    pack = Pack(survivor=HALF)
    found = pack.scan(0.0, 4.13)
    assert pack.state.cells is not None and pack.state.cells.soc.soc.min() > 0.85
    assert (found.soc, found.soc_valid) == (pytest.approx(0.5), False), "nothing jumps, and nobody is misled"
    assert found.soc_sigma > 0.3
    found = pack.run(480.0, 0.0, 4.13)
    assert found.soc > 0.85 and found.soc_valid


@pytest.mark.parametrize(
    "kept",
    [
        m.Survivor(NAN, 0.1),
        m.Survivor(1.05, 0.1),
        m.Survivor(-0.1, 0.1),
        m.Survivor(0.5, NAN),
        m.Survivor(0.5, 0.3),
        m.Survivor(0.5, 0.1, cell_soc=(0.5, 0.5, 2.0, 0.5), cell_soc_sigma=(0.1,) * 4),
        m.Survivor(cell_soc=(0.5,) * 3, cell_soc_sigma=(0.1,) * 3),
        None,
    ],
)
def test_a_journal_that_says_nothing_possible_leaves_the_start_to_the_voltage(kept: m.Survivor | None) -> None:
    found = Pack(survivor=kept).scan(0.0, 3.69)
    assert (found.soc, found.soc_valid) == (pytest.approx(0.5, abs=0.05), False)


def test_the_weakest_cell_decides_the_start() -> None:
    found = Pack().scan(0.0, [3.69, 3.54, 3.69, 3.79])
    assert found.soc == pytest.approx(0.2 / (0.2 + 0.4), abs=0.05)
    assert found.cells.soc == pytest.approx([0.5, 0.2, 0.5, 0.6], abs=0.05)


def test_half_an_hour_of_rest_vouches_for_a_start_from_voltage() -> None:
    pack = Pack()
    assert not pack.run(60.0, 0.0, 3.69).soc_valid
    assert not pack.run(1730.0, 0.0, 3.69, dt_s=0.25).soc_valid
    assert pack.run(20.0, 0.0, 3.69).soc_valid


def test_a_fifth_of_the_capacity_vouches_for_a_start_from_voltage() -> None:
    pack = Pack()
    assert not pack.run(600.0, -100.0, 3.55, dt_s=0.25).soc_valid
    found = pack.run(130.0, -100.0, 3.50, dt_s=0.25)
    assert found.discharge_throughput_ah == pytest.approx(20.3, abs=0.1)
    assert found.soc_valid


@pytest.mark.parametrize("between", ["silence", "unknown"])
def test_what_nobody_saw_is_no_rest(between: str) -> None:
    pack = Pack()
    pack.run(5.0, 0.0, 3.69)
    if between == "silence":
        pack.scan(0.0, 3.69, dt_s=2000.0)
    else:
        pack.run(2000.0, NAN, 3.69, dt_s=0.25)
    assert not pack.run(60.0, 0.0, 3.69).soc_valid


def test_load_starts_the_rest_anew() -> None:
    pack = Pack()
    pack.run(1000.0, 0.0, 3.69, dt_s=0.25)
    pack.scan(-50.0, 3.60)
    assert not pack.run(1500.0, 0.0, 3.69, dt_s=0.25).soc_valid


# ------------------------------------------------------------------ hearsay
@pytest.mark.parametrize(
    ("sigma", "monitor", "soc", "tolerance"),
    [(0.14, 0.62, 0.62, 0.03), (0.14, 0.95, 0.5, 0.03), (0.14, NAN, 0.5, 0.03), (0.04, 0.55, 0.5, 0.02)],
    ids=["a vague estimate takes it", "a contradiction is left aside", "unknown", "a good estimate keeps itself"],
)
def test_a_battery_monitor_sharpens_a_vague_estimate(
    sigma: float, monitor: float, soc: float, tolerance: float
) -> None:
    pack = Pack(LFP, m.Survivor(soc=0.5, soc_sigma=sigma))
    pack.run(1.5, 0.0, [NAN] * 4)
    shunt = channel(m.ShuntReading(0.0, soc=monitor), now_s=pack.now_s)
    pack.scan(0.0, [NAN] * 4, shunt=shunt)
    assert pack.run(1.5, 0.0, [NAN] * 4).soc == pytest.approx(soc, abs=tolerance)


@pytest.mark.parametrize("commissioned", [True, False])
def test_a_monitor_vouches_only_for_a_pack_that_was_commissioned(commissioned: bool) -> None:
    pack = Pack(LFP)
    pack.scan(0.0, 3.295)
    shunt = channel(m.ShuntReading(0.0, soc=0.5), now_s=pack.now_s)
    pack.scan(0.0, 3.295, shunt=shunt, health=m.Health(commissioned=commissioned))
    assert pack.run(1.5, 0.0, 3.295).soc_valid is commissioned


def test_what_a_monitor_says_again_is_no_news() -> None:
    pack = Pack(LFP)
    pack.scan(0.0, 3.295)
    for _ in range(30):
        shunt = channel(m.ShuntReading(0.0, soc=0.5), now_s=pack.now_s)
        found = pack.scan(0.0, [NAN] * 4, dt_s=1.0, shunt=shunt, health=m.Health(commissioned=False))
    assert 0.03 < found.soc_sigma < 0.1


def test_one_message_of_a_monitor_is_heard_once_before_the_next_look() -> None:
    """Ten a second repeat one count; its sigma is five points, however often it is said."""
    pack = Pack(LFP, m.Survivor(soc=0.5, soc_sigma=0.14))
    pack.run(1.5, 0.0, [NAN] * 4)
    for _ in range(8):
        shunt = channel(m.ShuntReading(0.0, soc=0.5), now_s=pack.now_s)
        pack.scan(0.0, [NAN] * 4, shunt=shunt)
    assert 0.04 < pack.run(1.5, 0.0, [NAN] * 4).soc_sigma < 0.06


# ------------------------------------------------------------------ what is told
def test_temperatures_that_are_not_known_allow_no_power() -> None:
    pack = Pack(survivor=HALF)
    assert pack.run(2.0).power.discharge_a[2] > 10.0
    for lost in (channel(None), channel(temps(NAN, NAN))):
        pack.scan(temps=lost)
        found = pack.scan(temps=lost, dt_s=1.0)
        assert (found.power, found.remaining) == (None, None)


def test_the_coldest_probe_bounds_the_power() -> None:
    pack = Pack(survivor=HALF)
    found = pack.scan(temps=temps(-5.0, 15.0, 15.0, 15.0))
    assert set(found.power.charge_binding) == {m.Binding.TEMPERATURE}, "charging begins at 2 degC"
    assert found.power.discharge_a[2] > 10.0


def test_the_hottest_probe_bounds_the_power() -> None:
    pack = Pack(survivor=HALF)
    pack.scan(temps=temps(20.0, 60.0, NAN))
    assert set(pack.state.estimate.power.charge_binding) == {m.Binding.TEMPERATURE}


def test_limits_of_the_configuration_bind_where_they_are_narrower() -> None:
    found = Pack(survivor=HALF).run(2.0)
    assert found.power.charge_a[0] == pytest.approx(50.0), "current.charge_max_a"
    assert found.power.discharge_a[0] == pytest.approx(100.0), "current.discharge_max_a"
    assert found.power.charge_binding[0] is found.power.discharge_binding[0] is m.Binding.RATED


def test_the_coldest_probe_takes_energy() -> None:
    energy_wh = []
    for probes in ((20.0, 20.0), (-10.0, 50.0)):
        pack = Pack(survivor=HALF)
        pack.state = replace(pack.state, load_a=-80.0)
        energy_wh.append(pack.scan(-80.0, 3.55, temps=temps(*probes)).remaining.energy_wh)
    assert energy_wh[1] < 0.95 * energy_wh[0]


def test_times_follow_the_mean_load_of_the_last_minutes() -> None:
    pack = Pack(LFP, HALF)
    found = pack.run(600.0, -20.0, 3.285, dt_s=0.25)
    assert pack.state.load_a == pytest.approx(-20.0, rel=0.02)
    assert found.remaining.time_to_empty_s == pytest.approx(3600.0 * found.remaining.charge_ah / 20.0, rel=0.02)
    assert math.isinf(found.remaining.time_to_full_s)


# ------------------------------------------------------------------ restarts
def test_what_is_kept_starts_the_next_run_where_this_one_ended() -> None:
    pack = Pack(LFP, HALF)
    pack.run(60.0, -30.0, [3.29, 3.28, 3.29, 3.30])
    kept = kept_charge(pack.state)
    again = Pack(LFP, kept)
    found = again.scan(0.0, [NAN] * 4)
    assert pack.state.cells is not None
    before = pack.state.cells.soc
    assert found.cells.soc == pytest.approx(before.soc, abs=1e-4)
    assert found.cells.soc_sigma == pytest.approx(before.soc_sigma, abs=1e-2)
    assert found.soc_valid
    assert found.discharge_throughput_ah == pytest.approx(pack.state.estimate.discharge_throughput_ah)


def test_a_restart_makes_no_charge_known_that_nobody_vouched_for() -> None:
    pack = Pack()
    assert not pack.run(5.0, -36.0).soc_valid
    kept = kept_charge(pack.state)
    assert math.isnan(kept.soc) and kept.cell_soc == ()
    assert kept.discharge_throughput_ah > 0.0 and kept.cell_health != ()
    assert not resume(kept).estimate.soc_valid
    assert not Pack(survivor=kept).run(2.0).soc_valid


def test_before_the_first_scan_what_was_kept_is_kept_again() -> None:
    assert kept_charge(resume(HALF)) == HALF


def test_an_estimator_that_lost_its_numbers_begins_anew_from_what_was_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*args: Any) -> SocState:
        after = step(*args)
        return replace(after, filter=replace(after.filter, mean=np.full_like(after.filter.mean, NAN)))

    pack = Pack(LFP, replace(HALF, soc=0.42, soc_sigma=0.02))
    before = pack.run(3.0, 0.0, 3.295)
    with monkeypatch.context() as patch:
        patch.setattr(soc_module, "step", lost)
        found = pack.run(1.0, 0.0, 3.295)
    assert (found.restarts, before.restarts) == (1, 0)
    assert found.soc == pytest.approx(before.soc, abs=0.02)
    assert before.soc == pytest.approx(0.42, abs=0.02), "not one half, where a start that nobody knows begins"
    assert before.soc_sigma < found.soc_sigma < 0.2
    assert (found.recovering, before.recovering) == (True, False)
    later = pack.run(595.0, 0.0, 3.295, dt_s=1.0)
    assert (later.restarts, later.recovering) == (1, True)
    assert not pack.run(10.0, 0.0, 3.295, dt_s=1.0).recovering


def test_a_kept_charge_that_voltages_contradict_is_told_late_and_the_lag_is_named() -> None:
    pack = Pack(NMC, replace(HALF, soc=0.9))
    found = pack.run(5.0, 0.0, 3.69)
    assert found.soc_lag > 0.2
    assert found.soc_sigma >= 0.9 * found.soc_lag, "the doubt holds it"
    caught_up = pack.run(600.0, 0.0, 3.69, dt_s=1.0)
    assert caught_up.soc_lag < 0.02


# ------------------------------------------------------------------ anything
@hypothesis_settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([LFP, NMC]),
    st.lists(
        st.tuples(
            st.one_of(st.floats(-2e3, 2e3), st.sampled_from([NAN, INF, -INF])),
            st.sampled_from([-1.0, 0.0, 0.1, 0.9, 1.0, 200.0, 4e3]),
            st.one_of(st.floats(0.5, 5.0), st.sampled_from([NAN, INF, -1e9])),
            st.one_of(st.floats(-60.0, 90.0), st.just(NAN)),
        ),
        max_size=25,
    ),
)
def test_whatever_comes_the_estimate_stays_finite_and_in_bounds(
    model: PackModel, steps: list[tuple[float, float, float, float]]
) -> None:
    pack = Pack(model, HALF)
    for current_a, dt_s, cell_v, degc in steps:
        found = pack.scan(current_a, cell_v, dt_s, temps=temps(degc, degc, degc))
        assert 0.0 <= found.soc <= 1.0 and 0.0 <= found.soc_sigma <= 1.0
        assert found.restarts == 0
        assert 0.0 < found.ageing.soh < 2.0
        assert all(math.isfinite(value) for value in kept_charge(pack.state).cell_health)
        assert (found.power is None) is (found.remaining is None)
        assert found.power is not None or degc != degc
        if found.power is None:
            continue
        for array in (found.power.discharge_a, found.power.charge_a, found.power.discharge_w, found.power.charge_w):
            assert np.isfinite(array).all() and (array >= 0.0).all()
        assert math.isfinite(found.remaining.energy_wh) and found.remaining.charge_ah >= 0.0
