"""What the contactor machine looks at, and the predicates that its transitions are guarded by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bms_daemon.config.schema import Settings
from bms_daemon.config.topology import TOPOLOGIES, Topology
from bms_daemon.model import Control, Faults, Measured, Quality

LOW_CURRENT = 0.05  # of rated: an opening contactor may break this at any time
UNKNOWN_GRACE_S = 0.5  # STOP's grace when the current is not known
UNSEEN_GRACE_S = 1.0  # and when the cells are not
HOUR_S = 3600.0
NEVER_S = float("inf")


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


def known(v: View) -> bool:
    """Every source that closing depends on has been seen and is young."""
    m = v.measured
    return m.cells.quality is m.temps.quality is m.pins.quality is m.terminals is Quality.GOOD


def must_open(v: View) -> bool:
    """OPEN, unless the current is known to be more than the contactor may break and the fuse has time left."""
    if v.state.held_s == NEVER_S:
        return False
    above = abs(v.measured.current_a) > v.settings.contactor.break_max_a
    waited = v.now_s - v.state.held_s >= v.settings.contactor.fuse_clear_s - 1e-9
    return v.faults.at_once or not above or waited


def must_stop(v: View) -> bool:
    return v.faults.stop


def shutting_down(v: View) -> bool:
    return v.measured.orders.shutdown


def asked_to_open(v: View) -> bool:
    return v.measured.orders.open or v.measured.orders.shutdown


def current_low(v: View) -> bool:
    return abs(v.measured.current_a) < LOW_CURRENT * v.settings.pack.rated_current_a


def grace_s(v: View) -> float:
    """How long an opening waits for low current. A shutdown is patient, but not with a fault."""
    if v.measured.current_a != v.measured.current_a:
        return UNKNOWN_GRACE_S
    patient = v.measured.orders.shutdown and not v.faults.stop
    longest_s = v.settings.timing.shutdown_grace_s if patient else v.settings.open_grace_s
    return min(longest_s, UNSEEN_GRACE_S) if v.measured.cells.quality is Quality.FAILED else longest_s


def may_open(v: View) -> bool:
    return current_low(v) or v.in_state_s >= grace_s(v) - 1e-9


def latched(v: View) -> bool:
    return bool(v.faults.latched)


def inhibited(v: View) -> bool:
    return v.faults.inhibit


def clear(v: View) -> bool:
    return not v.faults.inhibit


def unlatched(v: View) -> bool:
    return not v.faults.latched


def aux_open(v: View) -> bool:
    """No contact reports closed; where contacts are fitted they must say so."""
    pins = v.measured.pins.value
    contacts = (pins.main_aux_closed, pins.main_negative_aux_closed, pins.precharge_aux_closed) if pins else (True,)
    return not any(contacts)


def self_test_done(v: View) -> bool:
    return known(v) and shunt_tried(v) and aux_open(v) and v.measured.health.limits_accepted


def shunt_tried(v: View) -> bool:
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


def rested(v: View) -> bool:
    return rest_s(v) <= 1e-9


def may_close(v: View) -> bool:
    return v.measured.orders.close and v.control.armed and startable(v, v.faults) and link_dead(v) and not blocked(v)


def blocked(v: View) -> bool:
    """Closing would serve nobody."""
    return v.faults.block_charge and v.faults.block_discharge


def startable(v: View, faults: Faults) -> bool:
    """What every closing needs."""
    sound = not (faults.inhibit or faults.suspect or asked_to_open(v))
    return sound and known(v) and aux_open(v) and rested(v)


def link_dead(v: View) -> bool:
    """A contact never closes onto a live link; nor does anything onto one whose voltage is not known.

    FETs close onto a charger, which limits the current by itself, unless its voltage or its polarity is wrong.
    """
    link_v, live_v = v.measured.link_v, v.settings.contactor.link_live_v
    if v.path.directions:
        return -live_v <= link_v <= v.settings.pack.series * v.settings.cell.critical_max_v
    return abs(link_v) <= live_v


def may_close_directly(v: View) -> bool:
    return may_close(v) and not v.path.precharges


def may_recover(v: View) -> bool:
    """Only for a pack that is low but not too low, on an explicit request, with a charger's voltage on the link."""
    scan, cell = v.measured.cells.value, v.settings.cell
    if scan is None or not v.measured.orders.recovery:
        return False
    low = cell.recharge_min_v < float(scan.cell_v.min()) < cell.min_v
    faults, vcu = v.faults.but_low or v.faults, v.measured.vcu.value
    charger = link_level(v) and (vcu is None or vcu.charger_present)
    return low and charger and v.control.armed and startable(v, faults) and not faults.block_charge


def recovered(v: View) -> bool:
    scan = v.measured.cells.value
    full = scan is not None and float(scan.cell_v.min()) > v.settings.cell.min_v + 0.1
    return full or v.in_state_s >= v.settings.contactor.recovery_max_s


def link_up(v: View) -> bool:
    return v.link_ratio >= v.settings.contactor.precharge_ratio


def too_fast(v: View) -> bool:
    return link_up(v) and v.in_state_s < v.settings.contactor.precharge_min_s


def precharged(v: View) -> bool:
    return v.measured.cells.quality is v.measured.terminals is Quality.GOOD and link_level(v)


def link_level(v: View) -> bool:
    """The link stands at the pack's voltage, neither below nor above: a contact may close onto it."""
    return link_up(v) and v.link_ratio <= 2.0 - v.settings.contactor.precharge_ratio


def precharge_late(v: View) -> bool:
    return v.in_state_s >= v.settings.contactor.precharge_s
