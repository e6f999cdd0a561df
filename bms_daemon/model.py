"""The frozen types that cross stages. Units and signs are stated here, once.

Units are in names: ``_v _a _ah _wh _w _ohm _degc _s``; fractions 0..1 carry no suffix.
Current is positive when charging. Times are monotonic seconds. Arrays are float64, one entry a cell or probe;
an entry that is not known is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
T = TypeVar("T")


class BusFault(Exception):
    """A transfer that failed. ``kind`` is one of nack, timeout, crc, framing, busy, gone, denied, refused."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail


class Quality(IntEnum):
    """How far a value can be trusted, best first."""

    GOOD = 0  # measured, in range, young
    HELD = 1  # the last good one, older than it should be
    FAILED = 2  # nothing usable: too old, or never seen


# ------------------------------------------------------------------ what sources deliver
@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """One attempt of a source. A failed attempt has ``value`` None and says why; it never repeats the last value."""

    value: T | None
    time_s: float
    seq: int
    reason: str = ""
    received: bool = True  # False: a receiver's report of silence, not an attempt

    @property
    def ok(self) -> bool:
        return self.value is not None


class Trip(IntFlag):
    """Protections that the AFE's own hardware has acted on."""

    NONE = 0
    OVER_VOLTAGE = 1
    UNDER_VOLTAGE = 2
    OVER_CURRENT_CHARGE = 4
    OVER_CURRENT_DISCHARGE = 8
    SHORT_CIRCUIT = 16
    OVER_TEMPERATURE = 32
    UNDER_TEMPERATURE = 64
    HOST_WATCHDOG = 128
    INTERNAL = 256  # self-test, memory, reference, permanent failure


@dataclass(frozen=True, slots=True)
class AfeScan:
    """One scan of an AFE. ``conversions`` rises by one for every new conversion that the chip proved."""

    cell_v: FloatArray
    stack_v: float
    pack_v: float
    link_v: float
    current_a: float
    conversions: int
    trips: Trip = Trip.NONE
    charge_on: bool = False
    discharge_on: bool = False
    was_reset: bool = False
    retries: int = 0


@dataclass(frozen=True, slots=True)
class TempScan:
    """Probe temperatures and the AFE's own die temperature."""

    probe_degc: FloatArray
    die_degc: float


@dataclass(frozen=True, slots=True)
class ShuntReading:
    """What a current sensor or battery monitor says; NaN for what it does not measure."""

    current_a: float
    voltage_v: float = float("nan")
    soc: float = float("nan")


@dataclass(frozen=True, slots=True)
class Pins:
    """Digital inputs, already in their logical sense. None: not fitted."""

    emergency_stop_ok: bool | None = None
    interlock_ok: bool | None = None
    main_aux_closed: bool | None = None
    precharge_aux_closed: bool | None = None
    readback_ok: bool = True  # every output line reads as it was written


class Request(IntEnum):
    NONE = 0
    OPEN = 1
    CLOSE = 2
    RECOVERY_CHARGE = 3


@dataclass(frozen=True, slots=True)
class VcuRequest:
    """The vehicle controller's or energy manager's last valid frame."""

    request: Request
    moving: bool
    charger_present: bool


@dataclass(frozen=True, slots=True)
class CanHealth:
    """``silent_s``: how long no frame could be sent; ``bus_off``: the controller gave up."""

    silent_s: float = 0.0
    bus_off: bool = False
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """What operators and controllers want of this tick: requests that arrived since the last one, and standing ones."""

    open: bool = False
    close: bool = False
    recovery: bool = False
    clear: tuple[str, ...] = ()
    shutdown: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Standing conditions of the installation."""

    journal_ok: bool = True  # the last write succeeded
    commissioned: bool = True  # the journal says that this pack was commissioned
    approved: bool = True  # the configuration is the one that was commissioned
    limits_accepted: bool = True  # the AFE has taken its hardware limits and read them back


@dataclass(frozen=True, slots=True)
class Raw:
    """The newest stamped sample of every source, as the tick finds it. None: the source is not fitted."""

    cells: Sample[AfeScan] | None = None
    temps: Sample[TempScan] | None = None
    shunt: Sample[ShuntReading] | None = None
    pins: Sample[Pins] | None = None
    vcu: Sample[VcuRequest] | None = None
    can: CanHealth = CanHealth()
    orders: Orders = Orders()
    lateness_s: float = 0.0
    health: Health = Health()


# ------------------------------------------------------------------ validate
class Doubt(IntFlag):
    """Plausibility checks that the newest sample failed."""

    NONE = 0
    CELLS_ABSENT = 1  # every cell reads as absent
    CELL_MISSING = 2  # some cells read as absent, others do not
    CELL_RANGE = 4  # a cell reads what no cell can have
    SETTLING = 8  # first samples after power-up
    SUM_STACK = 16  # sum of cells against the stack
    CURRENT_MISMATCH = 32  # AFE's current against the shunt's
    PROBE_RANGE = 64  # a probe is open, shorted or lost
    PROBES_FEW = 128  # fewer good probes than required
    RESET = 256  # the chip lost its settings


@dataclass(frozen=True, slots=True)
class Channel(Generic[T]):
    """A source after validation: the last good value, how old it is, and whether this tick brought it."""

    value: T | None = None
    time_s: float = float("-inf")
    age_s: float = float("inf")
    quality: Quality = Quality.FAILED
    fresh: bool = False  # a new good value in this tick
    tried: bool = False  # this tick brought something to judge, believed or refused
    reason: str = "never seen"
    bad_run: int = 0  # samples refused since the last good one
    refused: int = 0  # samples refused since the start


@dataclass(frozen=True, slots=True)
class Measured:
    """Validated inputs of one tick."""

    now_s: float
    dt_s: float
    cells: Channel[AfeScan]
    temps: Channel[TempScan]
    shunt: Channel[ShuntReading]
    pins: Channel[Pins]
    vcu: Channel[VcuRequest]
    can: CanHealth
    doubts: Doubt
    frozen_s: float
    lateness_s: float
    late_run_s: float
    orders: Orders
    current_a: float  # protection current; NaN when unknown
    health: Health


# ------------------------------------------------------------------ estimate
@dataclass(frozen=True, slots=True)
class Estimate:
    """What the pack holds. ``soc`` is the weakest cell's; ``soc_sigma`` its standard uncertainty."""

    soc: float = float("nan")
    soc_sigma: float = 1.0
    soc_valid: bool = False
    capacity_ah: float = float("nan")
    charge_throughput_ah: float = 0.0
    discharge_throughput_ah: float = 0.0


