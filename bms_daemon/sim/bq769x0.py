"""Emulator of TI's bq76920, bq76930 and bq76940 at register level: conversions, protections, switches, checksums.

Written from public register descriptions alone and shared with no driver. Taken from memory, not from a confirmed
source: the sign of the current (positive charging) and that temperatures are renewed every 2 s.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.taps import Taps

Part = Literal["bq76920", "bq76930", "bq76940"]
INPUTS: dict[Part, int] = {"bq76920": 5, "bq76930": 10, "bq76940": 15}
# Inputs that are shorted with fewer cells.
SHORTED: dict[tuple[Part, int], tuple[int, ...]] = {
    ("bq76920", 3): (3, 4),
    ("bq76920", 4): (4,),
    ("bq76930", 9): (9,),
    ("bq76930", 8): (4, 9),
    ("bq76940", 14): (14,),
    ("bq76940", 13): (9, 14),
    ("bq76940", 12): (4, 9, 14),
}
PERIOD_S, WARM_S, BOOT_S = 0.25, 2.0, 0.01
STAT, BAL_1, CTRL_1, CTRL_2, PROTECT_1, PROTECT_2, PROTECT_3 = 0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x08
OV_TRIP, UV_TRIP, CC_CFG, VC_1, BAT, TS_1, CC = 0x09, 0x0A, 0x0B, 0x0C, 0x2A, 0x2C, 0x32
READY, XREADY, OVERRIDE, UV, OV, SCD, OCD = 0x80, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
ADC_EN, TEMP_SEL, CC_EN, DSG_ON, CHG_ON = 0x10, 0x08, 0x40, 0x02, 0x01
WRITABLE = range(0x0C)
SCD_MV = ((22, 33, 44, 56, 67, 78, 89, 100), (44, 67, 89, 111, 133, 155, 178, 200))
OCD_MV = (
    (8, 11, 14, 17, 19, 22, 25, 28, 31, 33, 36, 39, 42, 44, 47, 50),
    (17, 22, 28, 33, 39, 44, 50, 56, 61, 67, 72, 78, 83, 89, 94, 100),
)
OCD_S = (0.008, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
UV_S, OV_S = (1, 4, 8, 16), (1, 2, 4, 8)
NOISE_V, NOISE_SENSE_V = 0.0004, 4e-6
_EDGE = 1e-9


def crc(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register << 1 ^ (0x107 if register & 0x80 else 0)
    return register


@dataclass(slots=True)
class Faults:
    """The test's back door. Cells and probes count from 0."""

    mute: bool = False  # acknowledges nothing
    frozen: bool = False  # converts nothing: registers stay, CC_READY never comes
    raw_cells: dict[int, int] = field(default_factory=dict)
    offset_v: dict[int, float] = field(default_factory=dict)
    gain: float = 1.0  # its converter has drifted
    wrong_crc: int = 0  # answers with a wrong first code
    probe_degc: dict[int, float] = field(default_factory=dict)
    offset_a: float = 0.0


