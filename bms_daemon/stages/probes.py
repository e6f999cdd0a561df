"""The numbers that rules compare: one small pure function each, from the scene of this tick to a float.

0 and 1 stand for no and yes. NaN compares as false with every limit, so a probe of something unknown never triggers;
that something is unknown is a fault of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bms_daemon.config.schema import Settings
from bms_daemon.config.topology import TOPOLOGIES
from bms_daemon.model import (
    Actuated,
    AfeScan,
    Command,
    Control,
    Doubt,
    Estimate,
    FloatArray,
    Limits,
    Measured,
    PackState,
    Pins,
    Quality,
    TempScan,
    Trip,
)

QUIET_STATES = frozenset({PackState.SAFE, PackState.SELF_TEST, PackState.STANDBY, PackState.FAULT, PackState.LATCHED})
TRIPS = Trip.OVER_VOLTAGE | Trip.UNDER_VOLTAGE | Trip.OVER_CURRENT_CHARGE | Trip.OVER_CURRENT_DISCHARGE
TRIPS |= Trip.SHORT_CIRCUIT | Trip.OVER_TEMPERATURE | Trip.UNDER_TEMPERATURE | Trip.INTERNAL
NAN = float("nan")
MIN_PACK_V = 1.0


@dataclass(frozen=True)
class Scene:
    """What a probe may look at: this tick's measurement and estimate, and what the last tick decided and commanded."""

    measured: Measured
    settings: Settings
    control: Control
    command: Command
    limits: Limits
    actuated: Actuated
    estimate: Estimate
    open_s: float  # how long the main coil has been commanded off; 0 while on
    closed_s: float = 0.0  # how long it has been commanded on; 0 while off

    @cached_property
    def scan(self) -> AfeScan | None:
        return self.measured.cells.value

    @cached_property
    def extremes_v(self) -> tuple[float, float]:
        """Lowest and highest cell."""
        if self.scan is None:
            return NAN, NAN
        return float(self.scan.cell_v.min()), float(self.scan.cell_v.max())

    @cached_property
    def extremes_degc(self) -> tuple[float, float]:
        """Lowest and highest probe that is in range."""
        temps = self.measured.temps.value
        if temps is None:
            return NAN, NAN
        return float(np.nanmin(temps.probe_degc)), float(np.nanmax(temps.probe_degc))

    @cached_property
    def pins(self) -> Pins | None:
        return self.measured.pins.value


def quiet_a(s: Settings) -> float:
    """Current that counts as none: the larger of 2 A and 0.02 C."""
    return max(2.0, 0.02 * s.pack.capacity_ah)


def nowhere(_: Scene) -> int:
    return 0


# ------------------------------------------------------------------ cells
def max_cell_v(scene: Scene) -> float:
    return scene.extremes_v[1]


def minus_min_cell_v(scene: Scene) -> float:
    return -scene.extremes_v[0]


def max_cell(scene: Scene) -> int:
    return int(scene.scan.cell_v.argmax()) + 1 if scene.scan else 0


def min_cell(scene: Scene) -> int:
    return int(scene.scan.cell_v.argmin()) + 1 if scene.scan else 0


def frozen_s(scene: Scene) -> float:
    return scene.measured.frozen_s


def _doubt(scene: Scene, doubt: Doubt, judged: object) -> float:
    """Whether the newest sample was doubted for this; NaN where nothing that is believed says that it was not."""
    if scene.measured.doubts & doubt:
        return 1.0
    return NAN if judged is None else 0.0


def cells_absent(scene: Scene) -> float:
    return _doubt(scene, Doubt.CELLS_ABSENT, scene.scan)


def cell_missing(scene: Scene) -> float:
    return _doubt(scene, Doubt.CELL_MISSING, scene.scan)


def cell_range(scene: Scene) -> float:
    return _doubt(scene, Doubt.CELL_RANGE, scene.scan)


def sum_stack(scene: Scene) -> float:
    return _doubt(scene, Doubt.SUM_STACK, scene.scan)


def cells_quality(scene: Scene) -> float:
    return float(scene.measured.cells.quality)


def cells_never(scene: Scene) -> float:
    return 1.0 if scene.measured.cells.value is None else 0.0


def afe_reset(scene: Scene) -> float:
    return _doubt(scene, Doubt.RESET, scene.scan)


def _trip(scene: Scene, trips: Trip) -> float:
    """Trips that the newest scan shows, believed or not; NaN where nothing believed says that there are none."""
    found = float(scene.measured.trips & trips)
    return NAN if not found and scene.scan is None else found


def outputs_off(scene: Scene) -> float:
    """The chip holds an output off although the pack is closed, and has been for long enough to have switched."""
    if scene.scan is None:
        return NAN
    scan, command = scene.scan, scene.command
    settled = command.main and scene.closed_s > scene.settings.contactor.feedback_s
    refused = (command.charge and scan.charge_on is False) or (command.discharge and scan.discharge_on is False)
    return 1.0 if settled and refused else 0.0


