"""Emulator of a smart battery (SBS 1.1) on SMBus: a gauge that measures, counts, asks of its charger and protects.

Written from public command lists alone and shared with no driver. Cell voltages at 0x3F downwards are the usual
extension of gauges, not of SBS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np

from bms_daemon.sim.taps import Taps

ADDRESS = 0x0B
FAST_S, SLOW_S, AVERAGE_S = 0.25, 1.0, 60.0
KELVIN = 273.15
FULL_V, EMPTY_V, HIGH_V, LOW_V = 4.2, 3.0, 4.28, 2.5  # of a cell: ends of charge and discharge, its own protection
HOT_DEGC = 60.0
OVER_CHARGED, NO_CHARGE, OVER_TEMP, NO_DISCHARGE, INITIALIZED, DISCHARGING, FULL, EMPTY = (
    0x8000, 0x4000, 0x1000, 0x0800, 0x0080, 0x0040, 0x0020, 0x0010,
)  # fmt: skip
BUSY = 1
WRITABLE = {0x00, 0x01, 0x02, 0x03, 0x04}
NAMES = {0x20: b"Emulated", 0x21: b"SBS", 0x22: b"LION", 0x23: b"\x01\x02"}
NOT_AVAILABLE = 0xFFFF
_EDGE = 1e-9


def pec(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0, over every byte on the bus."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register << 1 ^ (0x107 if register & 0x80 else 0)
    return register


@dataclass(slots=True)
class Faults:
    """The test's back door. Counts go down with every use."""

    mute: bool = False
    frozen: bool = False  # tells what it measured last, for ever
    pec_errors: int = 0
    busy: int = 0  # status words that say so
    voltage_offset_v: float = 0.0
    cell_offset_v: dict[int, float] = field(default_factory=dict)
    current_gain: float = 1.0
    soc_offset: float = 0.0
    raw: dict[int, int] = field(default_factory=dict)  # words by command
    missing: set[int] = field(default_factory=set)  # commands that are not acknowledged
    alarms: int = 0  # bits that stand whatever is measured


