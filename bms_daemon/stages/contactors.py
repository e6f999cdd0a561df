"""The contactor machine: a transition table, and what is energised in each state.

Rows are tried from the top, the first whose guard holds is taken; one transition a tick. Guards are predicates on a
``View`` (guards.py). Closing needs an "open" first after boot or fault, then a "close"; nothing closes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bms_daemon.config.schema import Settings
from bms_daemon.model import Command, Control, Faults, Measured, PackState, Quality, Reaction
from bms_daemon.stages import guards as g
from bms_daemon.stages.guards import HOUR_S, NEVER_S, ContactorState, Guard, View
from bms_daemon.stages.path_probes import clears_precharge

S = PackState
MAIN_ON = frozenset({S.CLOSED, S.OPENING, S.RECOVERY_CHARGE})
ENERGISED = MAIN_ON | {S.PRECHARGE}
STANDING = {S.SAFE: "starting", S.SELF_TEST: "testing itself", S.FAULT: "kept open"}  # for people
UNKNOWN, CONTACT = "cells, temperatures, current or inputs are not known", "a contact reports closed"


def why_not_close(
    measured: Measured, faults: Faults, state: ContactorState, settings: Settings, now_s: float
) -> str:
    """What a request to close would wait for now, in words for its sender; empty when it would be followed."""
    v = View(measured, faults, state, settings, now_s)
    for text, holds in (
        (_standing(v), v.control.state is S.STANDBY),
        ("ask to open first", v.control.armed),
        (f"forbidden by {_causes(v)}", not faults.inhibit),
        ("charging and discharging are both blocked", not g.blocked(v)),
        ("a sample looks bad and has not been confirmed", not faults.suspect),
        (UNKNOWN, g.known(v)),
        (CONTACT, g.aux_open(v)),
        ("the link has a voltage, or it is not known", g.link_dead(v)),
        (f"closings keep their distance: {g.rest_s(v):.0f} s to go", g.rested(v)),
    ):
        if not holds:
            return text
    return ""


def _standing(v: View) -> str:
    """The state, and what it waits for."""
    at = v.control.state
    waits = ""
    if at in (S.FAULT, S.LATCHED):
        waits = _causes(v)
    elif at in (S.SAFE, S.SELF_TEST):
        waits = UNKNOWN if not g.known(v) else "" if g.aux_open(v) else CONTACT
    return f"the pack is {STANDING.get(at, at.name.lower())}{': ' if waits else ''}{waits}"


def _causes(v: View) -> str:
    """Latched faults wait for an order to clear them, others for their cause to go."""
    return ", ".join(v.faults.latched or [f.code for f in v.faults.active if f.reaction >= Reaction.INHIBIT])


@dataclass(frozen=True, slots=True)
class Transition:
    """From any of ``at``, when ``guard`` holds, to ``to``. ``reason`` is what people read."""

    at: frozenset[PackState]
    guard: Guard
    to: PackState
    reason: str


def _row(at: tuple[PackState, ...], guard: Guard, to: PackState, reason: str) -> Transition:
    return Transition(frozenset(at), guard, to, reason)


TABLE: tuple[Transition, ...] = (
    _row((S.CLOSED, S.OPENING, S.RECOVERY_CHARGE), g.must_open, S.FAULT, "fault"),
    _row((S.PRECHARGE,), g.inhibited, S.FAULT, "fault during precharge"),
    _row((S.PRECHARGE,), g.asked_to_open, S.STANDBY, "asked to open"),
    _row((S.PRECHARGE,), g.too_fast, S.STANDBY, "precharge too fast"),
    _row((S.PRECHARGE,), g.precharged, S.CLOSED, "link precharged"),
    _row((S.PRECHARGE,), g.precharge_late, S.STANDBY, "precharge took too long"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), g.must_stop, S.OPENING, "stop"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), g.shutting_down, S.OPENING, "shutting down"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), g.asked_to_open, S.OPENING, "asked to open"),
    _row((S.RECOVERY_CHARGE,), g.recovered, S.OPENING, "recovery charge ended"),
    _row((S.OPENING,), g.may_open, S.STANDBY, "opened"),
    _row((S.STANDBY, S.FAULT, S.LATCHED), g.may_recover, S.RECOVERY_CHARGE, "recovery charge asked for"),
    _row((S.SAFE,), g.known, S.SELF_TEST, "inputs present"),
    _row((S.SELF_TEST,), g.self_test_done, S.STANDBY, "self-test passed"),
    _row((S.STANDBY, S.FAULT), g.latched, S.LATCHED, "latched fault"),
    _row((S.STANDBY,), g.inhibited, S.FAULT, "fault"),
    _row((S.LATCHED,), g.unlatched, S.FAULT, "latch cleared"),
    _row((S.FAULT,), g.clear, S.STANDBY, "fault gone"),
    _row((S.STANDBY,), g.may_close_directly, S.CLOSED, "asked to close"),
    _row((S.STANDBY,), g.may_close, S.PRECHARGE, "asked to close"),
)


def contactors(
    measured: Measured, faults: Faults, state: ContactorState, settings: Settings, now_s: float
) -> tuple[Command, ContactorState]:
    """Take at most one transition, then say what is to be energised."""
    counted = _that_count(faults, state)
    state = _forgiven(_armed(_waiting(counted, state, now_s), measured), measured)
    view = View(measured, counted, state, settings, now_s)
    for row in TABLE:
        if state.control.state in row.at and row.guard(view):
            state = _enter(state, row, view)
            break
    state = replace(state, control=_announce(state, view))
    return _outputs(state, view), state


def _that_count(faults: Faults, state: ContactorState) -> Faults:
    """Recovery charging goes by the faults without those that it is there to cure."""
    recovering = state.control.state is S.RECOVERY_CHARGE
    return faults.but_low if recovering and faults.but_low is not None else faults


def _waiting(faults: Faults, state: ContactorState, now_s: float) -> ContactorState:
    """Since when an OPEN stands over a main contactor that is on: the fuse's time runs from there."""
    begins = faults.open and state.held_s == NEVER_S and state.control.state in MAIN_ON
    return replace(state, held_s=now_s) if begins else state


