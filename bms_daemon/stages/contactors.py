"""The contactor machine: a transition table, and what is energised in each state.

Rows are tried from the top, the first whose guard holds is taken; one transition a tick. Guards are predicates on a
``View``. Closing needs an "open" first after boot or fault, then a "close"; nothing closes by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bms_daemon.config.schema import Settings
from bms_daemon.config.topology import TOPOLOGIES, Topology
from bms_daemon.model import Command, Control, Faults, Measured, PackState, Quality, Reaction
from bms_daemon.stages.probes import clears_precharge

S = PackState
MAIN_ON = frozenset({S.CLOSED, S.OPENING, S.RECOVERY_CHARGE})
ENERGISED = MAIN_ON | {S.PRECHARGE}
LOW_CURRENT = 0.05  # of rated: an opening contactor may break this at any time
UNKNOWN_GRACE_S = 0.5  # STOP's grace when the current is not known
UNSEEN_GRACE_S = 1.0  # and when the cells are not
HOUR_S = 3600.0
NEVER_S = float("inf")
STANDING = {S.SAFE: "starting", S.SELF_TEST: "testing itself", S.FAULT: "kept open"}  # for people
UNKNOWN, CONTACT = "cells, temperatures, current or inputs are not known", "a contact reports closed"


@dataclass(frozen=True, slots=True)
class ContactorState:
    """What the machine remembers. ``closes_s``: times of the closings of the last hour."""

    control: Control = Control()
    closes_s: tuple[float, ...] = ()
    rest_until_s: float = float("-inf")
    held_s: float = NEVER_S  # since when an OPEN waits for the fuse; once decided it stands, whatever its cause does


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a guard may look at."""

    measured: Measured
    faults: Faults  # those that count in this state
    state: ContactorState
    settings: Settings
    now_s: float

    @property
    def control(self) -> Control:
        return self.state.control

    @property
    def path(self) -> Topology:
        return TOPOLOGIES[self.settings.contactor.topology]

    @property
    def in_state_s(self) -> float:
        return self.now_s - self.state.control.since_s

    @property
    def link_ratio(self) -> float:
        """Link voltage as a fraction of the pack's, with sign; NaN when unknown, and then nothing holds."""
        pack_v = self.measured.pack_v
        return self.measured.link_v / pack_v if pack_v > 1.0 else float("nan")


Guard = Callable[[View], bool]


def _known(v: View) -> bool:
    """Every source that closing depends on has been seen and is young."""
    m = v.measured
    return m.cells.quality is m.temps.quality is m.pins.quality is m.terminals is Quality.GOOD


def _must_open(v: View) -> bool:
    """OPEN, unless the current is known to be more than the contactor may break and the fuse has time left."""
    if v.state.held_s == NEVER_S:
        return False
    above = abs(v.measured.current_a) > v.settings.contactor.break_max_a
    waited = v.now_s - v.state.held_s >= v.settings.contactor.fuse_clear_s - 1e-9
    return v.faults.at_once or not above or waited


def _must_stop(v: View) -> bool:
    return v.faults.stop


def _shutting_down(v: View) -> bool:
    return v.measured.orders.shutdown


def _asked_to_open(v: View) -> bool:
    return v.measured.orders.open or v.measured.orders.shutdown


def _current_low(v: View) -> bool:
    return abs(v.measured.current_a) < LOW_CURRENT * v.settings.pack.rated_current_a


def grace_s(v: View) -> float:
    """How long an opening waits for low current. A shutdown is patient, but not with a fault."""
    if v.measured.current_a != v.measured.current_a:
        return UNKNOWN_GRACE_S
    patient = v.measured.orders.shutdown and not v.faults.stop
    longest_s = v.settings.timing.shutdown_grace_s if patient else v.settings.open_grace_s
    return min(longest_s, UNSEEN_GRACE_S) if v.measured.cells.quality is Quality.FAILED else longest_s


