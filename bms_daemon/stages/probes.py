"""The numbers that rules compare: one small pure function each, from the scene of this tick to a float.

0 and 1 stand for no and yes. NaN compares as false with every limit, so a probe of something unknown never triggers;
that something is unknown is a fault of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bms_daemon.config.schema import Settings
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