def _armed(state: ContactorState, measured: Measured) -> ContactorState:
    """An "open" makes the next "close" count."""
    if not measured.orders.open or state.control.armed:
        return state
    return replace(state, control=replace(state.control, armed=True))


def _forgiven(state: ContactorState, measured: Measured) -> ContactorState:
    """An order to clear failed precharges starts their count anew."""
    if not state.control.precharge_tries or not clears_precharge(measured.orders.clear):
        return state
    return replace(state, control=replace(state.control, precharge_tries=0))


def _enter(state: ContactorState, row: Transition, v: View) -> ContactorState:
    was, control = state.control.state, state.control
    worst = v.faults.worst if v.faults.inhibit and row.to in (S.FAULT, S.OPENING) else None
    reason = worst.code if worst else row.reason
    spent = row.to in (S.FAULT, S.LATCHED) or (row.to in ENERGISED and not g.asked_to_open(v))
    control = replace(control, state=row.to, since_s=v.now_s, reason=reason, armed=control.armed and not spent)
    state = replace(state, control=control, held_s=state.held_s if row.to in MAIN_ON else NEVER_S)
    if row.to in (S.CLOSED, S.RECOVERY_CHARGE):
        return _closed(state, v)
    return _precharge_ended(state, row, v) if was is S.PRECHARGE else state


def _closed(state: ContactorState, v: View) -> ContactorState:
    recent = tuple(t for t in state.closes_s if v.now_s - t < HOUR_S)
    control = replace(state.control, closes=state.control.closes + 1, precharge_tries=0, precharge_fast=False)
    return replace(state, control=control, closes_s=(*recent, v.now_s))


def _precharge_ended(state: ContactorState, row: Transition, v: View) -> ContactorState:
    """However it ended without closing, the resistor is warm; a link that was not charged counts as a failed try."""
    failed = row.guard in (g.too_fast, g.precharge_late)
    tries = state.control.precharge_tries + failed
    control = replace(state.control, precharge_tries=tries, precharge_fast=row.guard is g.too_fast)
    return replace(state, control=control, rest_until_s=v.now_s + v.settings.contactor.precharge_rest_s)


def _announce(state: ContactorState, v: View) -> Control:
    """An opening is announced with its countdown from the tick in which it is decided."""
    control = state.control
    waiting = state.held_s != NEVER_S
    if not waiting and control.state is not S.OPENING:
        return control if not control.open_pending else replace(control, open_pending=False, countdown_s=0.0)
    spent_s, whole_s = (
        (v.now_s - state.held_s, v.settings.contactor.fuse_clear_s)
        if waiting
        else (v.now_s - control.since_s, g.grace_s(v))
    )
    return replace(control, open_pending=True, countdown_s=max(0.0, whole_s - spent_s))


def _outputs(state: ContactorState, v: View) -> Command:
    at, path = state.control.state, v.path
    if at not in ENERGISED:
        return Command(second=v.faults.second)
    alive = v.measured.cells.quality is not Quality.FAILED or at is S.OPENING
    on = Command(negative=path.breaks_twice, charge=True, discharge=True, alive=alive)
    if at is S.PRECHARGE:
        return replace(on, precharge=True)
    just_closed = at is S.CLOSED and v.now_s - state.control.since_s < v.settings.contactor.feedback_s
    on = replace(on, main=True, precharge=just_closed and path.precharges, second=v.faults.second)
    return _one_way(on, at, v.faults) if path.directions else on


def _one_way(on: Command, at: PackState, faults: Faults) -> Command:
    """A path that can block one direction alone does: what a fault forbids, and discharging while it recovers."""
    return replace(
        on,
        charge=not faults.block_charge,
        discharge=not (faults.block_discharge or at is S.RECOVERY_CHARGE),
    )
