"""Coulomb counting against its closed form, starts from journal and rest, and an uncertainty that never lies."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stages.stage_builders import SETTINGS, channel, measured, scan, settings

from bms_daemon import model as m
from bms_daemon.config.schema import Settings
from bms_daemon.estimation.coulomb import EstimateState, estimate, resume
from bms_daemon.estimation.ocv import OCV_V, SOC, soc_from_rest

NAN = float("nan")
NMC = settings(pack={"chemistry": "nmc"})


class Counter:
    """Scans one after another; capacity 100 Ah, rated 100 A, a scan every 0.1 s."""

    def __init__(self, survivor: m.Survivor | None = None, config: Settings = SETTINGS) -> None:
        self.config, self.now_s = config, 50.0
        self.state = resume(survivor, config)

    def scan(self, current_a: float, dt_s: float = 0.1, cell_v: float = 3.3) -> m.Estimate:
        self.now_s += dt_s
        seen = measured(self.now_s, cells=scan(cell_v, current_a=current_a))
        found, self.state = estimate(seen, self.state, self.config)
        return found


HALF = m.Survivor(soc=0.5, soc_sigma=0.02)


@pytest.mark.parametrize("current_a", [50.0, -50.0])
def test_a_constant_current_counts_as_its_closed_form(current_a: float) -> None:
    counter = Counter(HALF)
    counter.scan(current_a)
    for _ in range(3600):
        found = counter.scan(current_a)
    charge_ah = current_a * 360.0 / 3600.0
    assert found.soc == pytest.approx(0.5 + charge_ah / 100.0)
    assert (found.charge_throughput_ah, found.discharge_throughput_ah) == pytest.approx(
        (max(charge_ah, 0.0), max(-charge_ah, 0.0))
    )
    assert found.soc_sigma == pytest.approx(0.02 + 0.002 * 100.0 * 360.0 / 3600.0 / 100.0)
    assert found.soc_valid


def test_a_ramp_counts_as_its_trapezoid_over_the_scans_own_times() -> None:
    counter = Counter(HALF)
    counter.scan(0.0)
    counter.scan(-90.0, dt_s=0.2)
    assert counter.scan(-30.0, dt_s=0.1).discharge_throughput_ah == pytest.approx((45.0 * 0.2 + 60.0 * 0.1) / 3600.0)


@pytest.mark.parametrize("dt_s", [0.31, 10.0, 3600.0])
def test_a_gap_adds_uncertainty_and_no_charge(dt_s: float) -> None:
    counter = Counter(HALF)
    before = counter.scan(-80.0)
    found = counter.scan(-80.0, dt_s=dt_s)
    assert (found.soc, found.discharge_throughput_ah) == (0.5, 0.0)
    assert found.soc_sigma == pytest.approx(min(1.0, before.soc_sigma + dt_s * 100.0 / 3600.0 / 100.0))
    assert found.soc_valid is (dt_s < 3600.0)


@pytest.mark.parametrize("dt_s", [0.0, -5.0])
def test_time_that_stands_or_runs_back_counts_nothing(dt_s: float) -> None:
    counter = Counter(HALF)
    before = counter.scan(-80.0)
    assert counter.scan(-80.0, dt_s=dt_s) == before


@pytest.mark.parametrize("current_a", [NAN, float("inf")])
def test_a_current_that_is_no_number_is_a_gap(current_a: float) -> None:
    counter = Counter(HALF)
    before = counter.scan(-80.0)
    for found in (counter.scan(current_a), counter.scan(-80.0)):
        assert found.soc == 0.5
        assert found.soc_sigma > before.soc_sigma


def test_without_a_new_scan_nothing_is_counted() -> None:
    counter = Counter(HALF)
    counter.scan(-80.0)
    for cells in (channel(scan(current_a=-80.0), fresh=False), channel(None)):
        found, state = estimate(measured(99.0, cells=cells), counter.state, SETTINGS)
        assert (found, state) == (counter.state.estimate, counter.state)


# ------------------------------------------------------------------ starting
def test_the_journal_is_believed_with_its_uncertainty() -> None:
    kept = m.Survivor(0.63, 0.04, charge_throughput_ah=120.0, discharge_throughput_ah=80.0)
    assert resume(kept, SETTINGS).estimate == m.Estimate(0.63, 0.04, True, 100.0, 120.0, 80.0)
    assert not resume(m.Survivor(0.63, 0.26), SETTINGS).estimate.soc_valid


@pytest.mark.parametrize(
    "kept", [m.Survivor(NAN, 0.1), m.Survivor(1.05, 0.1), m.Survivor(-0.1, 0.1), m.Survivor(0.5, NAN), None]
)
def test_a_journal_that_says_nothing_possible_leaves_the_start_to_the_rest_voltage(kept: m.Survivor | None) -> None:
    empty = resume(kept, SETTINGS).estimate
    assert math.isnan(empty.soc)
    assert not empty.soc_valid
    found = Counter(kept, NMC).scan(0.0, cell_v=3.69)
    assert (found.soc, found.soc_valid) == (pytest.approx(0.5), False)


def test_throughput_outlives_an_unknown_state_of_charge() -> None:
    found = Counter(m.Survivor(charge_throughput_ah=7.0, discharge_throughput_ah=9.0)).scan(0.0)
    assert (found.charge_throughput_ah, found.discharge_throughput_ah) == (7.0, 9.0)


def test_a_start_under_load_is_a_guess_that_is_not_called_valid() -> None:
    found = Counter(config=NMC).scan(-50.0, cell_v=3.69)
    assert (found.soc_valid, found.soc_sigma) == (False, 0.3)


def test_the_weakest_cell_decides_the_start() -> None:
    seen = measured(cells=scan([3.69, 3.54, 3.69, 3.79]))
    assert estimate(seen, EstimateState(), NMC)[0].soc == pytest.approx(0.2)


def test_half_an_hour_of_rest_makes_a_worthless_count_valid_again() -> None:
    counter = Counter(config=NMC)
    assert not counter.scan(-50.0, cell_v=3.60).soc_valid
    assert not counter.scan(0.0, dt_s=1799.0, cell_v=3.69).soc_valid
    found = counter.scan(0.0, dt_s=1.1, cell_v=3.69)
    assert (found.soc, found.soc_valid) == (pytest.approx(0.5), True)


def test_a_valid_count_is_not_corrected_on_the_flat_part_of_the_curve() -> None:
    counter = Counter(HALF)
    counter.scan(0.0, cell_v=3.33)
    counter.state = replace(counter.state, loaded_s=counter.now_s - 7200.0)
    assert counter.scan(0.0, cell_v=3.33).soc == 0.5


# ------------------------------------------------------------------ open-circuit voltage
@pytest.mark.parametrize(
    ("chemistry", "cell_v", "soc"),
    [
        ("lfp", 2.0, 0.0),
        ("lfp", 3.2, 0.1),
        ("lfp", 3.45, 1.0),
        ("lfp", 3.65, 1.0),
        ("nmc", 3.69, 0.5),
        ("nmc", 4.2, 1.0),
    ],
)
def test_a_rest_voltage_gives_a_state_of_charge(chemistry: str, cell_v: float, soc: float) -> None:
    assert soc_from_rest(cell_v, chemistry)[0] == pytest.approx(soc)  # type: ignore[arg-type]


def test_the_flat_part_of_lfp_is_uncertain_and_the_slope_of_nmc_is_not() -> None:
    assert soc_from_rest(3.335, "lfp")[1] > 0.1
    assert soc_from_rest(3.69, "nmc")[1] < 0.03


@pytest.mark.parametrize("chemistry", OCV_V)
def test_curves_rise_and_have_a_voltage_for_every_state_of_charge(chemistry: str) -> None:
    assert OCV_V[chemistry].shape == SOC.shape
    assert (OCV_V[chemistry][1:] > OCV_V[chemistry][:-1]).all()


@hypothesis_settings(deadline=None, derandomize=True)
@given(
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.one_of(st.floats(-2e3, 2e3), st.just(NAN)), st.sampled_from([-1.0, 0.0, 0.1, 0.2, 5.0, 4e3]),
                       st.floats(0.5, 5.0)), max_size=30),
)  # fmt: skip
def test_a_state_of_charge_is_always_a_share_that_moves_no_faster_than_its_current(
    start: float, steps: list[tuple[float, float, float]]
) -> None:
    counter = Counter(m.Survivor(start, 0.05))
    last, fastest_a = counter.state.estimate, 0.0
    for current_a, dt_s, cell_v in steps:
        found = counter.scan(current_a, dt_s, cell_v)
        fastest_a = max(fastest_a, abs(current_a)) if current_a == current_a else fastest_a
        assert 0.0 <= found.soc <= 1.0
        assert 0.0 <= found.soc_sigma <= 1.0
        if found.soc_sigma >= last.soc_sigma:
            assert abs(found.soc - last.soc) <= fastest_a * max(dt_s, 0.0) / 3600.0 / 100.0 + 1e-9
        last = found


@pytest.mark.parametrize(
    ("survivor", "monitor", "soc", "sigma"),
    [
        (m.Survivor(soc=0.5, soc_sigma=0.2), 0.62, 0.62, 0.05),
        (m.Survivor(soc=0.5, soc_sigma=0.2), 0.95, 0.5, 0.2),
        (m.Survivor(soc=0.5, soc_sigma=0.2), NAN, 0.5, 0.2),
        (m.Survivor(soc=0.5, soc_sigma=0.04), 0.55, 0.5, 0.04),
    ],
    ids=["a vague estimate takes it", "a contradiction is left aside", "unknown", "a good estimate keeps itself"],
)
def test_a_battery_monitor_sharpens_a_vague_estimate(
    survivor: m.Survivor, monitor: float, soc: float, sigma: float
) -> None:
    counter = Counter(survivor)
    counter.scan(0.0)
    counter.now_s += 0.02
    seen = measured(counter.now_s, shunt=m.ShuntReading(0.0, soc=monitor), cells=None)
    found, counter.state = estimate(seen, counter.state, counter.config)
    assert (found.soc, found.soc_sigma) == pytest.approx((soc, sigma), abs=1e-6)


@pytest.mark.parametrize("commissioned", [True, False])
def test_a_monitor_vouches_only_for_a_pack_that_was_commissioned(commissioned: bool) -> None:
    counter = Counter()
    counter.scan(0.0)
    health = m.Health(commissioned=commissioned)
    seen = measured(counter.now_s + 0.02, shunt=m.ShuntReading(0.0, soc=0.5), cells=None, health=health)
    found, _ = estimate(seen, counter.state, counter.config)
    assert (found.soc, found.soc_valid) == (0.5, commissioned)