# ------------------------------------------------------------------ protect
class Reaction(IntEnum):
    """Reaction classes, mildest first. INHIBIT forbids closing and leaves a closed pack alone."""

    INFO = 0
    WARN = 1
    DERATE = 2
    BLOCK_C = 3
    BLOCK_D = 4
    INHIBIT = 5
    STOP = 6
    OPEN = 7
    SECOND = 8


class Domain(IntEnum):
    """Where a fault sits."""

    SENSOR = 0
    ELECTRICAL = 1
    THERMAL = 2
    COMMUNICATION = 3
    CONTACTOR = 4
    COMPUTE = 5
    STORAGE = 6
    OPERATOR = 7


@dataclass(frozen=True, slots=True)
class Fault:
    """One active rung. ``value`` is what was compared, ``where`` the cell or probe number from 1, 0 if none."""

    code: str
    number: int
    domain: Domain
    reaction: Reaction
    latched: bool
    since_s: float
    value: float = float("nan")
    limit: float = float("nan")
    where: int = 0


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything active, worst first, and the reactions in force as booleans."""

    active: tuple[Fault, ...] = ()
    latched: tuple[str, ...] = ()
    derate: float = 1.0  # limits are multiplied by this
    block_charge: bool = False
    block_discharge: bool = False
    inhibit: bool = False
    stop: bool = False
    open: bool = False
    at_once: bool = False  # OPEN that does not wait for the fuse: emergency stop
    second: bool = False
    but_low: Faults | None = None  # the same without what recovery charging cures or needs, where that is active

    @property
    def worst(self) -> Fault | None:
        return self.active[0] if self.active else None


# ------------------------------------------------------------------ decide
class Binding(IntEnum):
    """Why a limit is what it is."""

    RATED = 0
    CELL_VOLTAGE = 1
    TEMPERATURE = 2
    SOC = 3
    FAULT = 4
    NOT_CLOSED = 5
    OPENING = 6
    STALE = 7
    RISING = 8
    RECOVERY = 9


@dataclass(frozen=True, slots=True)
class Limits:
    """What the pack allows now; currents and powers are magnitudes."""

    charge_a: float = 0.0
    discharge_a: float = 0.0
    charge_w: float = 0.0
    discharge_w: float = 0.0
    max_v: float = 0.0
    min_v: float = 0.0
    charge_binding: Binding = Binding.NOT_CLOSED
    discharge_binding: Binding = Binding.NOT_CLOSED


class PackState(IntEnum):
    SAFE = 0
    SELF_TEST = 1
    STANDBY = 2
    PRECHARGE = 3
    CLOSED = 4
    OPENING = 5
    RECOVERY_CHARGE = 6
    FAULT = 7
    LATCHED = 8


@dataclass(frozen=True, slots=True)
class Command:
    """What the outputs are to be. ``charge``/``discharge`` are the AFE's switch outputs, which gate the coils."""

    main: bool = False
    precharge: bool = False
    charge: bool = False
    discharge: bool = False
    second: bool = False  # trip the second disconnect
    alive: bool = False  # toggle the dead-man pulse in this tick
    fan: float = 0.0


@dataclass(frozen=True, slots=True)
class Control:
    """The contactor machine as others see it."""

    state: PackState = PackState.SAFE
    since_s: float = 0.0
    open_pending: bool = False
    countdown_s: float = 0.0
    closes: int = 0
    precharge_tries: int = 0
    armed: bool = False  # an "open" was seen, so a "close" counts
    precharge_fast: bool = False  # the last precharge was too fast to be one
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Actuated:
    """Read-back of what was commanded."""

    main: bool = False
    precharge: bool = False
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One tick, whole. The only thing that CAN, the link and recordings see."""

    node: int
    now_s: float
    tick: int
    measured: Measured
    estimate: Estimate
    faults: Faults
    limits: Limits
    control: Control
    command: Command
    actuated: Actuated


# ------------------------------------------------------------------ events and what survives
@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a log line. ``data`` holds plain numbers and strings."""

    time_s: float
    kind: str
    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survivor:
    """What must outlive the process."""

    soc: float = float("nan")
    soc_sigma: float = 1.0
    latched: tuple[str, ...] = ()
    closes: int = 0
    charge_throughput_ah: float = 0.0
    discharge_throughput_ah: float = 0.0
    precharge_tries: int = 0
    commissioned_hash: str = ""
    boots: int = 0
