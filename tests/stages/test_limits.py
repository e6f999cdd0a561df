"""Published limits: how they fall and rise, and which reason binds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages.stage_builders import AMPLE, CLOSED_PINS, OPEN_PINS, SETTINGS, channel, estimated, measured, scan, temps

from bms_daemon import model as m
from bms_daemon.stages.limits import limits, ramp

B, S = m.Binding, m.PackState
FULL = m.Limits(50.0, 100.0)
CLOSED = m.Control(S.CLOSED)


def allowed(
    control: m.Control = CLOSED,
    faults: m.Faults = m.Faults(),
    last: m.Limits = FULL,
    estimate: m.Estimate = AMPLE,
    **parts: Any,
) -> m.Limits:
    parts.setdefault("pins", CLOSED_PINS)
    return limits(measured(**parts), estimate, faults, control, last, SETTINGS)


def amps(found: m.Limits) -> tuple[float, float]:
    return found.charge_a, found.discharge_a


@pytest.mark.parametrize(
    ("x", "share"), [(3.8, 0.0), (3.65, 0.0), (3.575, 0.5), (3.5, 1.0), (3.0, 1.0), (float("nan"), 0.0)]
)
def test_a_ramp_falls_from_one_to_zero(x: float, share: float) -> None:
    assert ramp(x, zero_at=3.65, full_at=3.5) == pytest.approx(share)


def test_a_healthy_closed_pack_allows_what_it_is_rated_for() -> None:
    found = allowed(cells=scan(3.3))
    assert amps(found) == (50.0, 100.0)
    assert (found.charge_w, found.discharge_w) == pytest.approx((50.0 * 13.2, 100.0 * 13.2))
    assert (found.max_v, found.min_v) == pytest.approx((14.6, 10.8))
    assert found.charge_binding is found.discharge_binding is B.RATED


def test_what_a_batterys_own_gauge_asks_for_is_honoured_in_its_direction() -> None:
    found = allowed(cells=scan(3.3, charge_max_a=12.0))
    assert (amps(found), found.charge_binding) == ((12.0, 100.0), B.BATTERY)
    found = allowed(cells=scan(3.3, discharge_max_a=0.0))
    assert (amps(found), found.discharge_binding) == ((50.0, 0.0), B.BATTERY)


@pytest.mark.parametrize(
    ("cell_v", "charge_a", "discharge_a"),
    [(3.5, 50.0, 100.0), (3.575, 25.0, 100.0), (3.65, 0.0, 100.0), (3.7, 0.0, 100.0), (2.85, 50.0, 100.0),
     (2.775, 50.0, 50.0), (2.7, 50.0, 0.0), (2.5, 50.0, 0.0)],
)  # fmt: skip
def test_the_highest_cell_limits_charge_and_the_lowest_discharge(
    cell_v: float, charge_a: float, discharge_a: float
) -> None:
    cells = [3.3, 3.3, cell_v, 3.3]
    found = allowed(cells=scan(cells))
    assert amps(found) == pytest.approx((charge_a, discharge_a))
    assert (found.charge_binding is B.CELL_VOLTAGE) is (charge_a < 50.0)
    assert (found.discharge_binding is B.CELL_VOLTAGE) is (discharge_a < 100.0)


@pytest.mark.parametrize(
    ("degc", "charge_a", "discharge_a"),
    [(20.0, 50.0, 100.0), (42.5, 25.0, 100.0), (45.0, 0.0, 100.0), (52.5, 0.0, 50.0), (55.0, 0.0, 0.0),
     (4.5, 25.0, 100.0), (2.0, 0.0, 100.0), (-12.5, 0.0, 50.0), (-15.0, 0.0, 0.0)],
)  # fmt: skip
def test_the_worst_probe_limits_both_directions(degc: float, charge_a: float, discharge_a: float) -> None:
    found = allowed(temps=temps(20.0, float("nan"), degc))
    assert amps(found) == pytest.approx((charge_a, discharge_a))
    assert (found.charge_binding is B.TEMPERATURE) is (charge_a < 50.0)


@pytest.mark.parametrize(
    ("charge_a", "discharge_a", "why", "found_a"),
    [
        (20.0, 30.0, B.CELL_VOLTAGE, (20.0, 30.0)),
        (0.0, 0.0, B.CELL_VOLTAGE, (0.0, 0.0)),
        (0.0, 0.0, B.TEMPERATURE, (0.0, 0.0)),
        (20.0, 30.0, B.SOC, (20.0, 30.0)),
        (80.0, 120.0, B.CELL_VOLTAGE, (50.0, 100.0)),
    ],
    ids=["less", "nothing by voltage", "nothing by temperature", "less by charge", "more"],
)
def test_what_the_cells_can_do_for_ten_seconds_limits(
    charge_a: float, discharge_a: float, why: m.Binding, found_a: tuple[float, float]
) -> None:
    found = allowed(estimate=estimated(charge_a, discharge_a, why))
    assert amps(found) == found_a
    assert (found.charge_binding is why) is (found_a[0] < 50.0)
    assert (found.discharge_binding is why) is (found_a[1] < 100.0)


def test_while_nobody_has_worked_out_the_power_nothing_is_allowed() -> None:
    found = allowed(estimate=m.Estimate())
    assert (amps(found), found.charge_binding, found.discharge_binding) == ((0.0, 0.0), B.STALE, B.STALE)


@pytest.mark.parametrize("state", [state for state in S if state not in (S.CLOSED, S.RECOVERY_CHARGE, S.OPENING)])
def test_a_pack_that_is_not_closed_allows_nothing(state: m.PackState) -> None:
    found = allowed(m.Control(state))
    assert (amps(found), found.charge_w, found.charge_binding) == ((0.0, 0.0), 0.0, B.NOT_CLOSED)
    assert found.max_v == pytest.approx(14.6)


def test_a_contactor_that_has_not_followed_yet_allows_nothing() -> None:
    found = allowed(pins=OPEN_PINS)
    assert (amps(found), found.discharge_binding) == ((0.0, 0.0), B.NOT_CLOSED)


@pytest.mark.parametrize("pins", [m.Pins(), None], ids=["not fitted", "not known"])
def test_a_contact_that_says_nothing_does_not_limit(pins: m.Pins | None) -> None:
    assert amps(allowed(pins=pins)) == (50.0, 100.0)


@pytest.mark.parametrize("state", [S.OPENING, S.CLOSED])
def test_an_opening_is_announced_by_limits_of_nothing(state: m.PackState) -> None:
    found = allowed(m.Control(state, open_pending=True))
    assert (amps(found), found.charge_binding, found.discharge_binding) == ((0.0, 0.0), B.OPENING, B.OPENING)


@pytest.mark.parametrize("lost", ["cells", "temps"])
def test_what_is_not_known_allows_nothing(lost: str) -> None:
    found = allowed(**{lost: channel(None)})
    assert (amps(found), found.charge_binding, found.discharge_binding) == ((0.0, 0.0), B.STALE, B.STALE)


@pytest.mark.parametrize(
    ("faults", "charge_a", "discharge_a"),
    [
        (m.Faults(block_charge=True), 0.0, 100.0),
        (m.Faults(block_discharge=True), 50.0, 0.0),
        (m.Faults(derate=0.5), 25.0, 50.0),
        (m.Faults(derate=0.0), 0.0, 0.0),
        (m.Faults(derate=0.5, block_charge=True), 0.0, 50.0),
    ],
)
def test_a_fault_blocks_and_derates(faults: m.Faults, charge_a: float, discharge_a: float) -> None:
    found = allowed(faults=faults)
    assert amps(found) == (charge_a, discharge_a)
    assert (found.charge_binding is B.FAULT) is (charge_a < 50.0)
    assert (found.discharge_binding is B.FAULT) is (discharge_a < 100.0)


def test_recovery_charging_is_a_twentieth_of_the_capacity_and_no_discharge() -> None:
    found = allowed(m.Control(S.RECOVERY_CHARGE), cells=scan(2.5))
    assert amps(found) == (5.0, 0.0)
    assert found.charge_binding is found.discharge_binding is B.RECOVERY


def test_a_fault_blocks_recovery_charging_too() -> None:
    assert allowed(m.Control(S.RECOVERY_CHARGE), m.Faults(block_charge=True)).charge_a == 0.0


def test_a_limit_rises_at_its_rate_and_falls_at_once() -> None:
    risen = allowed(last=m.Limits(10.0, 20.0))
    assert amps(risen) == pytest.approx((10.4, 20.4))
    assert risen.charge_binding is risen.discharge_binding is B.RISING
    assert amps(allowed(cells=scan([3.65, 2.7, 3.3, 3.3]))) == (0.0, 0.0)


def test_from_zero_a_limit_takes_its_time_to_the_top() -> None:
    last, ticks = m.Limits(), 0
    while last.charge_a < 50.0:
        last, ticks = allowed(last=last), ticks + 1
    assert ticks == pytest.approx(50.0 / 20.0 / 0.02, abs=1)


VOLTS = st.floats(1.0, 4.5)
DEGREES = st.one_of(st.floats(-60.0, 120.0), st.just(float("nan")))
SHARE = st.floats(0.0, 1.0)


@given(st.lists(VOLTS, min_size=4, max_size=4), st.floats(-60.0, 120.0), DEGREES, SHARE, st.booleans(), st.booleans(),
       st.floats(0.0, 60.0), st.floats(-5.0, 60.0), st.sampled_from(S), st.booleans())  # fmt: skip
def test_limits_are_never_negative_and_never_above_the_maximum(
    cells: list[float], known: float, probe: float, derate: float, block_c: bool, block_d: bool, last_a: float,
    stack_v: float, state: m.PackState, pending: bool,
) -> None:  # fmt: skip
    faults = m.Faults(derate=derate, block_charge=block_c, block_discharge=block_d)
    found = allowed(m.Control(state, open_pending=pending), faults, m.Limits(last_a, last_a),
                    cells=scan(cells, stack_v=stack_v), temps=temps(known, probe))  # fmt: skip
    assert 0.0 <= found.charge_a <= 50.0 * (not block_c) * derate
    assert 0.0 <= found.discharge_a <= 100.0 * (not block_d) * derate
    assert found.charge_a <= last_a + 0.4 + 1e-9
    assert found.charge_w >= 0.0
    assert found.discharge_w >= 0.0


@given(VOLTS, VOLTS, DEGREES)
def test_a_higher_cell_never_allows_more_charge_nor_a_lower_one_more_discharge(
    a_v: float, b_v: float, degc: float
) -> None:
    low, high = (allowed(cells=scan(cell_v), temps=temps(20.0, degc)) for cell_v in sorted((a_v, b_v)))
    assert high.charge_a <= low.charge_a
    assert high.discharge_a >= low.discharge_a
