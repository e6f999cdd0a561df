"""The contactor machine: a transition table, and what is energised in each state.

Rows are tried from the top, the first whose guard holds is taken; one transition a tick. Guards are predicates on a
``View``. Closing needs an "open" first after boot or fault, then a "close"; nothing closes by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bms_daemon.config.schema import Settings
from bms_daemon.model import Command, Control, Faults, Measured, PackState, Quality
from bms_daemon.stages.probes import clears_precharge

S = PackState
ENERGISED = frozenset({S.PRECHARGE, S.CLOSED, S.OPENING, S.RECOVERY_CHARGE})
LOW_CURRENT = 0.05  # of rated: an opening contactor may break this at any time
UNKNOWN_GRACE_S = 0.5  # STOP's grace when the current is not known
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class ContactorState:
    """What the machine remembers. ``closes_s``: times of the closings of the last hour."""

    control: Control = Control()
    closes_s: tuple[float, ...] = ()
    rest_until_s: float = float("-inf")
    held_s: float = float("inf")  # since when an OPEN waits for the fuse


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
    def in_state_s(self) -> float:
        return self.now_s - self.state.control.since_s

    @property
    def link_ratio(self) -> float:
        """Link voltage as a fraction of the pack's, with sign; NaN when unknown, and then nothing holds."""
        scan = self.measured.cells.value
        return scan.link_v / scan.pack_v if scan is not None and scan.pack_v > 1.0 else float("nan")


Guard = Callable[[View], bool]


@dataclass(frozen=True, slots=True)
class Topology:
    """What a power path can do. One contactor for both directions cannot block one alone: blocking then means STOP."""

    precharges: bool
    blocks_one_direction: bool


TOPOLOGIES = {
    "main": Topology(precharges=False, blocks_one_direction=False),
    "main_precharge": Topology(precharges=True, blocks_one_direction=False),
}


def _known(v: View) -> bool:
    """Every source that closing depends on has been seen and is young."""
    m = v.measured
    return m.cells.quality is m.temps.quality is m.pins.quality is Quality.GOOD


def _must_open(v: View) -> bool:
    """OPEN, unless the current is known to be more than the contactor may break and the fuse has time left."""
    if not v.faults.open:
        return False
    above = abs(v.measured.current_a) > v.settings.contactor.break_max_a
    waited = v.now_s - v.state.held_s >= v.settings.contactor.fuse_clear_s - 1e-9
    return v.faults.at_once or not above or waited


def _must_stop(v: View) -> bool:
    return v.faults.stop or v.measured.orders.shutdown


def _give_up(v: View) -> bool:
    """What ends a precharge at once: its current is small."""
    return v.faults.inhibit or v.faults.open or _asked_to_open(v)


def _asked_to_open(v: View) -> bool:
    return v.measured.orders.open or v.measured.orders.shutdown


def _current_low(v: View) -> bool:
    return abs(v.measured.current_a) < LOW_CURRENT * v.settings.pack.rated_current_a


def grace_s(v: View) -> float:
    """How long an opening waits for low current."""
    if v.measured.current_a != v.measured.current_a:
        return UNKNOWN_GRACE_S
    return v.settings.timing.shutdown_grace_s if v.measured.orders.shutdown else v.settings.open_grace_s


def _may_open(v: View) -> bool:
    return _current_low(v) or v.in_state_s >= grace_s(v) - 1e-9


def _latched(v: View) -> bool:
    return bool(v.faults.latched)


def _inhibited(v: View) -> bool:
    return v.faults.inhibit


def _clear(v: View) -> bool:
    return not v.faults.inhibit and not v.faults.latched


def _unlatched(v: View) -> bool:
    return not v.faults.latched


def _aux_open(v: View) -> bool:
    """No contact reports closed; where contacts are fitted they must say so."""
    pins = v.measured.pins.value
    return pins is not None and not pins.main_aux_closed and not pins.precharge_aux_closed


def _self_test_done(v: View) -> bool:
    return _known(v) and _aux_open(v) and v.measured.health.limits_accepted


def _rested(v: View) -> bool:
    """Wear and heat budgets: least time between closings, closings an hour, rest after a failed precharge."""
    closes, cfg = v.state.closes_s, v.settings.contactor
    recent = [t for t in closes if v.now_s - t < HOUR_S]
    spaced = not closes or v.now_s - closes[-1] >= cfg.close_interval_s
    return spaced and len(recent) < cfg.closes_per_hour and v.now_s >= v.state.rest_until_s


def _may_close(v: View) -> bool:
    return v.measured.orders.close and v.control.armed and _startable(v) and not _asked_to_open(v)


def _startable(v: View) -> bool:
    blocked = v.faults.block_charge and v.faults.block_discharge
    return _clear(v) and _known(v) and _aux_open(v) and _link_dead(v) and not blocked and _rested(v)


def _link_dead(v: View) -> bool:
    """A live link never closes; nor does one whose voltage is not known."""
    scan = v.measured.cells.value
    return scan is not None and abs(scan.link_v) <= v.settings.contactor.link_live_v


def _may_close_directly(v: View) -> bool:
    return _may_close(v) and not TOPOLOGIES[v.settings.contactor.topology].precharges


def _may_recover(v: View) -> bool:
    """Only for a pack that is low but not too low, on an explicit request, with a charger's voltage on the link."""
    scan, cell = v.measured.cells.value, v.settings.cell
    if scan is None or not v.measured.orders.recovery:
        return False
    low = cell.recharge_min_v < float(scan.cell_v.min()) < cell.min_v
    return low and _link_up(v) and _clear(v) and _known(v) and _aux_open(v)


