"""Precharge, wear and recovery charging: what the contactor machine asks for before it closes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from stages.contactor_bench import BREAK, CLOSE, DIRECT, INHIBIT, LOST, LOW, NAN, OPEN, UNDER, Machine, Q, S
from stages.stage_builders import CLOSED_PINS, OPEN_PINS, channel, measured, scan

from bms_daemon import model as m
from bms_daemon.stages.contactors import why_not_close


# ------------------------------------------------------------------ precharge
def test_precharge_goes_by_voltage_and_not_by_time() -> None:
    machine = Machine(S.PRECHARGE)
    machine.state = replace(machine.state, control=replace(machine.state.control, since_s=machine.now_s))
    for _ in range(98):
        assert machine.step(cells=scan(link_v=12.0)).state is S.PRECHARGE
    assert machine.step(cells=scan(link_v=12.6)).state is S.CLOSED


@pytest.mark.parametrize(
    "cells", [scan(link_v=-13.2), scan(link_v=14.0), scan(link_v=13.2, pack_v=0.0), scan(link_v=NAN),
              channel(scan(link_v=13.2), Q.HELD)],
    ids=["reversed", "above the pack", "no pack voltage", "not known", "old"],
)  # fmt: skip
def test_a_link_that_is_not_at_pack_voltage_never_closes(cells: Any) -> None:
    machine = Machine(S.PRECHARGE)
    for _ in range(100):
        machine.step(cells=cells)
        assert not machine.command.main
    assert machine.at is S.STANDBY


def test_a_precharge_that_is_too_fast_is_none() -> None:
    machine = Machine(armed=True)
    machine.step(orders=CLOSE)
    control = machine.step(cells=scan(link_v=13.2), dt_s=0.04)
    assert (control.state, control.reason, control.precharge_fast) == (S.STANDBY, "precharge too fast", True)
    assert (control.precharge_tries, control.armed) == (1, False)


def test_failed_precharges_are_counted_rested_and_forgotten_by_success_or_order() -> None:
    machine = Machine()
    for tries in (1, 2):
        machine.step(orders=OPEN)
        assert machine.step(orders=CLOSE, dt_s=10.0).state is S.PRECHARGE
        assert machine.step(dt_s=2.0).precharge_tries == tries
    machine.step(orders=OPEN)
    assert machine.step(orders=CLOSE, dt_s=9.9).state is S.STANDBY
    assert machine.step(orders=m.Orders(clear=("precharge_failed",))).precharge_tries == 0
    machine.state = replace(
        machine.state, control=replace(machine.state.control, precharge_tries=2, precharge_fast=True)
    )
    machine.step(orders=CLOSE, dt_s=0.2)
    control = machine.step(cells=scan(link_v=13.2), dt_s=0.5)
    assert (control.state, control.precharge_tries, control.precharge_fast) == (S.CLOSED, 0, False)


def test_other_orders_to_clear_leave_the_count_of_tries() -> None:
    machine = Machine(precharge_tries=2)
    assert machine.step(orders=m.Orders(clear=("deep_discharge",))).precharge_tries == 2
    assert machine.step(orders=m.Orders(clear=("all",))).precharge_tries == 0


def test_a_precharge_that_was_broken_off_warms_the_resistor_too() -> None:
    machine = Machine(armed=True)
    machine.step(orders=CLOSE)
    assert machine.step(orders=OPEN).precharge_tries == 0
    assert machine.step(orders=CLOSE, dt_s=9.9).state is S.STANDBY
    assert machine.step(orders=CLOSE, dt_s=0.2).state is S.PRECHARGE


def test_a_path_without_precharge_closes_directly() -> None:
    machine = Machine(armed=True, config=DIRECT)
    assert machine.step(orders=CLOSE).state is S.CLOSED
    assert machine.command == m.Command(main=True, charge=True, discharge=True, alive=True)


# ------------------------------------------------------------------ wear
def test_two_closings_are_at_least_a_minute_apart() -> None:
    machine = Machine().closed()
    closed_s = machine.now_s
    machine.step(orders=OPEN)
    machine.step()
    while machine.step(orders=CLOSE, dt_s=1.0).state is S.STANDBY:
        assert machine.now_s < closed_s + 61.0
    assert machine.now_s >= closed_s + 60.0


def test_an_hour_has_at_most_ten_closings() -> None:
    machine = Machine(config=DIRECT)
    began_s, closes = machine.now_s, 0
    while machine.now_s < began_s + 3600.0:
        machine.step(orders=OPEN, dt_s=31.0)
        machine.step(orders=OPEN)
        closes += machine.step(orders=CLOSE, dt_s=31.0).state is S.CLOSED
    assert closes == machine.state.control.closes == 10


# ------------------------------------------------------------------ recovery charge
NO_RECOVERY: dict[str, dict[str, Any]] = {
    "not asked for": {"orders": m.Orders()},
    "not low": {"cells": scan(2.71, link_v=13.0)},
    "too low": {"cells": scan(1.99, link_v=13.0)},
    "no charger": {"cells": scan(2.6, link_v=1.0)},
    "charger the wrong way round": {"cells": scan(2.6, link_v=-13.0)},
    "cells lost": LOST,
    "cells held": {"cells": channel(scan(2.6, link_v=13.0), Q.HELD)},
    "contact closed": {"pins": CLOSED_PINS},
    "another fault": {"faults": replace(UNDER, but_low=INHIBIT)},
    "a fault of no low cell": {"faults": INHIBIT},
    "too cold": {"faults": replace(UNDER, but_low=m.Faults(block_charge=True))},
    "opened at once": {"orders": m.Orders(recovery=True, open=True)},
    "shutting down": {"orders": m.Orders(recovery=True, shutdown=True)},
}


@pytest.mark.parametrize("parts", NO_RECOVERY.values(), ids=NO_RECOVERY)
def test_recovery_charging_is_refused(parts: dict[str, Any]) -> None:
    machine = Machine(S.LATCHED, armed=True)
    machine.step(**({"faults": UNDER} | LOW | parts))
    assert machine.command == m.Command()


def test_recovery_charging_goes_on_under_the_faults_that_it_cures_and_ends_latched() -> None:
    machine = Machine(S.LATCHED, armed=True)
    for _ in range(50):
        assert machine.step(UNDER, **LOW).state is S.RECOVERY_CHARGE
    assert machine.command == m.Command(main=True, charge=True, discharge=True, alive=True)
    assert machine.step(UNDER, cells=scan(2.81)).state is S.OPENING
    assert machine.step(UNDER, cells=scan(2.81)).state is S.FAULT
    assert machine.step(UNDER, cells=scan(2.81)).state is S.LATCHED


def test_recovery_charging_lasts_half_an_hour_at_most() -> None:
    machine = Machine(S.LATCHED, armed=True)
    began_s = machine.now_s
    while machine.step(UNDER, dt_s=1.0, **LOW).state is S.RECOVERY_CHARGE:
        assert machine.now_s - began_s <= 1801.0
    assert machine.now_s - began_s == pytest.approx(1801.0)


def test_recovery_charging_counts_as_a_closing_and_keeps_its_distance() -> None:
    machine = Machine(S.LATCHED, armed=True)
    machine.step(UNDER, **LOW)
    assert machine.state.control.closes == 1
    machine.step(UNDER, orders=OPEN)
    for _ in range(3):
        machine.step(UNDER)
    machine.step(UNDER, orders=OPEN)
    assert machine.step(UNDER, **LOW).state is S.LATCHED
    assert machine.step(UNDER, dt_s=60.0, **LOW).state is S.RECOVERY_CHARGE


@pytest.mark.parametrize(
    ("machine", "link_v", "charger"),
    [
        (Machine(S.LATCHED), 13.0, None),
        (Machine(S.LATCHED, armed=True), 16.0, None),
        (Machine(S.LATCHED, armed=True), 13.0, m.VcuRequest(m.Request.RECOVERY_CHARGE, False, False)),
    ],
    ids=["not armed", "a link above the pack", "a controller that sees no charger"],
)
def test_recovery_charging_closes_onto_nothing_but_a_charger_at_the_packs_voltage(
    machine: Machine, link_v: float, charger: m.VcuRequest | None
) -> None:
    orders = m.Orders(recovery=True)
    machine.step(UNDER, cells=scan(2.6, link_v=link_v), orders=orders, vcu=channel(charger))
    assert machine.command == m.Command()


def test_an_order_to_recover_does_not_hide_a_low_cell_from_a_close() -> None:
    machine = Machine(armed=True)
    both = m.Orders(close=True, recovery=True)
    machine.step(replace(UNDER, latched=()), cells=scan(2.3, link_v=0.0), orders=both)
    assert machine.command == m.Command()


def test_an_open_fault_in_recovery_charging_waits_its_own_fuse_time() -> None:
    machine = Machine(S.LATCHED, armed=True)
    for _ in range(100):
        machine.step(UNDER, **LOW)
    worse = replace(UNDER, but_low=BREAK)
    control = machine.step(worse, cells=scan(2.6, link_v=13.0, current_a=900.0))
    assert (control.state, control.open_pending) == (S.RECOVERY_CHARGE, True)
    assert machine.step(worse, cells=scan(2.6, link_v=13.0, current_a=900.0), dt_s=0.5).state is S.FAULT


def test_what_one_sample_showed_and_none_has_confirmed_forbids_closing() -> None:
    machine = Machine(armed=True)
    assert machine.step(m.Faults(suspect=True), orders=CLOSE).state is S.STANDBY
    assert machine.step(orders=CLOSE).state is S.PRECHARGE


LIGHT = m.Fault("fan_failed", 50, m.Domain.THERMAL, m.Reaction.DERATE, False, 0.0)
HEAVY = m.Fault("afe_lost", 11, m.Domain.COMMUNICATION, m.Reaction.STOP, False, 0.0)


@pytest.mark.parametrize(
    ("machine", "faults", "parts", "told"),
    [
        (Machine(S.PRECHARGE), m.Faults(), {}, "the pack is precharge"),
        (Machine(S.FAULT), m.Faults((LIGHT, HEAVY)), {}, "the pack is kept open: afe_lost"),
        (Machine(S.LATCHED), m.Faults((HEAVY,), ("sum",)), {}, "the pack is latched: sum"),
        (Machine(S.SAFE), m.Faults(), LOST,
         "the pack is starting: cells, temperatures, current or inputs are not known"),
        (Machine(S.SELF_TEST), m.Faults(), {"pins": CLOSED_PINS},
         "the pack is testing itself: a contact reports closed"),
        (Machine(armed=True), m.Faults((HEAVY,), inhibit=True), {}, "forbidden by afe_lost"),
        (Machine(armed=True), m.Faults(block_charge=True, block_discharge=True), {},
         "charging and discharging are both blocked"),
        (Machine(), m.Faults(), {}, "ask to open first"),
        (Machine(armed=True), m.Faults(suspect=True), {}, "a sample looks bad and has not been confirmed"),
        (Machine(armed=True), m.Faults(), LOST, "cells, temperatures, current or inputs are not known"),
        (Machine(armed=True), m.Faults(), {"pins": CLOSED_PINS}, "a contact reports closed"),
        (Machine(armed=True), m.Faults(), {"cells": scan(link_v=6.0)}, "the link has a voltage, or it is not known"),
        (Machine(armed=True), m.Faults(), {}, ""),
    ],
)  # fmt: skip
def test_a_request_to_close_is_told_what_it_would_wait_for(
    machine: Machine, faults: m.Faults, parts: dict[str, Any], told: str
) -> None:
    seen = measured(machine.now_s, **({"pins": OPEN_PINS} | parts))
    assert why_not_close(seen, faults, machine.state, machine.config, machine.now_s) == told
    closes = machine.step(faults, orders=CLOSE, dt_s=0.0, **parts).state is S.PRECHARGE
    assert machine.at is S.PRECHARGE or closes is (told == "")


def test_a_request_to_close_is_told_how_long_closings_keep_apart() -> None:
    machine = Machine(armed=True).closed()
    machine.step(orders=OPEN)
    machine.step(dt_s=15.0)
    state = replace(machine.state, control=replace(machine.state.control, state=S.STANDBY))
    seen = measured(machine.now_s, pins=OPEN_PINS)
    text = why_not_close(seen, m.Faults(), state, machine.config, machine.now_s)
    assert text == "closings keep their distance: 45 s to go"
