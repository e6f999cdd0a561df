"""Protections that the bq76952 emulator evaluates by itself, from thresholds and delays in its data memory.

Cells and temperatures are judged at the end of each measurement loop, the shunt voltage whenever the emulator is
advanced. A guard is quiet, in alert (condition true, delay running) or tripped; it recovers after the recovery time
with its recovery condition true. OCD3, the FET thermistor, precharge time-out and load detection are not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from bms_daemon.sim.bq76952_memory import DataMemory

CELL_STEP_V = 0.0506
SENSE_STEP_V = 0.002
DELAY_STEP_S = 0.0033
CURRENT_DELAY_S = 0.0066
SHORT_STEP_S = 15e-6
SHORT_V = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
A, B, C = 0, 1, 2
CUV, COV, OCC, OCD1, OCD2, SCD = 0x04, 0x08, 0x10, 0x20, 0x40, 0x80  # bank A
HWDF = 0x02  # bank C
LATCHES = ((SCD, 0x40), (OCD1 | OCD2, 0x20), (COV, 0x10))  # bank A's bits, bank C's latch: SCDL, OCDL, COVL
_EDGE = 1e-9


class Quantity(Enum):
    LOW_CELL = auto()
    HIGH_CELL = auto()
    SENSE = auto()
    HOT_CELL = auto()
    COLD_CELL = auto()
    DIE = auto()


# Bank, bit, quantity, side (+1 trips above) and first data-memory address (threshold, delay s, recovery; all degC).
_TEMPERATURES = (
    (B, 0x10, Quantity.HOT_CELL, 1, 0x929A),
    (B, 0x20, Quantity.HOT_CELL, 1, 0x929D),
    (B, 0x40, Quantity.DIE, 1, 0x92A3),
    (B, 0x01, Quantity.COLD_CELL, -1, 0x92A6),
    (B, 0x02, Quantity.COLD_CELL, -1, 0x92A9),
    (B, 0x04, Quantity.DIE, -1, 0x92AC),
)


@dataclass(slots=True)
class Guard:
    """One protection. ``since_s`` is when its running timer began."""

    bank: int
    bit: int
    quantity: Quantity
    side: int
    threshold: float
    recovery: float
    delay_s: float
    recovery_s: float
    tripped: bool = False
    since_s: float = math.inf

    @property
    def due_s(self) -> float:
        return self.since_s + (self.recovery_s if self.tripped else self.delay_s)

    @property
    def alert(self) -> bool:
        return not self.tripped and self.since_s < math.inf

    def see(self, value: float, now_s: float) -> bool:
        """Judge a new value and run the timer; true when anything changed."""
        excess = self.side * (value - (self.recovery if self.tripped else self.threshold))
        timing = excess <= 0.0 if self.tripped else excess > 0.0
        before = (self.tripped, self.since_s)
        if not timing:
            self.since_s = math.inf
        elif self.since_s == math.inf:
            self.since_s = now_s
        self.run(now_s)
        return (self.tripped, self.since_s) != before

    def run(self, now_s: float) -> bool:
        """Change sides when the timer has ended."""
        if now_s + _EDGE < self.due_s:
            return False
        self.tripped = not self.tripped
        self.since_s = math.inf
        return True


class Protections:
    """All enabled guards, the host watchdog and what they say in the safety registers A, B, C."""

    def __init__(self) -> None:
        self.status = [0, 0, 0]
        self.alert = [0, 0, 0]
        self.forced = [0, 0, 0]
        self._enabled = [0, 0, 0]
        self._latched = 0
        self._guards: list[Guard] = []
        self._watchdog_s = math.inf
        self._watchdog_tripped = False
        self._heard_s = 0.0
        self.due_s = math.inf
        self.sense_quiet_v = (-math.inf, math.inf)

    def load(self, memory: DataMemory, now_s: float) -> None:
        """Start over with the settings in the data memory. Latched and forced bits stay."""
        self._enabled = [memory.u8(0x9261 + bank) for bank in (A, B, C)]
        recovery_s = float(memory.u8(0x92AF))
        tables = (_cell_guards, _current_guards, _temperature_guards)
        rows = [guard for table in tables for guard in table(memory, recovery_s)]
        self._guards = [guard for guard in rows if self._enabled[guard.bank] & guard.bit]
        self._watchdog_s = float(memory.u16(0x92B2)) if self._enabled[C] & HWDF else math.inf
        self._watchdog_tripped = False
        self._heard_s = now_s
        self._collect()

    def clear(self) -> None:
        """Forget latches, as a reset does. Forced bits stay."""
        self._latched = 0
        self._collect()

    def heard(self, now_s: float) -> bool:
        """Valid communication: restarts the host watchdog, and ends its fault."""
        self._heard_s = now_s
        if self._watchdog_tripped:
            self._watchdog_tripped = False
            self._collect()
            return True
        return False

    def see(self, values: dict[Quantity, float], now_s: float) -> bool:
        """Judge new values; true when a safety register changed."""
        changed = False
        for guard in self._guards:
            value = values.get(guard.quantity)
            if value is not None:
                changed |= guard.see(value, now_s)
        return self._collect() if changed else False

    def run(self, now_s: float) -> bool:
        """Run timers that are due; true when a safety register changed."""
        if now_s + _EDGE < self.due_s:
            return False
        for guard in self._guards:
            guard.run(now_s)
        if not self._watchdog_tripped and now_s + _EDGE >= self._heard_s + self._watchdog_s:
            self._watchdog_tripped = True
        return self._collect()

    def recover(self, latch: int) -> bool:
        """End a latched fault of bank C by command."""
        self._latched &= ~latch
        return self._collect()

    def force(self, banks: tuple[int, int, int]) -> bool:
        self.forced = list(banks)
        return self._collect()

    def _collect(self) -> bool:
        before = (*self.status, *self.alert)
        status, alert = list(self.forced), [0, 0, 0]
        for guard in self._guards:
            if guard.tripped:
                status[guard.bank] |= guard.bit
            elif guard.alert:
                alert[guard.bank] |= guard.bit
        for bits, latch in LATCHES:
            if status[A] & bits and self._enabled[C] & latch:
                self._latched |= latch
        status[C] |= self._latched | (HWDF if self._watchdog_tripped else 0)
        self.status, self.alert = status, alert
        self._schedule()
        return (*status, *alert) != before

    def _schedule(self) -> None:
        watchdog_s = math.inf if self._watchdog_tripped else self._heard_s + self._watchdog_s
        self.due_s = min([watchdog_s, *(guard.due_s for guard in self._guards)])
        sense = [guard for guard in self._guards if guard.quantity is Quantity.SENSE]
        if any(guard.tripped or guard.alert for guard in sense):
            self.sense_quiet_v = (math.inf, -math.inf)
            return
        below = [guard.threshold for guard in sense if guard.side < 0]
        above = [guard.threshold for guard in sense if guard.side > 0]
        self.sense_quiet_v = (max(below, default=-math.inf), min(above, default=math.inf))


def _cell_guards(memory: DataMemory, recovery_s: float) -> list[Guard]:
    low_v, high_v = memory.u8(0x9275) * CELL_STEP_V, memory.u8(0x9278) * CELL_STEP_V
    low_end_v = low_v + memory.u8(0x927B) * CELL_STEP_V
    high_end_v = high_v - memory.u8(0x927C) * CELL_STEP_V
    low_s, high_s = memory.u16(0x9276) * DELAY_STEP_S, memory.u16(0x9279) * DELAY_STEP_S
    return [
        Guard(A, CUV, Quantity.LOW_CELL, -1, low_v, low_end_v, low_s, recovery_s),
        Guard(A, COV, Quantity.HIGH_CELL, 1, high_v, high_end_v, high_s, recovery_s),
    ]


def _current_guards(memory: DataMemory, recovery_s: float) -> list[Guard]:
    rows = []
    for bit, side, address in ((OCC, 1, 0x9280), (OCD1, -1, 0x9282), (OCD2, -1, 0x9284)):
        limit_v = side * memory.u8(address) * SENSE_STEP_V
        delay_s = CURRENT_DELAY_S + memory.u8(address + 1) * DELAY_STEP_S
        rows.append(Guard(A, bit, Quantity.SENSE, side, limit_v, limit_v, delay_s, recovery_s))
    short_v = -SHORT_V[memory.u8(0x9286) & 0x0F]
    short_s = max(0, memory.u8(0x9287) - 1) * SHORT_STEP_S
    rows.append(Guard(A, SCD, Quantity.SENSE, -1, short_v, short_v, short_s, recovery_s))
    return rows


def _temperature_guards(memory: DataMemory, recovery_s: float) -> list[Guard]:
    return [
        Guard(
            bank,
            bit,
            quantity,
            side,
            float(memory.i8(at)),
            float(memory.i8(at + 2)),
            float(memory.u8(at + 1)),
            recovery_s,
        )
        for bank, bit, quantity, side, at in _TEMPERATURES
    ]