def _recovered(v: View) -> bool:
    scan = v.measured.cells.value
    full = scan is not None and float(scan.cell_v.min()) > v.settings.cell.min_v + 0.1
    return full or v.in_state_s >= v.settings.contactor.recovery_max_s


def _link_up(v: View) -> bool:
    return v.link_ratio >= v.settings.contactor.precharge_ratio


def _too_fast(v: View) -> bool:
    return _link_up(v) and v.in_state_s < v.settings.contactor.precharge_min_s


def _precharged(v: View) -> bool:
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
    _row((S.PRECHARGE,), _give_up, S.STANDBY, "asked to open"),
    _row((S.PRECHARGE,), _too_fast, S.STANDBY, "precharge too fast"),
    _row((S.PRECHARGE,), _precharged, S.CLOSED, "link precharged"),
    _row((S.PRECHARGE,), _precharge_late, S.STANDBY, "precharge took too long"),
    _row((S.CLOSED, S.RECOVERY_CHARGE), _must_stop, S.OPENING, "stop"),
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
    view = View(measured, _that_count(faults, state, measured), _waiting(faults, state, now_s), settings, now_s)
    state = _forgiven(_armed(view), measured)
    for row in TABLE:
        if state.control.state in row.at and row.guard(view):
            state = _enter(state, row, view)
            break
    state = replace(state, control=_announce(state, view))
    return _outputs(state, view), state


def _that_count(faults: Faults, state: ContactorState, measured: Measured) -> Faults:
    """Recovery charging goes by the faults without those that it is there to cure; discharge stays blocked."""
    recovering = state.control.state is S.RECOVERY_CHARGE or measured.orders.recovery
    if not recovering or faults.but_low is None:
        return faults
    return replace(faults.but_low, block_discharge=True)


def _waiting(faults: Faults, state: ContactorState, now_s: float) -> ContactorState:
    """Since when an OPEN stands: the fuse's time runs from there."""
    if not faults.open:
        return state if state.held_s == float("inf") else replace(state, held_s=float("inf"))
    return replace(state, held_s=now_s) if state.held_s == float("inf") else state


def _armed(v: View) -> ContactorState:
    """An "open" seen while the pack is open makes the next "close" count."""
    state = v.state
    if v.measured.orders.open and not v.control.armed and v.control.state not in ENERGISED:
        return replace(state, control=replace(v.control, armed=True))
    return state


def _forgiven(state: ContactorState, measured: Measured) -> ContactorState:
    """An order to clear failed precharges starts their count anew."""
    if not state.control.precharge_tries or not clears_precharge(measured.orders.clear):
        return state
    return replace(state, control=replace(state.control, precharge_tries=0))


def _enter(state: ContactorState, row: Transition, v: View) -> ContactorState:
    was, control = state.control.state, state.control
    reason = v.faults.worst.code if row.to in (S.FAULT, S.OPENING) and v.faults.worst else row.reason
    armed = control.armed and row.to not in (S.FAULT, S.LATCHED)
    control = replace(control, state=row.to, since_s=v.now_s, reason=reason, armed=armed)
    state = replace(state, control=control)
    if row.to in (S.CLOSED, S.RECOVERY_CHARGE):
        return _closed(state, v)
    if was is S.PRECHARGE and row.guard in (_too_fast, _precharge_late):
        return _failed_precharge(state, row, v)
    return state


def _closed(state: ContactorState, v: View) -> ContactorState:
    recent = tuple(t for t in state.closes_s if v.now_s - t < HOUR_S)
    control = replace(state.control, closes=state.control.closes + 1, precharge_tries=0, precharge_fast=False)
    return replace(state, control=control, closes_s=(*recent, v.now_s))


def _failed_precharge(state: ContactorState, row: Transition, v: View) -> ContactorState:
    control = replace(
        state.control,
        precharge_tries=state.control.precharge_tries + 1,
        precharge_fast=row.guard is _too_fast,
        armed=False,
    )
    return replace(state, control=control, rest_until_s=v.now_s + v.settings.contactor.precharge_rest_s)


def _announce(state: ContactorState, v: View) -> Control:
    """An opening is announced with its countdown from the tick in which it is decided."""
    control = state.control
    waiting = control.state in (S.CLOSED, S.RECOVERY_CHARGE) and v.faults.open
    pending = control.state is S.OPENING or waiting
    if not pending:
        return control if not control.open_pending else replace(control, open_pending=False, countdown_s=0.0)
    spent_s, whole_s = (
        (v.now_s - v.state.held_s, v.settings.contactor.fuse_clear_s)
        if waiting
        else (v.now_s - control.since_s, grace_s(v))
    )
    return replace(control, open_pending=True, countdown_s=max(0.0, whole_s - spent_s))


def _outputs(state: ContactorState, v: View) -> Command:
    at = state.control.state
    if at not in ENERGISED:
        return Command(second=v.faults.second)
    alive = v.measured.cells.quality is not Quality.FAILED or at is S.OPENING
    if at is S.PRECHARGE:
        return Command(precharge=True, charge=True, discharge=True, alive=alive)
    just_closed = at is S.CLOSED and v.now_s - state.control.since_s < v.settings.contactor.feedback_s
    overlap = just_closed and TOPOLOGIES[v.settings.contactor.topology].precharges
    return Command(main=True, precharge=overlap, charge=True, discharge=True, second=v.faults.second, alive=alive)