class Bq769x0:
    """Implements ``sim.taps.Chip`` and ``I2cTarget``. ``inputs`` carry the cells, from 1; empty: as TI wires them."""

    def __init__(
        self,
        taps: Taps,
        part: Part = "bq76940",
        seed: int = 0,
        *,
        crc: bool = True,
        address: int = 0x08,
        shunt_mohm: float = 1.0,
        inputs: Sequence[int] = (),
        r25_ohm: float = 10_000.0,
        beta_k: float = 3435.0,
    ) -> None:
        self.faults = Faults()
        self._taps, self._crc, self._address, self._shunt_ohm = taps, crc, address, shunt_mohm * 1e-3
        self._rng, self._noise = random.Random(seed), np.random.default_rng(seed)
        self._gain_uv, self._offset_mv = self._rng.randint(365, 396), self._rng.randint(-30, 30)
        cells = len(taps.cell_v)
        shorted = SHORTED.get((part, cells), ())
        usual = [number for number in range(1, INPUTS[part] + 1) if number not in shorted]
        self._inputs = np.array(list(inputs) or usual[:cells]) - 1
        self._thermistor = r25_ohm, beta_k
        self._powered = True
        self._now_s = -inf
        self.power_on_reset()

    # ------------------------------------------------------------------ supply
    def power_on_reset(self) -> None:
        """Registers as delivered, switches off. Nothing converts until the host asks for it."""
        self._registers = bytearray(256)
        self._registers[0x50] = (self._gain_uv - 365) >> 1 & 0x0C
        self._registers[0x51] = self._offset_mv & 0xFF
        self._registers[0x59] = (self._gain_uv - 365 & 0x07) << 5
        self._pointer = 0
        self._shipping: list[int] = []
        self._due_s = self._warm_s = inf
        self._over_s = self._under_s = self._current_s = inf
        self._up_s = self._now_s + BOOT_S if self._now_s > -inf else -inf

    def power_down(self) -> None:
        """Ship mode, or no supply: no answer, nothing driven, until ``power_up``."""
        self._powered = False

    def power_up(self) -> None:
        """A pulse on TS1."""
        self._powered = True
        self.power_on_reset()

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._now_s = max(self._now_s, now_s)
        if not self._powered:
            return
        self._guard_current(now_s)
        while self._due_s <= now_s + _EDGE:
            self._convert(self._due_s)
            self._due_s = max(self._due_s + PERIOD_S, now_s - 4 * PERIOD_S)

    @property
    def next_event_s(self) -> float:
        return min(self._due_s, self._current_s) if self._powered else inf

    @property
    def alert(self) -> bool:
        return self._powered and self._registers[STAT] != 0

    @property
    def charge_allowed(self) -> bool:
        return self._powered and bool(self._registers[CTRL_2] & CHG_ON)

    @property
    def discharge_allowed(self) -> bool:
        return self._powered and bool(self._registers[CTRL_2] & DSG_ON)

    @property
    def balancing_mask(self) -> np.ndarray:
        groups = self._registers[BAL_1 : BAL_1 + 3]
        mask = groups[0] & 31 | (groups[1] & 31) << 5 | (groups[2] & 31) << 10 if self._powered else 0
        return np.array([mask >> number & 1 for number in self._inputs.tolist()], dtype=bool)

    def disturb(self) -> None:
        """Transfers between its parts failed: DEVICE_XREADY."""
        self._trip(XREADY, CHG_ON | DSG_ON)
        self._registers[BAL_1 : BAL_1 + 3] = bytes(3)

    def override(self) -> None:
        """Somebody else drives ALERT high."""
        self._trip(OVERRIDE, CHG_ON | DSG_ON)

    # ------------------------------------------------------------------ I2C
    def i2c_write(self, data: bytes) -> bool:
        """The register, then data, each byte with its code where the part has one; what has a wrong one is ignored."""
        if not self._listens():
            return False
        if not data:
            return True
        self._pointer = data[0]
        for at, value in enumerate(self._checked(data[0], data[1:])):
            self._put(data[0] + at, value)
        return True

    def i2c_read(self, count: int) -> bytes | None:
        if not self._listens():
            return None
        length = -(-count // 2) if self._crc else count
        data = bytes(self._registers[(self._pointer + at) & 0xFF] for at in range(length))
        self._pointer = (self._pointer + length) & 0xFF
        return self._coded(data)[:count] if self._crc else data

    def _listens(self) -> bool:
        return self._powered and not self.faults.mute and self._now_s >= self._up_s

    def _checked(self, register: int, data: bytes) -> bytes:
        if not self._crc:
            return data
        values, codes = data[0::2], data[1::2]
        first = bytes((self._address << 1, register)) + values[:1]
        covered = [first, *(values[k : k + 1] for k in range(1, len(values)))]
        good = bytearray()
        for value, part, code in zip(values, covered, codes, strict=False):
            if crc(part) != code:
                break
            good.append(value)
        return bytes(good)

    def _coded(self, data: bytes) -> bytes:
        out = bytearray()
        for at, byte in enumerate(data):
            code = crc(bytes((self._address << 1 | 1, byte)) if at == 0 else bytes((byte,)))
            if at == 0 and self.faults.wrong_crc > 0:
                self.faults.wrong_crc -= 1
                code ^= 0x01
            out += bytes((byte, code))
        return bytes(out)

    def _put(self, register: int, value: int) -> None:
        if register == STAT:
            self._registers[STAT] &= ~value & 0xFF
        elif register == CTRL_1:
            self._control(value)
        elif register == CTRL_2:
            self._registers[CTRL_2] = self._permitted(value)
        elif register in WRITABLE:
            self._registers[register] = value

    def _control(self, value: int) -> None:
        """Ship mode is entered by 0, 1, 2 in the two lowest bits, one behind the other."""
        self._shipping = [*self._shipping, value & 3][-3:]
        if self._shipping == [0, 1, 2]:
            self.power_down()
            return
        starts = value & ADC_EN and not self._registers[CTRL_1] & ADC_EN
        self._registers[CTRL_1] = value & (ADC_EN | TEMP_SEL)
        if starts:
            self._due_s, self._warm_s = self._now_s + PERIOD_S, self._now_s + PERIOD_S
        elif not value & ADC_EN:
            self._due_s = inf

    def _permitted(self, value: int) -> int:
        """A switch stays off while what opened it is still reported."""
        stat = self._registers[STAT]
        if stat & (OV | OVERRIDE | XREADY):
            value &= ~CHG_ON
        if stat & (UV | OCD | SCD | OVERRIDE | XREADY):
            value &= ~DSG_ON
        return value & 0xFF

    # ------------------------------------------------------------------ conversions
    def _convert(self, now_s: float) -> None:
        if self.faults.frozen:
            return
        cell_v = self._cells_v()
        inputs_v = np.zeros(15)
        inputs_v[self._inputs] = cell_v
        for cell, offset_v in self.faults.offset_v.items():
            inputs_v[self._inputs[cell]] += offset_v
        codes = self._count(inputs_v)
        codes[np.setdiff1d(np.arange(15), self._inputs)] = 0
        for cell, code in self.faults.raw_cells.items():
            codes[self._inputs[cell]] = code
        self._words(VC_1, codes)
        stack = (float(self._taps.stack_v) * 1e3 - len(cell_v) * self._offset_mv) * 1e3 / (4 * self._gain_uv)
        self._words(BAT, np.array([round(stack)]))
        if now_s + _EDGE >= self._warm_s:
            self._warm_s = now_s + WARM_S
            self._words(TS_1, self._temperatures())
        if self._registers[CTRL_2] & CC_EN:
            self._words(CC, np.array([round(self._sense_v() / 8.44e-6)]))
            self._registers[STAT] |= READY
        self._guard_voltage(now_s, cell_v)

    def _cells_v(self) -> FloatArray:
        cell_v: FloatArray = self.faults.gain * np.asarray(self._taps.cell_v)
        return cell_v + NOISE_V * self._noise.standard_normal(cell_v.size)

    def _count(self, volts: FloatArray) -> np.ndarray:
        counts = np.rint((volts * 1e3 - self._offset_mv) * 1e3 / self._gain_uv)
        found: np.ndarray = np.clip(counts, 0, 0x3FFF).astype(int)
        return found

    def _temperatures(self) -> np.ndarray:
        r25_ohm, beta_k = self._thermistor
        degc = np.resize(np.asarray(self._taps.probe_degc, dtype=float), 3)
        for probe, forced_degc in self.faults.probe_degc.items():
            degc[probe] = forced_degc
        if not self._registers[CTRL_1] & TEMP_SEL:
            volts = np.full(3, 1.2 - 0.0042 * (self._taps.die_degc - 25.0))
        else:
            ohm = r25_ohm * np.exp(beta_k * (1.0 / (degc + 273.15) - 1.0 / 298.15))
            volts = 3.3 * ohm / (ohm + 10e3)
        return np.clip(np.rint(volts / 382e-6), 0, 0x3FFF).astype(int)

    def _words(self, register: int, codes: np.ndarray) -> None:
        for at, code in enumerate(codes.tolist()):
            self._registers[register + 2 * at : register + 2 * at + 2] = (code & 0xFFFF).to_bytes(2, "big")

    def _sense_v(self) -> float:
        current_a = self._taps.current_a + self.faults.offset_a
        return current_a * self._shunt_ohm + self._rng.gauss(0.0, NOISE_SENSE_V)

    # ------------------------------------------------------------------ protections
    def _limit_v(self, register: int, base: int) -> float:
        return ((base + (self._registers[register] << 4)) * self._gain_uv * 1e-6) + self._offset_mv * 1e-3

    def _guard_voltage(self, now_s: float, cell_v: np.ndarray) -> None:
        delays = self._registers[PROTECT_3]
        high = float(cell_v.max()) > self._limit_v(OV_TRIP, 0x2008)
        low = float(cell_v.min()) < self._limit_v(UV_TRIP, 0x1000)
        self._over_s = min(self._over_s, now_s) if high else inf
        self._under_s = min(self._under_s, now_s) if low else inf
        if now_s - self._over_s >= OV_S[delays >> 4 & 3]:
            self._trip(OV, CHG_ON)
        if now_s - self._under_s >= UV_S[delays >> 6]:
            self._trip(UV, DSG_ON)

    def _guard_current(self, now_s: float) -> None:
        """Discharge only; the chip has no limit for charging."""
        drop_mv = -(self._taps.current_a + self.faults.offset_a) * self._shunt_ohm * 1e3
        protect, over = self._registers[PROTECT_1], self._registers[PROTECT_2]
        rsns = protect >> 7
        if drop_mv > SCD_MV[rsns][protect & 7]:
            self._trip(SCD, DSG_ON)
        if drop_mv <= OCD_MV[rsns][over & 15]:
            self._current_s = inf
        elif self._current_s == inf:
            self._current_s = now_s + OCD_S[over >> 4 & 7]
        elif now_s + _EDGE >= self._current_s:
            self._current_s = inf
            self._trip(OCD, DSG_ON)

    def _trip(self, bit: int, switches: int) -> None:
        self._registers[STAT] |= bit
        self._registers[CTRL_2] &= ~switches & 0xFF
