"""Measurements of the bq769x0 emulator: which inputs carry cells, what they show in counts, and ways to spoil them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.taps import Taps

Part = Literal["bq76920", "bq76930", "bq76940"]
GROUPS: dict[Part, int] = {"bq76920": 1, "bq76930": 2, "bq76940": 3}
GROUP = 5
# Inputs in the order in which they are shorted, one more for each cell less.
SHORTED: dict[Part, tuple[int, ...]] = {
    "bq76920": (4, 3),
    "bq76930": (9, 4, 8, 3),
    "bq76940": (14, 9, 4, 13, 8, 3),
}
INPUTS = 15
CC_V = 8.44e-6
THERMISTOR_COUNT_V = 382e-6
PULL_UP_OHM, PULL_UP_V = 10e3, 3.3
BLED_DROP_V = 0.005
BLED_NOISE = 2.0  # a window of 12.5 ms instead of 50 ms


@dataclass(slots=True)
class Faults:
    """The test's back door. Cells and probes count from 0 in the pack's order, not the chip's inputs.

    Faults spoil registers; the chip's own limits still see the pins, except ``frozen``, which stops those too.
    """

    mute: bool = False  # acknowledges nothing
    frozen: bool = False  # converts nothing: registers stay, CC_READY never comes
    raw_cells: dict[int, int] = field(default_factory=dict)
    offset_v: dict[int, float] = field(default_factory=dict)
    gain: float = 1.0  # its converter has drifted
    wrong_crc: int = 0  # so many reads answer with a wrong first code
    probe_degc: dict[int, float] = field(default_factory=dict)  # NaN: open
    offset_a: float = 0.0
    xready: bool = False  # sets DEVICE_XREADY, and again whenever it is cleared
    stuck_balance: int = 0  # these cells are discharged whatever the registers say, bit 0: the first


def wired(part: Part, cells: int, inputs: Sequence[int] = ()) -> list[int]:
    """The inputs that carry so many cells, from 1, lowest first."""
    count = GROUP * GROUPS[part]
    missing = count - cells
    if not inputs and 0 <= missing <= len(SHORTED[part]):
        inputs = [number for number in range(1, count + 1) if number not in SHORTED[part][:missing]]
    chosen = sorted(set(inputs) & set(range(1, count + 1)))
    if len(chosen) != cells or chosen != list(inputs):
        raise ValueError(f"{part}: inputs {list(inputs)} for {cells} cells")
    return chosen


@dataclass(frozen=True, slots=True)
class Build:
    """What differs from one chip and board to the next."""

    gain_uv: int
    offset_mv: int
    shunt_ohm: float
    r25_ohm: float
    beta_k: float
    noise_v: float
    noise_sense_v: float

    def __post_init__(self) -> None:
        if not (365 <= self.gain_uv <= 396 and -128 <= self.offset_mv <= 127 and self.shunt_ohm > 0.0):
            raise ValueError(f"{self.gain_uv} uV, {self.offset_mv} mV, {self.shunt_ohm} ohm: no such chip or board")


class Adc:
    """Pins to counts. ``inputs`` are the chip's, from 0, in the pack's order."""

    def __init__(self, taps: Taps, part: Part, build: Build, inputs: Sequence[int], seed: int) -> None:
        self.faults = Faults()
        self.inputs = np.array(wired(part, len(taps.cell_v), inputs), dtype=int) - 1
        self._taps, self._build, self._probes = taps, build, GROUPS[part]
        self._rng = np.random.default_rng(seed)

    def cells(self, bled: np.ndarray) -> np.ndarray:
        """Counts of all inputs. Cells that were bled meanwhile read low and noisy."""
        faults, build = self.faults, self._build
        noise_v = build.noise_v * np.where(bled, BLED_NOISE, 1.0) * self._rng.standard_normal(bled.size)
        volts = faults.gain * self._taps.cell_v - BLED_DROP_V * bled + noise_v
        for cell, offset_v in faults.offset_v.items():
            volts[cell] += offset_v
        codes = np.zeros(INPUTS, dtype=int)
        codes[self.inputs] = _counts((volts * 1e3 - build.offset_mv) * 1e3 / build.gain_uv, 0, 0x3FFF)
        for cell, code in faults.raw_cells.items():
            codes[self.inputs[cell]] = code
        return codes

    def stack(self) -> np.ndarray:
        build = self._build
        millivolts = self._taps.stack_v * 1e3 - self.inputs.size * build.offset_mv
        return _counts(np.array([millivolts * 1e3 / (4 * build.gain_uv)]), 0, 0xFFFF)

    def temperatures(self, thermistors: bool) -> np.ndarray:
        """Counts of the thermistors that the part has, or of its die instead."""
        if thermistors:
            volts = self._divided_v(np.array([self._probe_degc(probe) for probe in range(self._probes)]))
        else:
            volts = np.full(self._probes, 1.2 - 0.0042 * (self._taps.die_degc - 25.0))
        return _counts(volts / THERMISTOR_COUNT_V, 0, 0x3FFF)

    def charge(self) -> np.ndarray:
        """The coulomb counter's count."""
        build = self._build
        sense_v = (self._taps.current_a + self.faults.offset_a) * build.shunt_ohm
        noise_v = build.noise_sense_v * self._rng.standard_normal()
        return _counts(np.array([(sense_v + noise_v) / CC_V]), -0x8000, 0x7FFF)

    def _probe_degc(self, probe: int) -> float:
        fitted = self._taps.probe_degc
        return float(self.faults.probe_degc.get(probe, fitted[probe] if probe < len(fitted) else np.nan))

    def _divided_v(self, degc: FloatArray) -> FloatArray:
        build = self._build
        ohm = build.r25_ohm * np.exp(build.beta_k * (1.0 / (degc + 273.15) - 1.0 / 298.15))
        found: FloatArray = np.where(np.isnan(ohm), PULL_UP_V, PULL_UP_V * ohm / (ohm + PULL_UP_OHM))
        return found


def _counts(values: FloatArray, low: int, high: int) -> np.ndarray:
    """Rounded; at the end of its range a converter stays, and what is no number reads 0."""
    found: np.ndarray = np.clip(np.rint(np.nan_to_num(values)), low, high).astype(int)
    return found
