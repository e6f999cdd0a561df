"""Emulator of TI's INA226, INA228 and INA238 at register level: big-endian words, conversions, flags.

Written from public register lists alone and shared with no driver. Conversion times of the INA228's codes are the
data sheet's as far as they are known: 1052 us a quantity at code 5.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import floor, inf
from typing import Literal

from bms_daemon.sim.taps import Taps

Part = Literal["ina226", "ina228", "ina238"]
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
TIMES_226_S = (140e-6, 204e-6, 332e-6, 588e-6, 1.1e-3, 2.116e-3, 4.156e-3, 8.244e-3)
TIMES_228_S = (50e-6, 84e-6, 150e-6, 280e-6, 540e-6, 1.052e-3, 2.074e-3, 4.12e-3)
NOISE_V = 3e-6
CHARGE, CHARGE_OVERFLOW, MATH_OVERFLOW = 0x0A, 0x0400, 0x0200
WRAP = 2**40
_EDGE = 1e-9


@dataclass(slots=True)
class Faults:
    """The test's back door."""

    mute: bool = False
    frozen: bool = False  # converts and counts nothing more
    memory_error: bool = False  # its trim memory does not add up
    offset_a: float = 0.0
    gain: float = 1.0
    inverted: bool = False


class Ina2xx:
    """An I2C target that measures by itself. ``bus`` names the tap that its VBUS pin sits on."""

    def __init__(
        self,
        taps: Taps,
        part: Part = "ina228",
        seed: int = 0,
        *,
        shunt_mohm: float = 1.0,
        bus: Literal["pack_v", "link_v"] = "link_v",
    ) -> None:
        self.faults = Faults()
        self._taps, self._part, self._bus, self._shunt_ohm = taps, part, bus, shunt_mohm * 1e-3
        self._random = random.Random(seed)
        self._now_s = self._counted_s = -inf
        self._last_a = 0.0
        self.power_on_reset()

    def power_on_reset(self) -> None:
        """Registers as delivered: calibration is lost."""
        self._pointer = 0
        self._ready = False
        if self._part == "ina226":
            self._words = {0x00: 0x4127, 0x05: 0, 0xFE: 0x5449, 0xFF: 0x2260}
        else:
            self._words = {0x00: 0, 0x01: 0xFB68, 0x02: 0x1000, 0x3E: 0x5449}
            self._words[0x3F] = 0x2281 if self._part == "ina228" else 0x2381
        self._shunt_code = self._bus_code = 0
        self._charge, self._wrapped, self._too_large = 0.0, False, False
        self._due_s = self._now_s + self._lasts_s() if self._now_s > -inf else -inf

    def advance(self, now_s: float) -> None:
        self.count(now_s)
        self._now_s = max(self._now_s, now_s)
        if self._due_s == -inf:
            self._due_s = now_s + self._lasts_s()
        if now_s + _EDGE >= self._due_s and not self.faults.frozen:
            self._convert()
            self._due_s += self._lasts_s() * (1 + (now_s - self._due_s) // self._lasts_s())

    @property
    def next_event_s(self) -> float:
        return inf if self.faults.frozen or self._due_s == -inf else self._due_s

    # ------------------------------------------------------------------ I2C
    def i2c_write(self, data: bytes) -> bool:
        if self.faults.mute:
            return False
        if data:
            self._pointer = data[0]
        if len(data) == 3:
            self._put(data[0], int.from_bytes(data[1:], "big"))
        return True

    def i2c_read(self, count: int) -> bytes | None:
        if self.faults.mute:
            return None
        return self._raw(self._pointer)[:count].ljust(count, b"\xff")

    def _put(self, register: int, value: int) -> None:
        if register == 0x00 and value & 0x8000:
            self.power_on_reset()
            return
        if register == 0x00 and value & 0x4000 and self._part == "ina228":
            self._charge, value = 0.0, value & ~0x4000
        if register in (0x00, 0x01, 0x02, 0x05) and register in self._words:
            self._words[register] = value
            self._due_s = self._now_s + self._lasts_s()

    def _raw(self, register: int) -> bytes:
        wide = self._part == "ina228"
        shunt, bus, flags = (0x01, 0x02, 0x06) if self._part == "ina226" else (0x04, 0x05, 0x0B)
        if register == flags:
            return self._flags()
        if wide and register == CHARGE:
            self._wrapped = False
            return (floor(self._charge) % WRAP).to_bytes(5, "big")
        if register in (shunt, bus):
            code = self._shunt_code if register == shunt else self._bus_code
            return ((code << 4) & 0xFFFFFF).to_bytes(3, "big") if wide else (code & 0xFFFF).to_bytes(2, "big")
        return self._words.get(register, 0).to_bytes(2, "big")

    def _flags(self) -> bytes:
        """Reading them clears the one that tells of a conversion."""
        ready, self._ready = self._ready, False
        if self._part == "ina226":
            return (0x0008 if ready else 0).to_bytes(2, "big")
        told = (0x0002 if ready else 0) | (0 if self.faults.memory_error else 0x0001)
        told |= (CHARGE_OVERFLOW if self._wrapped else 0) | (MATH_OVERFLOW if self._too_large else 0)
        return told.to_bytes(2, "big")

    # ------------------------------------------------------------------ conversions
    def _lasts_s(self) -> float:
        config = self._words[0x00] if self._part == "ina226" else self._words[0x01]
        if self._part == "ina226":
            times = TIMES_226_S[config >> 6 & 7] + TIMES_226_S[config >> 3 & 7]
            return times * AVERAGES[config >> 9 & 7]
        times = sum(TIMES_228_S[config >> shift & 7] for shift in (9, 6, 3))
        return times * AVERAGES[config & 7]

    def _measured_a(self) -> float:
        side = -1.0 if self.faults.inverted else 1.0
        return side * self.faults.gain * self._taps.current_a + self.faults.offset_a

    @property
    def _counts_an_ampere(self) -> float:
        """Of CURRENT, by SHUNT_CAL = 13107.2e6 x LSB x ohm; 0 with nothing in it."""
        calibrated = self._words.get(0x02, 0)
        return 13107.2e6 * self._shunt_ohm / calibrated if calibrated else 0.0

    def count(self, now_s: float) -> None:
        """Counts of CURRENT times seconds, rolling over at 40 bits. See ``taps.Counts``."""
        current_a = self._measured_a()
        if -inf < self._counted_s < now_s and not self.faults.frozen:
            passed_c = 0.5 * (self._last_a + current_a) * (now_s - self._counted_s)
            charge = self._charge + passed_c * self._counts_an_ampere
            self._charge = (charge + WRAP / 2) % WRAP - WRAP / 2
            self._wrapped |= not -WRAP / 2 <= charge < WRAP / 2
        self._last_a, self._counted_s = current_a, max(self._counted_s, now_s)

    def _convert(self) -> None:
        current_a = self._measured_a()
        self._too_large = self._part == "ina228" and abs(current_a) * self._counts_an_ampere >= 2**19
        shunt_v = current_a * self._shunt_ohm + self._random.gauss(0.0, NOISE_V)
        bus_v = float(getattr(self._taps, self._bus))
        steps = {"ina226": (2.5e-6, 1.25e-3), "ina228": (312.5e-9, 195.3125e-6), "ina238": (5e-6, 3.125e-3)}
        shunt_step, bus_step = steps[self._part]
        most = 2**19 - 1 if self._part == "ina228" else 2**15 - 1
        self._shunt_code = min(max(round(shunt_v / shunt_step), -most - 1), most)
        self._bus_code = min(max(round(bus_v / bus_step), 0), most)
        self._ready = True