class SmartBattery:
    """Implements ``sim.taps.Chip`` and ``I2cTarget``. Its capacity in mAh, its state of charge counted by itself."""

    def __init__(
        self,
        taps: Taps,
        seed: int = 0,
        *,
        capacity_ah: float,
        soc: float,
        pec: bool = True,
        address: int = ADDRESS,
        renewed_s: float = SLOW_S,
    ) -> None:
        self.faults = Faults()
        self._taps, self._pec, self._address, self._renewed_s = taps, pec, address, renewed_s
        self._capacity_ah, self._charge_ah = capacity_ah, soc * capacity_ah
        self._noise = np.random.default_rng(seed)
        self._now_s = -inf
        self.power_on_reset()

    def power_on_reset(self) -> None:
        """It has measured nothing yet; what it has counted stays."""
        self._words = {0x01: 0, 0x02: 10, 0x03: 0, 0x04: 0}
        self._measured: dict[int, int] = {}
        self._command = 0
        self._average_a = 0.0
        self._fast_s = self._slow_s = self._now_s + FAST_S if self._now_s > -inf else 0.0

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        if self._now_s > -inf:
            self._charge_ah += self._current_a() * max(0.0, now_s - self._now_s) / 3600.0
            self._charge_ah = min(max(self._charge_ah, 0.0), self._capacity_ah)
        self._now_s = max(self._now_s, now_s)
        if self.faults.frozen:
            return
        if now_s + _EDGE >= self._fast_s:
            self._fast_s = now_s + FAST_S
            self._measure_fast()
        if now_s + _EDGE >= self._slow_s:
            self._slow_s = now_s + self._renewed_s
            self._measure_slow()

    @property
    def next_event_s(self) -> float:
        return inf if self.faults.frozen else min(self._fast_s, self._slow_s)

    @property
    def alert(self) -> bool:
        return False

    @property
    def charge_allowed(self) -> bool:
        """Its own switches are inside the battery: the daemon's coils do not hang on them."""
        return True

    @property
    def discharge_allowed(self) -> bool:
        return True

    @property
    def balancing_mask(self) -> np.ndarray:
        return np.zeros(len(self._taps.cell_v), dtype=bool)

    # ------------------------------------------------------------------ I2C
    def i2c_write(self, data: bytes) -> bool:
        """A command, with a word and its code where it is written."""
        if self.faults.mute or not data or data[0] in self.faults.missing or not self._knows(data[0]):
            return False
        self._command = data[0]
        word = data[1:3]
        if len(word) < 2:
            return len(data) == 1
        if len(data) > 3 and data[3] != pec(bytes((self._address << 1,)) + data[:3]):
            return False
        if self._command not in WRITABLE:
            return False
        self._words[self._command] = int.from_bytes(word, "little")
        return True

    def i2c_read(self, count: int) -> bytes | None:
        if self.faults.mute:
            return None
        data = self._answer()
        code = pec(bytes((self._address << 1, self._command, self._address << 1 | 1)) + data)
        if self.faults.pec_errors > 0:
            self.faults.pec_errors -= 1
            code ^= 0x01
        whole = data + (bytes((code,)) if self._pec else b"\xff")
        return whole[:count].ljust(count, b"\xff")

    def _knows(self, command: int) -> bool:
        cells = len(self._taps.cell_v)
        return command <= 0x1C or command in NAMES or 0x3F - min(cells, 4) < command <= 0x3F

    def _answer(self) -> bytes:
        if self._command in NAMES:
            return bytes((len(NAMES[self._command]),)) + NAMES[self._command]
        word = self.faults.raw.get(self._command, self._word(self._command))
        return (round(word) & 0xFFFF).to_bytes(2, "little")

    # ------------------------------------------------------------------ values
    def _word(self, command: int) -> int:
        if command in self._words:
            return self._words[command]
        if command == 0x16:
            return self._status()
        return self._fixed().get(command, self._measured.get(command, 0))

    def _fixed(self) -> dict[int, int]:
        return {
            0x05: NOT_AVAILABLE,
            0x06: NOT_AVAILABLE,
            0x07: 1,
            0x17: 12,
            0x18: round(self._capacity_ah * 1e3),
            0x19: round(len(self._taps.cell_v) * 3.6e3),
            0x1A: 0x0031 if self._pec else 0x0021,
            0x1B: 0x58B1,
            0x1C: 4711,
        }

    def _status(self) -> int:
        settled = bool(self._measured)
        bits = self._measured.get(0x16, 0) | (INITIALIZED if settled else 0) | self.faults.alarms
        if self.faults.busy > 0:
            self.faults.busy -= 1
            bits |= BUSY
        return bits

    def _current_a(self) -> float:
        return float(self._taps.current_a) * self.faults.current_gain

    def _measure_fast(self) -> None:
        current_a = self._current_a() + 0.001 * float(self._noise.standard_normal())
        self._average_a += (current_a - self._average_a) * FAST_S / AVERAGE_S
        self._measured |= {0x0A: round(current_a * 1e3), 0x0B: round(self._average_a * 1e3)}

    def _measure_slow(self) -> None:
        cell_v = np.array(self._taps.cell_v, dtype=float)
        cell_v += 0.0004 * self._noise.standard_normal(cell_v.size)
        for cell, offset_v in self.faults.cell_offset_v.items():
            cell_v[cell] += offset_v
        degc = float(np.max(self._taps.probe_degc))
        self._measured |= {0x3F - at: round(volts * 1e3) for at, volts in enumerate(cell_v[:4].tolist())}
        self._measured |= {
            0x08: round((degc + KELVIN) * 10.0),
            0x09: round((self._taps.stack_v + self.faults.voltage_offset_v) * 1e3),
            0x0C: 3,
        }
        self._measured |= self._gauged()
        self._measured |= self._asked(float(cell_v.min()), float(cell_v.max()), degc)

    def _gauged(self) -> dict[int, int]:
        soc = min(max(self._charge_ah / self._capacity_ah + self.faults.soc_offset, 0.0), 1.0)
        left_ah, amps = soc * self._capacity_ah, self._average_a
        empty = round(left_ah / -amps * 60.0) if amps < -0.01 else NOT_AVAILABLE
        full = round((self._capacity_ah - left_ah) / amps * 60.0) if amps > 0.01 else NOT_AVAILABLE
        percent = round(100.0 * soc)
        return {
            0x0D: percent,
            0x0E: percent,
            0x0F: round(left_ah * 1e3),
            0x10: round(self._capacity_ah * 1e3),
            0x11: min(empty, NOT_AVAILABLE),
            0x12: min(empty, NOT_AVAILABLE),
            0x13: min(full, NOT_AVAILABLE),
        }

    def _asked(self, low_v: float, high_v: float, degc: float) -> dict[int, int]:
        """Of the charger, and what it warns of."""
        bits = (DISCHARGING if self._measured.get(0x0A, 0) <= 0 else 0) | (FULL | NO_CHARGE if high_v >= FULL_V else 0)
        bits |= EMPTY | NO_DISCHARGE if low_v <= EMPTY_V else 0
        bits |= OVER_CHARGED | NO_CHARGE if high_v > HIGH_V else 0
        bits |= OVER_TEMP | NO_CHARGE if degc > HOT_DEGC else 0
        amps = 0.0 if bits & NO_CHARGE or not 0.0 <= degc <= 45.0 else 0.5 * self._capacity_ah
        return {0x14: round(amps * 1e3), 0x15: round(len(self._taps.cell_v) * FULL_V * 1e3), 0x16: bits}