def _may_open(v: View) -> bool:
    return _current_low(v) or v.in_state_s >= grace_s(v) - 1e-9


def _latched(v: View) -> bool:
    return bool(v.faults.latched)


def _inhibited(v: View) -> bool:
    return v.faults.inhibit


def _clear(v: View) -> bool:
    return not v.faults.inhibit


def _unlatched(v: View) -> bool:
    return not v.faults.latched


def _aux_open(v: View) -> bool:
    """No contact reports closed; where contacts are fitted they must say so."""
    pins = v.measured.pins.value
    contacts = (pins.main_aux_closed, pins.main_negative_aux_closed, pins.precharge_aux_closed) if pins else (True,)
    return not any(contacts)


def _self_test_done(v: View) -> bool:
    return _known(v) and _shunt_tried(v) and _aux_open(v) and v.measured.health.limits_accepted


def _shunt_tried(v: View) -> bool:
    """It speaks when it likes: its first message, or its silence, is waited for."""
    shunt = v.measured.shunt
    return v.settings.shunt is None or shunt.time_s > -NEVER_S or shunt.bad_run > 0


def rest_s(v: View) -> float:
    """Wear and heat: until the least time between two, the closings an hour and a warm resistor allow the next one."""
    closes, cfg = v.state.closes_s, v.settings.contactor
    spaced_s = closes[-1] + cfg.close_interval_s if closes else v.now_s
    recent = [t for t in closes if v.now_s - t < HOUR_S]
    budget_s = recent[0] + HOUR_S if len(recent) >= cfg.closes_per_hour else v.now_s
    return max(spaced_s, budget_s, v.state.rest_until_s) - v.now_s


def _rested(v: View) -> bool:
    return rest_s(v) <= 1e-9


def _may_close(v: View) -> bool:
    return v.measured.orders.close and v.control.armed and _startable(v, v.faults) and _link_dead(v) and not _blocked(v)


def _blocked(v: View) -> bool:
    """Closing would serve nobody."""
    return v.faults.block_charge and v.faults.block_discharge


def _startable(v: View, faults: Faults) -> bool:
    """What every closing needs."""
    sound = not (faults.inhibit or faults.suspect or _asked_to_open(v))
    return sound and _known(v) and _aux_open(v) and _rested(v)


