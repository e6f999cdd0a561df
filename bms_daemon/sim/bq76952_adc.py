"""Measurements of the bq76952 emulator: what the pins show, turned into register values, and ways to spoil them.

The whole vector is sampled at the end of a measurement loop; the coulomb counter's CC2 at the newest 3 ms slot when it
is read. Cell, PACK and LD gain trims are not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.bq76952_builds import SLOT_S, Build
from bms_daemon.sim.bq76952_memory import DataMemory
from bms_daemon.sim.taps import Taps

PINS = 16
CC_UV = 7.5684  # CC gain times mOhm: VREF2 1.24 V over 5 * 32768, in uV (TI SLUUBY2B)
CAPACITY_RATIO = 298261.6178  # capacity gain over CC gain (TI SLUUBY2B)
CC_FULL_SCALE_V = 1.24 / 5
CELL_COUNT_V = 5 * 1.212 / 2**23
CC_COUNT_V = 1.24 / (5 * 2**23)
THERMISTOR_PINS = tuple(range(0x92FA, 0x9303))  # pin configurations, CFETOFF to DDSG
FIRST_TEMPERATURE = 0x6A  # register of the first of them, two bytes each
CELL_THERMISTOR = 0x07
OPEN_NTC_DEGC = -40.0
WILD_MV = 53000
USER_A = (0.0001, 0.001, 0.01, 0.1)
_NOISE_ROWS = 1021


@dataclass(slots=True)
class Faults:
    """The test's back door. Cells and probes are counted from 0 in the pack's order, not the chip's pins.

    Faults spoil conversion results and registers; the chip's comparators still see the pins, except ``frozen``, which
    stops everything that converts, comparators included.
    """

    frozen: bool = False  # answers, but nothing converts: readings stay, no scan is ever complete
    mute: bool = False  # works, but acknowledges nothing
    wild: int = 0  # conversions from now on that read like 53 V in 1 mV counts
    raw_all: int | None = None  # every cell register reads this
    raw_cells: dict[int, int] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)  # these cells' registers read 0
    offset_v: dict[int, float] = field(default_factory=dict)
    spike_v: dict[int, float] = field(default_factory=dict)  # added to the next conversion only
    gain: float = 1.0  # on every cell
    stack_v: float | None = None  # the stack reading is stuck here
    probe_degc: dict[int, float] = field(default_factory=dict)
    vss_counts: int = 0
    vreg18_counts: int = 0x4B00

    @property
    def spoils_cells(self) -> bool:
        return (
            self.raw_all is not None
            or self.wild > 0
            or self.gain != 1.0
            or bool(self.raw_cells or self.dropped or self.offset_v or self.spike_v)
        )


class Adc:
    """Pins to counts. ``cell_v`` holds what the comparators see, ``cell_raw`` what the registers say."""

    def __init__(
        self, taps: Taps, build: Build, shunt_mohm: float, noise_v: float, noise_sense_v: float, seed: int
    ) -> None:
        self.build = build
        self.faults = Faults()
        self.fets = False  # the PACK pin sits behind them
        self._taps = taps
        self.pins = np.arange(len(taps.cell_v))
        self._shunt_ohm = shunt_mohm / 1000.0
        rng = np.random.default_rng(seed)
        self._cell_noise_mv: FloatArray = rng.normal(0.0, noise_v * 1000.0, (_NOISE_ROWS, PINS))
        self._sense_noise_v: list[float] = rng.normal(0.0, noise_sense_v, _NOISE_ROWS).tolist()
        self._loops = 0
        self._slot = -1
        self._raw_current = 0
        self.sense_v = 0.0
        self.clear()

    def clear(self) -> None:
        """Readings as after power-up: all zero."""
        self.cell_v: FloatArray = np.zeros(PINS)
        self.cell_raw = np.zeros(PINS, dtype="<i2")
        self.rails_raw = (0, 0, 0)  # stack, PACK, LD
        self.probe_dk: dict[int, int] = {}  # register to 0.1 K, cell thermistors only
        self.die_dk = 0
        self.cell_temps_degc: list[float] = []

    def wire(self, mask: int) -> None:
        """Say to which cell inputs (bit 0: VC1) the pack's cells are soldered, lowest first."""
        pins = [pin for pin in range(PINS) if mask >> pin & 1]
        if len(pins) != len(self.pins):
            raise ValueError(f"{len(pins)} inputs wired for {len(self.pins)} cells")
        self.pins = np.array(pins)

    def load(self, memory: DataMemory) -> None:
        """Take scale factors, fitted cells and thermistor pins from the data memory."""
        mode = memory.u16(0x9304) or 0xFFFF
        self.fitted = np.array([pin for pin in range(PINS) if mode >> pin & 1])
        self._blank = np.array([pin for pin in range(PINS) if not mode >> pin & 1], dtype=np.intp)
        config = memory.u8(0x9303)
        self._user_v = 0.01 if config & 4 else 0.001
        self.user_a = USER_A[config & 3]
        self._a_per_v = 1000.0 * memory.f32(0x91A8) / CC_UV
        self._capacity_a_per_v = 1000.0 * memory.f32(0x91AC) / CAPACITY_RATIO / CC_UV
        cell_type = [memory.u8(pin) & 0x0F == CELL_THERMISTOR for pin in THERMISTOR_PINS]
        self._thermistors = [FIRST_TEMPERATURE + 2 * k for k, fitted in enumerate(cell_type) if fitted]

    # ------------------------------------------------------------------ voltages and temperatures
    def convert(self) -> None:
        """One measurement loop, sampled now."""
        self.cell_v = np.zeros(PINS)
        self.cell_v[self.pins] = self._taps.cell_v
        millivolts = self.cell_v * 1000.0 + self._cell_noise_mv[self._loops % _NOISE_ROWS]
        self._loops += 1
        raw = self._clipped(millivolts)
        if self.faults.spoils_cells:
            raw = self._spoilt(millivolts)
        raw[self._blank] = 0
        self.cell_raw = raw
        self._convert_rails()
        self._convert_temperatures()

    @staticmethod
    def _clipped(millivolts: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        return np.fmax(np.fmin(np.rint(millivolts), 32767.0), -32768.0).astype("<i2")

    def _spoilt(self, millivolts: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        faults = self.faults
        if faults.wild > 0:
            faults.wild -= 1
            return np.full(PINS, WILD_MV - 65536, dtype="<i2")
        if faults.raw_all is not None:
            return np.full(PINS, faults.raw_all, dtype="<u2").astype("<i2")
        millivolts = millivolts * faults.gain
        for offsets in (faults.offset_v, faults.spike_v):
            for cell, volts in offsets.items():
                millivolts[self.pins[cell]] += volts * 1000.0
        faults.spike_v.clear()
        raw = self._clipped(millivolts)
        for cell in faults.dropped:
            raw[self.pins[cell]] = 0
        for cell, value in faults.raw_cells.items():
            raw[self.pins[cell]] = (value + 0x8000 & 0xFFFF) - 0x8000
        return raw

    def _convert_rails(self) -> None:
        taps = self._taps
        stack_v = taps.stack_v if self.faults.stack_v is None else self.faults.stack_v
        pack_v = taps.link_v if self.fets else taps.pack_v
        self.rails_raw = (self._rail(stack_v), self._rail(pack_v), self._rail(taps.link_v))

    def _rail(self, volts: float) -> int:
        return _saturated(volts / self._user_v)

    def _convert_temperatures(self) -> None:
        self.die_dk = deci_kelvin(self._taps.die_degc)
        probes = self._taps.probe_degc
        self.cell_temps_degc = [self._probe(k, probes) for k in range(len(self._thermistors))]
        self.probe_dk = {reg: deci_kelvin(t) for reg, t in zip(self._thermistors, self.cell_temps_degc, strict=True)}

    def _probe(self, index: int, probes: FloatArray) -> float:
        degc = self.faults.probe_degc.get(index, probes[index] if index < len(probes) else OPEN_NTC_DEGC)
        return OPEN_NTC_DEGC if math.isnan(degc) else float(degc)

    # ------------------------------------------------------------------ current
    def sense(self) -> float:
        """Voltage over the shunt now, positive when charging."""
        return self._taps.current_a * self._shunt_ohm

    def current_raw(self, now_s: float) -> int:
        """CC2 in user amperes, i16, of the newest 3 ms slot."""
        slot = int(now_s / SLOT_S)
        if slot != self._slot and not self.faults.frozen:
            self._slot = slot
            sense_v = self.sense() + self._sense_noise_v[slot % _NOISE_ROWS]
            self.sense_v = min(CC_FULL_SCALE_V, max(-CC_FULL_SCALE_V, sense_v))
            self._raw_current = _saturated(self.sense_v * self._a_per_v / self.user_a)
        return self._raw_current

    def charge_user_ah(self, sense_vs: float) -> float:
        """Charge in user ampere-hours of ``sense_vs`` volt-seconds over the shunt."""
        return sense_vs * self._capacity_a_per_v / self.user_a / 3600.0


def deci_kelvin(degc: float) -> int:
    return _saturated((degc + 273.15) * 10.0)


def _saturated(value: float) -> int:
    """Round to i16 as the chip does: at the end of its range it stays; what is no number reads 0."""
    if math.isnan(value):
        return 0
    return round(min(32767.0, max(-32767.0, value)))
