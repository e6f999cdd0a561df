"""Limits that the bq769x0 emulator judges by itself: cells at every conversion, discharge current at every advance."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from bms_daemon.model import FloatArray
from bms_daemon.sim.bq769x0_adc import Build
from bms_daemon.sim.bq769x0_protocol import (
    CTRL_2,
    DELAY_DIS,
    OCD,
    OV,
    OV_TRIP,
    PROTECT_1,
    PROTECT_2,
    PROTECT_3,
    SCD,
    UV,
    UV_TRIP,
)

SCD_MV = ((22, 33, 44, 56, 67, 78, 89, 100), (44, 67, 89, 111, 133, 155, 178, 200))
OCD_MV = (
    (8, 11, 14, 17, 19, 22, 25, 28, 31, 33, 36, 39, 42, 44, 47, 50),
    (17, 22, 28, 33, 39, 44, 50, 56, 61, 67, 72, 78, 83, 89, 94, 100),
)
SCD_S = (70e-6, 100e-6, 200e-6, 400e-6)
OCD_S = (0.008, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
UV_S, OV_S = (1.0, 4.0, 8.0, 16.0), (1.0, 2.0, 4.0, 8.0)
OV_BASE, UV_BASE = 0x2008, 0x1000
EMPTY_V = 0.5  # below that an input counts as shorted: no undervoltage
_EDGE = 1e-9


@dataclass(slots=True)
class Guard:
    """One limit and its delay. ``since_s`` is since when it has been passed."""

    bit: int
    limit: float = 0.0
    delay_s: float = 0.0
    since_s: float = inf

    def see(self, beyond: bool, now_s: float) -> int:
        """Its bit once the limit has been passed for the delay."""
        self.since_s = min(self.since_s, now_s) if beyond else inf
        return self.bit if now_s + _EDGE >= self.since_s + self.delay_s else 0


class Protections:
    """Says which bits of SYS_STAT are to be set. ``due_s`` is when a current's delay ends.

    A current that is not below ``quiet_a`` changes nothing.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._over, self._under, self._load, self._short = Guard(OV), Guard(UV), Guard(OCD), Guard(SCD)
        self.clear()

    def clear(self) -> None:
        """Forget every delay that runs."""
        self.forget_cells()
        self._load.since_s = self._short.since_s = inf
        self._plan()

    def forget_cells(self) -> None:
        self._over.since_s = self._under.since_s = inf

    def load(self, registers: bytearray) -> None:
        """Take limits and delays from the registers; delays that run go on."""
        first, second, third = registers[PROTECT_1], registers[PROTECT_2], registers[PROTECT_3]
        self._over.limit = self._trip_v(OV_BASE, registers[OV_TRIP])
        self._under.limit = self._trip_v(UV_BASE, registers[UV_TRIP])
        self._load.limit = self._trip_a(OCD_MV[first >> 7][second & 0x0F])
        self._short.limit = self._trip_a(SCD_MV[first >> 7][first & 0x07])
        delays_s = OV_S[third >> 4 & 3], UV_S[third >> 6], OCD_S[second >> 4 & 7], SCD_S[first >> 3 & 3]
        for guard, delay_s in zip((self._over, self._under, self._load, self._short), delays_s, strict=True):
            guard.delay_s = 0.0 if registers[CTRL_2] & DELAY_DIS else delay_s
        self._plan()

    def see_cells(self, cell_v: FloatArray, now_s: float) -> int:
        low = (cell_v < self._under.limit) & (cell_v > EMPTY_V)
        high = cell_v > self._over.limit
        return self._over.see(bool(high.any()), now_s) | self._under.see(bool(low.any()), now_s)

    def see_current(self, current_a: float, standing: int, now_s: float) -> int:
        """Discharge only. A bit that is ``standing`` in SYS_STAT is not judged again."""
        bits = 0
        for guard in (self._load, self._short):
            bits |= guard.see(current_a < guard.limit and not standing & guard.bit, now_s)
            if bits & guard.bit:
                guard.since_s = inf
        self._plan()
        return bits

    def _trip_v(self, base: int, code: int) -> float:
        return (base | code << 4) * self._build.gain_uv * 1e-6 + self._build.offset_mv * 1e-3

    def _trip_a(self, millivolts: float) -> float:
        return -millivolts * 1e-3 / self._build.shunt_ohm

    def _plan(self) -> None:
        self.due_s = min(guard.since_s + guard.delay_s for guard in (self._load, self._short))
        self.quiet_a = max(self._load.limit, self._short.limit) if self.due_s == inf else inf