def why_not_close(
    measured: Measured, faults: Faults, state: ContactorState, settings: Settings, now_s: float
) -> str:
    """What a request to close would wait for now, in words for its sender; empty when it would be followed."""
    v = View(measured, faults, state, settings, now_s)
    for text, holds in (
        (_standing(v), v.control.state is S.STANDBY),
        ("ask to open first", v.control.armed),
        (f"forbidden by {_causes(v)}", not faults.inhibit),
        ("charging and discharging are both blocked", not _blocked(v)),
        ("a sample looks bad and has not been confirmed", not faults.suspect),
        (UNKNOWN, _known(v)),
        (CONTACT, _aux_open(v)),
        ("the link has a voltage, or it is not known", _link_dead(v)),
        (f"closings keep their distance: {rest_s(v):.0f} s to go", _rested(v)),
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
        waits = UNKNOWN if not _known(v) else "" if _aux_open(v) else CONTACT
    return f"the pack is {STANDING.get(at, at.name.lower())}{': ' if waits else ''}{waits}"


def _causes(v: View) -> str:
    """Latched faults wait for an order to clear them, others for their cause to go."""
    return ", ".join(v.faults.latched or [f.code for f in v.faults.active if f.reaction >= Reaction.INHIBIT])


def _link_dead(v: View) -> bool:
    """A contact never closes onto a live link; nor does anything onto one whose voltage is not known.

    FETs close onto a charger, which limits the current by itself, unless its voltage or its polarity is wrong.
    """
    link_v, live_v = v.measured.link_v, v.settings.contactor.link_live_v
    if v.path.directions:
        return -live_v <= link_v <= v.settings.pack.series * v.settings.cell.critical_max_v
    return abs(link_v) <= live_v


def _may_close_directly(v: View) -> bool:
    return _may_close(v) and not v.path.precharges


def _may_recover(v: View) -> bool:
    """Only for a pack that is low but not too low, on an explicit request, with a charger's voltage on the link."""
    scan, cell = v.measured.cells.value, v.settings.cell
    if scan is None or not v.measured.orders.recovery:
        return False
    low = cell.recharge_min_v < float(scan.cell_v.min()) < cell.min_v
    faults, vcu = v.faults.but_low or v.faults, v.measured.vcu.value
    charger = _link_level(v) and (vcu is None or vcu.charger_present)
    return low and charger and v.control.armed and _startable(v, faults) and not faults.block_charge


def _recovered(v: View) -> bool:
    scan = v.measured.cells.value
    full = scan is not None and float(scan.cell_v.min()) > v.settings.cell.min_v + 0.1
    return full or v.in_state_s >= v.settings.contactor.recovery_max_s


def _link_up(v: View) -> bool:
    return v.link_ratio >= v.settings.contactor.precharge_ratio


def _too_fast(v: View) -> bool:
    return _link_up(v) and v.in_state_s < v.settings.contactor.precharge_min_s


def _precharged(v: View) -> bool:
    return v.measured.cells.quality is v.measured.terminals is Quality.GOOD and _link_level(v)


def _link_level(v: View) -> bool:
    """The link stands at the pack's voltage, neither below nor above: a contact may close onto it."""
    return _link_up(v) and v.link_ratio <= 2.0 - v.settings.contactor.precharge_ratio


def _precharge_late(v: View) -> bool:
    return v.in_state_s >= v.settings.contactor.precharge_s


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
    _row((S.CLOSED, S.OPENING, S.RECOVERY_CHARGE), _must_open, S.FAULT, "fault"),
    _row((S.PRECHARGE,), _inhibited, S.FAULT, "fault during precharge"),
    _row((S.PRECHARGE,), _asked_to_open, S.STANDBY, "asked to open"),
    _row((S.PRECHARGE,), _too_fast, S.STANDBY, "precharge too fast"),
    _row((S.PRECHARGE,), _precharged, S.CLOSED, "link precharged"),
    _row((S.PRECHARGE,), _precharge_late, S.STANDBY, "precharge took too long"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), _must_stop, S.OPENING, "stop"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), _shutting_down, S.OPENING, "shutting down"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), _asked_to_open, S.OPENING, "asked to open"),
    _row((S.RECOVERY_CHARGE,), _recovered, S.OPENING, "recovery charge ended"),
    _row((S.OPENING,), _may_open, S.STANDBY, "opened"),
    _row((S.STANDBY, S.FAULT, S.LATCHED), _may_recover, S.RECOVERY_CHARGE, "recovery charge asked for"),
    _row((S.SAFE,), _known, S.SELF_TEST, "inputs present"),
    _row((S.SELF_TEST,), _self_test_done, S.STANDBY, "self-test passed"),
    _row((S.STANDBY, S.FAULT), _latched, S.LATCHED, "latched fault"),
    _row((S.STANDBY,), _inhibited, S.FAULT, "fault"),
    _row((S.LATCHED,), _unlatched, S.FAULT, "latch cleared"),
    _row((S.FAULT,), _clear, S.STANDBY, "fault gone"),
    _row((S.STANDBY,), _may_close_directly, S.CLOSED, "asked to close"),
    _row((S.STANDBY,), _may_close, S.PRECHARGE, "asked to close"),
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
    spent = row.to in (S.FAULT, S.LATCHED) or (row.to in ENERGISED and not _asked_to_open(v))
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
    failed = row.guard in (_too_fast, _precharge_late)
    tries = state.control.precharge_tries + failed
    control = replace(state.control, precharge_tries=tries, precharge_fast=row.guard is _too_fast)
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
        else (v.now_s - control.since_s, grace_s(v))
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