def afe_trip(scene: Scene) -> float:
    return _trip(scene, TRIPS)


def short_circuit(scene: Scene) -> float:
    return _trip(scene, Trip.SHORT_CIRCUIT)


def afe_watchdog(scene: Scene) -> float:
    return _trip(scene, Trip.HOST_WATCHDOG)


def limits_refused(scene: Scene) -> float:
    return 0.0 if scene.measured.health.limits_accepted else 1.0


# ------------------------------------------------------------------ current
def charge_a(scene: Scene) -> float:
    return scene.measured.current_a


def discharge_a(scene: Scene) -> float:
    return -scene.measured.current_a


def shunt_lost(scene: Scene) -> float:
    return float(scene.measured.shunt.quality) if scene.settings.shunt is not None else 0.0


def current_mismatch(scene: Scene) -> float:
    """1: one is suspected, and the other is gone by; 2: nobody knows. The shunt alone is compared with nothing."""
    if scene.measured.cells.quality is not Quality.GOOD:
        return NAN
    if scene.measured.doubts & Doubt.CURRENT_SUSPECT:
        return 1.0
    return 2.0 * _doubt(scene, Doubt.CURRENT_MISMATCH, scene.scan)


def current_contradicted(scene: Scene) -> float:
    """1: it moves otherwise than the cells' voltage; 2: it stands still while that goes up and down."""
    stuck = 2.0 if scene.measured.doubts & Doubt.CURRENT_STUCK else 1.0
    return stuck * _doubt(scene, Doubt.CURRENT_CONTRADICTED, scene.scan)


def terminals_apart(scene: Scene) -> float:
    return _doubt(scene, Doubt.TERMINALS, scene.scan)


def current_when_open_a(scene: Scene) -> float:
    """Current through a pack that should be open, once the contactor has had time to open."""
    if scene.control.state not in QUIET_STATES or scene.open_s < scene.settings.contactor.feedback_s:
        return 0.0
    return abs(scene.measured.current_a)


def beyond_limit(scene: Scene) -> float:
    """1: current beyond the published limit; 2: flow in a direction that a fault blocks, or that recovery forbids."""
    if scene.control.state not in (PackState.CLOSED, PackState.RECOVERY_CHARGE):
        return 0.0
    current_a, limits = scene.measured.current_a, scene.limits
    limit_a = limits.charge_a if current_a > 0.0 else limits.discharge_a
    over_a = abs(current_a) - limit_a - quiet_a(scene.settings) - 0.1 * limit_a
    if not over_a > 0.0:
        return 0.0 if over_a == over_a else NAN
    return 2.0 if limit_a == 0.0 else 1.0


# ------------------------------------------------------------------ temperature
def max_degc(scene: Scene) -> float:
    return scene.extremes_degc[1]


def minus_min_degc(scene: Scene) -> float:
    return -scene.extremes_degc[0]


def max_probe(scene: Scene) -> int:
    temps = scene.measured.temps.value
    return int(np.nanargmax(temps.probe_degc)) + 1 if temps else 0


def min_probe(scene: Scene) -> int:
    temps = scene.measured.temps.value
    return int(np.nanargmin(temps.probe_degc)) + 1 if temps else 0


def probe_range(scene: Scene) -> float:
    return _doubt(scene, Doubt.PROBE_RANGE, scene.measured.temps.value)


def hottest_spread_k(scene: Scene) -> float:
    """How far a probe is from the middle of all of them."""
    temps = scene.measured.temps.value
    return float(np.nanmax(_apart_k(temps))) if temps else NAN


def spread_probe(scene: Scene) -> int:
    temps = scene.measured.temps.value
    return int(np.nanargmax(_apart_k(temps))) + 1 if temps else 0


def _apart_k(temps: TempScan) -> FloatArray:
    apart_k: FloatArray = np.abs(temps.probe_degc - np.nanmedian(temps.probe_degc))
    return apart_k


def probes_few(scene: Scene) -> float:
    return _doubt(scene, Doubt.PROBES_FEW, scene.measured.temps.value)


def temps_quality(scene: Scene) -> float:
    return float(scene.measured.temps.quality)


# ------------------------------------------------------------------ contactors and pins
def pins_quality(scene: Scene) -> float:
    return float(scene.measured.pins.quality)


def _input(scene: Scene, role: str, level: bool, counts: bool = True) -> float:
    """Whether an input is at a level where that counts: NaN while inputs are unknown, 0 for one that is not fitted."""
    if scene.pins is None:
        return NAN
    return 1.0 if counts and getattr(scene.pins, role) is level else 0.0


