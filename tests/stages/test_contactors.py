"""The contactor machine, row by row: what takes it from state to state, and what is energised there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from stages.contactor_bench import (
    BREAK,
    CLOSE,
    DIRECT,
    INHIBIT,
    LATCH,
    LOST,
    LOW,
    NAN,
    NONE,
    OPEN,
    STOP,
    UNDER,
    Machine,
    Q,
    S,
    flowing,
)
from stages.stage_builders import CLOSED_PINS, SETTINGS, channel, scan, settings

from bms_daemon import model as m
from bms_daemon.config.schema import Settings
from bms_daemon.stages.contactors import ENERGISED, TABLE

# ------------------------------------------------------------------ one case a row, and from each of its states
ROWS: list[tuple[m.PackState, m.PackState, str, m.Faults, dict[str, Any]]] = [
    (S.CLOSED, S.FAULT, "cell_over_voltage", BREAK, {}),
    (S.OPENING, S.FAULT, "cell_over_voltage", BREAK, flowing(-90.0)),
    (S.RECOVERY_CHARGE, S.FAULT, "cell_over_voltage", BREAK, flowing(5.0)),
    (S.PRECHARGE, S.FAULT, "cell_over_voltage", STOP, {}),
    (S.PRECHARGE, S.STANDBY, "asked to open", NONE, {"orders": OPEN}),
    (S.PRECHARGE, S.STANDBY, "asked to open", NONE, {"orders": m.Orders(shutdown=True)}),
    (S.PRECHARGE, S.CLOSED, "link precharged", NONE, {"cells": scan(link_v=12.6)}),
    (S.PRECHARGE, S.STANDBY, "precharge took too long", NONE, {"dt_s": 1.1, "cells": scan(link_v=12.5)}),
    (S.CLOSED, S.OPENING, "cell_over_voltage", STOP, flowing(-90.0)),
    (S.RECOVERY_CHARGE, S.OPENING, "cell_over_voltage", STOP, flowing(5.0)),
    (S.CLOSED, S.OPENING, "shutting down", NONE, {"orders": m.Orders(shutdown=True)}),
    (S.CLOSED, S.OPENING, "asked to open", NONE, {"orders": OPEN}),
    (S.RECOVERY_CHARGE, S.OPENING, "asked to open", NONE, {"orders": OPEN}),
    (S.RECOVERY_CHARGE, S.OPENING, "recovery charge ended", NONE, {"cells": scan(2.81)}),
    (S.RECOVERY_CHARGE, S.OPENING, "recovery charge ended", NONE, {"dt_s": 1799.0, "cells": scan(2.5)}),
    (S.OPENING, S.STANDBY, "opened", NONE, flowing(-4.9)),
    (S.OPENING, S.STANDBY, "opened", NONE, {"dt_s": 1.0} | flowing(-90.0)),
    (S.STANDBY, S.RECOVERY_CHARGE, "recovery charge asked for", NONE, LOW),
    (S.FAULT, S.RECOVERY_CHARGE, "recovery charge asked for", replace(UNDER, latched=()), LOW),
    (S.LATCHED, S.RECOVERY_CHARGE, "recovery charge asked for", UNDER, LOW),
    (S.SAFE, S.SELF_TEST, "inputs present", NONE, {}),
    (S.SELF_TEST, S.STANDBY, "self-test passed", NONE, {}),
    (S.STANDBY, S.LATCHED, "latched fault", LATCH, {}),
    (S.FAULT, S.LATCHED, "latched fault", LATCH, {}),
    (S.STANDBY, S.FAULT, "cell_over_voltage", STOP, {}),
    (S.LATCHED, S.FAULT, "latch cleared", NONE, {}),
    (S.FAULT, S.STANDBY, "fault gone", NONE, {}),
    (S.STANDBY, S.PRECHARGE, "asked to close", NONE, {"orders": CLOSE}),
]


@pytest.mark.parametrize(
    ("before", "after", "reason", "faults", "parts"), ROWS, ids=lambda part: getattr(part, "name", "")
)
def test_a_row_of_the_table_is_taken(
    before: m.PackState, after: m.PackState, reason: str, faults: m.Faults, parts: dict[str, Any]
) -> None:
    machine = Machine(before, armed=True)
    control = machine.step(faults, **parts)
    assert (control.state, control.reason, control.since_s) == (after, reason, machine.now_s)


FAST = (S.PRECHARGE, S.STANDBY), (S.STANDBY, S.CLOSED)  # too fast, and closing without precharge: tested further down


def test_every_row_of_the_table_has_a_case() -> None:
    pairs = {(at, row.to) for row in TABLE for at in row.at}
    assert pairs == {(before, after) for before, after, *_ in ROWS} | set(FAST)


@pytest.mark.parametrize("state", S)
def test_without_a_reason_a_state_is_kept(state: m.PackState) -> None:
    quiet = {S.OPENING: flowing(-90.0), S.RECOVERY_CHARGE: {"cells": scan(2.6)}}
    missing = {S.SAFE: LOST, S.SELF_TEST: {"health": m.Health(limits_accepted=False)}}
    standing = {S.FAULT: INHIBIT, S.LATCHED: LATCH}
    machine = Machine(state, armed=True)
    assert machine.step(standing.get(state, NONE), **(quiet | missing).get(state, {})).state is state


# ------------------------------------------------------------------ what is energised
@pytest.mark.parametrize("state", [state for state in S if state not in ENERGISED])
def test_nothing_is_energised_in_any_other_state(state: m.PackState) -> None:
    machine = Machine(state)
    for faults in (INHIBIT, LATCH):
        machine.step(faults, **LOST)
        assert machine.at not in ENERGISED
        assert machine.command == m.Command()


def test_precharge_energises_its_relay_alone() -> None:
    machine = Machine(armed=True)
    machine.step(orders=CLOSE)
    assert machine.command == m.Command(precharge=True, charge=True, discharge=True, alive=True)


def test_closed_energises_main_and_overlaps_precharge_until_the_contact_has_moved() -> None:
    machine = Machine().closed()
    assert machine.command == m.Command(True, True, True, True, alive=True)
    machine.step(dt_s=0.19)
    assert machine.command.precharge
    machine.step(dt_s=0.02)
    assert machine.command == m.Command(True, False, True, True, alive=True)


def test_the_dead_man_lives_on_known_cells_or_on_an_opening_that_ends() -> None:
    machine = Machine(S.CLOSED)
    machine.step(**LOST)
    assert not machine.command.alive
    machine = Machine(S.CLOSED)
    machine.step(STOP, **LOST)
    assert (machine.at, machine.command.alive) == (S.OPENING, True)


@pytest.mark.parametrize("state", S)
def test_the_second_disconnect_is_tripped_in_any_state_with_the_main_off(state: m.PackState) -> None:
    machine = Machine(state)
    machine.step(replace(BREAK, second=True))
    assert machine.command == m.Command(second=machine.at is not S.PRECHARGE)


# ------------------------------------------------------------------ opening
@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("orders", [m.Orders(), CLOSE, m.Orders(recovery=True), m.Orders(close=True, recovery=True)])
def test_an_open_fault_releases_the_coil_in_this_tick_from_any_state(state: m.PackState, orders: m.Orders) -> None:
    machine = Machine(state, armed=True)
    machine.step(
        replace(UNDER, latched=()) if state is not S.RECOVERY_CHARGE else BREAK, cells=scan(link_v=0.0), orders=orders
    )
    assert not (machine.command.main or machine.command.precharge)


@pytest.mark.parametrize("current_a", [-300.1, 300.1])
def test_above_its_breaking_current_an_opening_waits_for_the_fuse_and_no_longer(current_a: float) -> None:
    machine = Machine(S.CLOSED)
    control = machine.step(BREAK, **flowing(current_a))
    assert (control.state, control.open_pending, control.countdown_s) == (S.CLOSED, True, pytest.approx(0.5))
    assert machine.step(BREAK, dt_s=0.48, **flowing(current_a)).countdown_s == pytest.approx(0.02)
    assert machine.command.main
    machine.step(BREAK, **flowing(current_a))
    assert (machine.at, machine.command.main) == (S.FAULT, False)


def test_when_the_fuse_has_cleared_the_contactor_opens_although_the_fault_is_gone() -> None:
    machine = Machine(S.CLOSED)
    machine.step(BREAK, **flowing(-900.0))
    control = machine.step(NONE, **flowing(0.0))
    assert (control.state, control.reason, control.open_pending) == (S.FAULT, "fault", False)


def test_a_fault_that_goes_while_the_fuse_melts_is_still_an_opening() -> None:
    machine = Machine(S.CLOSED)
    machine.step(BREAK, **flowing(-900.0))
    assert machine.step(NONE, **flowing(-900.0)).open_pending
    assert machine.step(NONE, dt_s=0.5, **flowing(-900.0)).state is S.FAULT


def test_an_opening_fault_of_the_past_leaves_no_fuse_time_behind() -> None:
    machine = Machine(S.CLOSED)
    machine.step(BREAK)
    for _ in range(2):
        machine.step()
    machine.state = replace(machine.state, control=m.Control(S.CLOSED, since_s=machine.now_s))
    assert machine.step(dt_s=60.0, **flowing(-90.0)).state is S.CLOSED
    assert machine.step(BREAK, **flowing(-900.0)).state is S.CLOSED


@pytest.mark.parametrize(
    "parts", [{"faults": replace(BREAK, at_once=True)} | flowing(-900.0), {"faults": BREAK} | LOST]
)
def test_the_emergency_stop_and_an_unknown_current_wait_for_no_fuse(parts: dict[str, Any]) -> None:
    machine = Machine(S.CLOSED)
    assert machine.step(**parts).state is S.FAULT


@pytest.mark.parametrize(
    ("profile", "orders", "faults", "parts", "grace_s"),
    [
        ("home", m.Orders(), STOP, flowing(-90.0), 2.0),
        ("vehicle", m.Orders(), STOP, flowing(-90.0), 5.0),
        ("home", OPEN, NONE, flowing(-90.0), 2.0),
        ("home", m.Orders(shutdown=True), NONE, flowing(-90.0), 8.0),
        ("home", m.Orders(shutdown=True), STOP, flowing(-90.0), 2.0),
        ("vehicle", m.Orders(), STOP, LOST, 0.5),
        ("home", m.Orders(shutdown=True), NONE, LOST, 0.5),
        ("vehicle", m.Orders(), STOP, LOST | {"current_a": -90.0}, 1.0),
    ],
    ids=["home", "vehicle", "operator", "shutdown", "fault at shutdown", "unknown", "unknown at shutdown", "unseen"],
)
def test_a_stop_is_announced_at_once_and_opens_when_its_grace_ends(
    profile: str, orders: m.Orders, faults: m.Faults, parts: dict[str, Any], grace_s: float
) -> None:
    machine = Machine(S.CLOSED, settings(node={"profile": profile}))
    control = machine.step(faults, orders=orders, **parts)
    began_s = machine.now_s
    assert (control.state, control.open_pending, control.countdown_s) == (S.OPENING, True, pytest.approx(grace_s))
    while machine.command.main:
        assert machine.step(faults, orders=orders, **parts).countdown_s >= 0.0
        assert machine.now_s - began_s <= grace_s + 0.03
    assert machine.now_s - began_s == pytest.approx(grace_s, abs=0.021)
    assert not machine.state.control.open_pending


@pytest.mark.parametrize("current_a", [4.9, -4.9, 0.0])
def test_a_stop_opens_as_soon_as_the_current_is_low(current_a: float) -> None:
    machine = Machine(S.CLOSED)
    machine.step(STOP, **flowing(-90.0))
    machine.step(STOP, **flowing(5.1))
    assert machine.command.main
    machine.step(STOP, **flowing(current_a))
    assert not machine.command.main


def test_an_inhibit_leaves_a_closed_pack_alone() -> None:
    machine = Machine(S.CLOSED)
    assert machine.step(INHIBIT).state is S.CLOSED


# ------------------------------------------------------------------ closing
def test_a_close_without_an_open_before_does_nothing() -> None:
    machine = Machine()
    for _ in range(10):
        assert machine.step(orders=CLOSE).state is S.STANDBY


def test_open_then_close_precharges_and_closes_once() -> None:
    machine = Machine().closed()
    assert (machine.state.control.closes, machine.state.control.armed) == (1, False)


def test_contradicting_orders_open() -> None:
    machine = Machine(armed=True)
    assert machine.step(orders=m.Orders(open=True, close=True)).state is S.STANDBY
    assert machine.step(orders=m.Orders(close=True, shutdown=True)).state is S.STANDBY


NOT_NOW: dict[str, dict[str, Any]] = {
    "inhibited": {"faults": INHIBIT},
    "latched": {"faults": LATCH},
    "blocked both ways": {"faults": m.Faults(block_charge=True, block_discharge=True)},
    "cells held": {"cells": channel(scan(), Q.HELD)},
    "cells lost": LOST,
    "temperatures lost": {"temps": channel(None)},
    "inputs lost": {"pins": channel(None)},
    "main contact closed": {"pins": CLOSED_PINS},
    "precharge contact closed": {"pins": m.Pins(precharge_aux_closed=True)},
    "link live": {"cells": scan(link_v=5.1)},
    "link live the other way": {"cells": scan(link_v=-5.1)},
    "link not known": {"cells": scan(link_v=NAN)},
}


@pytest.mark.parametrize("parts", NOT_NOW.values(), ids=NOT_NOW)
@pytest.mark.parametrize("config", [SETTINGS, DIRECT], ids=["precharge", "direct"])
def test_a_close_is_refused(config: Settings, parts: dict[str, Any]) -> None:
    machine = Machine(armed=True, config=config)
    machine.step(**({"orders": CLOSE} | parts))
    assert not (machine.command.main or machine.command.precharge)


@pytest.mark.parametrize("blocked", [m.Faults(block_charge=True), m.Faults(block_discharge=True)])
def test_a_pack_with_one_direction_blocked_may_close(blocked: m.Faults) -> None:
    assert Machine(armed=True).step(blocked, orders=CLOSE).state is S.PRECHARGE


@pytest.mark.parametrize(
    "parts", [LOST, {"temps": channel(None)}, {"pins": channel(None)}, {"cells": channel(scan(), Q.HELD)}]
)
def test_before_the_first_valid_data_nothing_leaves_the_safe_state(parts: dict[str, Any]) -> None:
    machine = Machine(S.SAFE)
    for orders in (OPEN, CLOSE, OPEN, CLOSE):
        machine.step(orders=orders, **parts)
    assert (machine.at, machine.command) == (S.SAFE, m.Command())


@pytest.mark.parametrize("pins", [CLOSED_PINS, m.Pins(precharge_aux_closed=True), channel(None)])
def test_a_self_test_with_a_closed_contact_does_not_pass(pins: Any) -> None:
    assert Machine(S.SELF_TEST).step(pins=pins).state is S.SELF_TEST


@pytest.mark.parametrize(
    ("shunt", "after"),
    [(m.Channel(), S.SELF_TEST), (m.Channel(bad_run=1), S.STANDBY), (m.Channel(time_s=90.0), S.STANDBY)],
    ids=["not heard yet", "silent", "lost"],
)
def test_the_self_test_waits_for_the_shunts_first_message_or_its_silence(shunt: Any, after: m.PackState) -> None:
    assert Machine(S.SELF_TEST).step(shunt=shunt).state is after


@pytest.mark.parametrize(("faults", "gone"), [(BREAK, 2), (STOP, 2)], ids=["open", "stop"])
def test_after_a_fault_nothing_closes_until_an_open_is_seen(faults: m.Faults, gone: int) -> None:
    machine = Machine().closed()
    machine.step(faults)
    for _ in range(gone + 2):
        machine.step(dt_s=60.0)
    assert machine.at is S.STANDBY
    for _ in range(5):
        assert machine.step(orders=CLOSE).state is S.STANDBY
    machine.step(orders=OPEN)
    assert machine.step(orders=CLOSE).state is S.PRECHARGE


def test_a_stop_that_passes_while_opening_disarms_too() -> None:
    machine = Machine().closed()
    machine.step(STOP, **flowing(-90.0))
    machine.step(**flowing(-90.0))
    machine.step(**flowing(0.0))
    assert (machine.at, machine.state.control.armed) == (S.STANDBY, False)


def test_an_open_order_is_an_open_seen() -> None:
    machine = Machine().closed()
    machine.step(orders=OPEN)
    machine.step(dt_s=60.0)
    assert machine.step(orders=CLOSE).state is S.PRECHARGE


def test_a_fault_disarms_a_machine_that_was_armed() -> None:
    machine = Machine(armed=True)
    machine.step(INHIBIT)
    machine.step()
    assert machine.step(orders=CLOSE).state is S.STANDBY
