"""What the stages make of it: validated channels, estimate, faults, limits, commands, and the snapshot of one tick."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Generic, TypeVar

from bms_daemon.model.estimate import Binding, Estimate
from bms_daemon.model.inputs import (
    AfeScan,
    CanHealth,
    Health,
    Orders,
    Pins,
    Quality,
    ShuntReading,
    TempScan,
    Trip,
    VcuRequest,
)

T = TypeVar("T")


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
    CURRENT_SUSPECT = 512  # of two currents that disagree one is suspected, and the other is gone by
    CURRENT_CONTRADICTED = 1024  # the cells' voltage moves as the current in use does not
    CURRENT_STUCK = 4096  # and the current in use stands still, while the voltage goes up and down
    TERMINALS = 2048  # the pack's terminals against the cells


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
    current_a: float  # protection current; NaN when unknown, as the next two
    pack_v: float  # before the contactors
    link_v: float  # behind them
    current_s: float  # when the current was measured
    current_fresh: bool  # a new current in this tick
    terminals: Quality  # the worst of who measures current, pack and link
    health: Health
    step_s: float = 0.0  # since the tick before, as it was; ``dt_s`` is what may be integrated over
    trips: Trip = Trip.NONE  # of the newest scan that came, believed or not
    compared: bool = False  # a new sample of the slower of two currents
    charge_ah: float = float("nan")  # of who measures the current, by its own counter, which may begin anew


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
    suspect: bool = False  # a sample looks bad and the next one has not confirmed it: no closing until then
    but_low: Faults | None = None  # the same without what recovery charging cures or needs, where that is active

    @property
    def worst(self) -> Fault | None:
        return self.active[0] if self.active else None


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
    """What the outputs are to be. ``charge``/``discharge`` are the AFE's switch outputs, which gate the coils.

    ``negative`` is the main contactor in the negative pole, where there are two.
    """

    main: bool = False
    precharge: bool = False
    charge: bool = False
    discharge: bool = False
    second: bool = False  # trip the second disconnect
    alive: bool = False  # toggle the dead-man pulse in this tick
    fan: float = 0.0
    negative: bool = False


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
    stuck: bool = False  # a coil's line reads energised although it was written off
    fan_ok: bool = True


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
