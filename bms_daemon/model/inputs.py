"""What sources deliver: samples of chips, sensors, pins and controllers, and what one tick finds of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
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


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """One attempt of a source. A failed attempt has ``value`` None and says why; it never repeats the last value."""

    value: T | None
    time_s: float
    seq: int
    reason: str = ""

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
    """One scan of an AFE. ``conversions`` rises by one for every new conversion that the chip proved.

    NaN and None stand for what the chip does not measure and for switch outputs that it does not have. ``note`` says
    in words what a trip of kind INTERNAL is. ``charge_max_a`` and ``discharge_max_a`` are what a battery with a gauge
    of its own asks not to be exceeded. ``balancing``, bool (cells,): which the chip discharges between scans; it pauses
    while it measures, but those may not have recovered.
    """

    cell_v: FloatArray
    stack_v: float
    conversions: int
    pack_v: float = float("nan")
    link_v: float = float("nan")
    current_a: float = float("nan")
    trips: Trip = Trip.NONE
    charge_on: bool | None = None
    discharge_on: bool | None = None
    was_reset: bool = False
    retries: int = 0
    note: str = ""
    charge_max_a: float = float("inf")
    discharge_max_a: float = float("inf")
    balancing: BoolArray | None = None


@dataclass(frozen=True, slots=True)
class TempScan:
    """Probe temperatures and the AFE's own die temperature."""

    probe_degc: FloatArray
    die_degc: float


@dataclass(frozen=True, slots=True)
class ShuntReading:
    """What a current sensor or battery monitor says; NaN for what it does not measure.

    ``charge_ah``: what its own counter says has flowed since it began, charging less discharging. It may begin anew.
    """

    current_a: float
    voltage_v: float = float("nan")
    link_v: float = float("nan")
    soc: float = float("nan")
    charge_ah: float = float("nan")


@dataclass(frozen=True, slots=True)
class Pins:
    """Digital inputs, already in their logical sense. None: not fitted."""

    emergency_stop_ok: bool | None = None
    interlock_ok: bool | None = None
    main_aux_closed: bool | None = None
    precharge_aux_closed: bool | None = None
    readback_ok: bool = True  # every output line reads as it was written
    aux_changes: int = 0  # of the auxiliary contact that changed most within the last second
    main_negative_aux_closed: bool | None = None


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
    edge: bool = False  # a tick out of turn, which says nothing about lateness
    health: Health = Health()