def _mains(scene: Scene) -> list[tuple[bool, bool]]:
    """Of every main contactor with an auxiliary contact: whether it reports closed, and was told to be."""
    assert scene.pins is not None
    contacts = (
        (scene.pins.main_aux_closed, scene.command.main),
        (scene.pins.main_negative_aux_closed, scene.command.negative),
    )
    return [(closed, told) for closed, told in contacts if closed is not None]


def mains_welded(scene: Scene) -> float:
    """1: a main contactor does not open, and the other does; 2: none opens."""
    if scene.pins is None:
        return NAN
    welded = [closed and not told for closed, told in _mains(scene)]
    return 2.0 if welded and all(welded) else float(any(welded))


def welded_main(scene: Scene) -> int:
    """1: the one in the positive pole, 2: the one in the negative."""
    pins, command = scene.pins, scene.command
    return 0 if pins is None else 1 if pins.main_aux_closed and not command.main else 2


def main_not_closing(scene: Scene) -> float:
    """1: not closed yet; 2: open again after the time in which it had to close."""
    if scene.pins is None:
        return NAN
    settled = scene.closed_s > scene.settings.contactor.feedback_s
    missing = any(told and not closed for closed, told in _mains(scene))
    return missing * (2.0 if settled else 1.0)


def precharge_welded(scene: Scene) -> float:
    return _input(scene, "precharge_aux_closed", True, not scene.command.precharge)


def aux_changes(scene: Scene) -> float:
    """Changes of an auxiliary contact within a second: two belong to a closing, many to a loose wire or a weak coil."""
    return NAN if scene.pins is None else float(scene.pins.aux_changes)


def precharge_tries(scene: Scene) -> float:
    """Failed precharges in a row; an order to clear them starts the count anew."""
    return 0.0 if clears_precharge(scene.measured.orders.clear) else float(scene.control.precharge_tries)


def clears_precharge(codes: tuple[str, ...]) -> bool:
    return "precharge_failed" in codes or "all" in codes


def precharge_fast(scene: Scene) -> float:
    return 1.0 if scene.control.precharge_fast else 0.0


def link_ratio(scene: Scene) -> float:
    """Link voltage as a part of the pack's, once the pack has been open for long enough to have drained its link."""
    if TOPOLOGIES[scene.settings.contactor.topology].directions:
        return 0.0  # FETs: it may be a charger's
    pack_v = scene.measured.pack_v
    drained = scene.control.state in QUIET_STATES and scene.open_s > scene.settings.contactor.link_drain_s
    return abs(scene.measured.link_v) / pack_v if drained and not pack_v < MIN_PACK_V else 0.0


def gpio_failed(scene: Scene) -> float:
    """1: a line was refused or reads other than written; 2: a coil's line stays energised."""
    if scene.actuated.stuck:
        return 2.0
    return _input(scene, "readback_ok", False) if scene.actuated.ok else 1.0


def fan_failed(scene: Scene) -> float:
    return 0.0 if scene.actuated.fan_ok else 1.0


def estimator_recovering(scene: Scene) -> float:
    return 1.0 if scene.estimate.recovering else 0.0


def soc_lag(scene: Scene) -> float:
    """How far the state of charge that is told is behind the one that is known."""
    return scene.estimate.soc_lag


def stalled_s(scene: Scene) -> float:
    """How long no tick ran over coils that were on: the dead-man has let them go, and must not get them back."""
    return scene.measured.step_s if scene.command.main or scene.command.precharge else 0.0


def emergency_stop(scene: Scene) -> float:
    return _input(scene, "emergency_stop_ok", False)


def interlock_open(scene: Scene) -> float:
    """1: open while moving; 2: open standing still, which is also what is assumed when nobody says."""
    vcu = scene.measured.vcu.value
    return _input(scene, "interlock_ok", False) * (1.0 if vcu is not None and vcu.moving else 2.0)


# ------------------------------------------------------------------ communication, compute, storage
def vcu_lost(scene: Scene) -> float:
    """1: an energy manager that has spoken is silent; 2: a controller without which the pack must not run."""
    wanted, vcu = scene.settings.can.vcu, scene.measured.vcu
    if wanted == "none" or vcu.quality is not Quality.FAILED:
        return 0.0
    if wanted == "required":
        return 2.0
    return 1.0 if vcu.age_s != float("inf") else 0.0


def can_silent_s(scene: Scene) -> float:
    can = scene.measured.can
    return can.silent_s if scene.settings.can.required else 0.0


def late_run_s(scene: Scene) -> float:
    return scene.measured.late_run_s


def not_commissioned(scene: Scene) -> float:
    return 0.0 if scene.measured.health.commissioned else 1.0


def not_approved(scene: Scene) -> float:
    return 0.0 if scene.measured.health.approved else 1.0


def journal_failing(scene: Scene) -> float:
    return 0.0 if scene.measured.health.journal_ok else 1.0
