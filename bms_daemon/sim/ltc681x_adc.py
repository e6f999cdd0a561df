"""The LTC681x chain's registers and what its conversions put into them.

Conversions end on their own schedule; until then registers keep what they held. Arrays are (devices, registers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.ltc681x_faults import Faults
from bms_daemon.sim.ltc681x_parts import REFERENCE_WORD, PartData
from bms_daemon.sim.taps import Taps

EMPTY, COUNT_V = 0xFFFF, 100e-6
ONE_PAIR = 0.18  # of the time of all cells
REFERENCE_S, DIAGNOSE_S = 0.0044, 0.0004
NOISE_V = 0.0003
PULLED_V = (0.1, 1.0)  # what a loose wire moves by in the first conversion with a current, and in later ones
BALANCING_DROP_V = 0.08  # that a cell reads less while it is discharged
DISAGREEMENT = 0xFF05


class Registers:
    """What the devices hold. ``pending`` conversions: when they end, and what they do then."""

    def __init__(
        self, part: PartData, taps: Taps, faults: Faults, cells: Sequence[int], probes: Sequence[int], seed: int,
        r25_ohm: float, beta_k: float, series_ohm: float,
    ) -> None:  # fmt: skip
        devices = len(cells)
        self.part, self.taps, self.faults = part, taps, faults
        self.fitted = np.arange(part.cells) < np.array(cells)[:, None]
        self.with_probe = np.arange(part.gpios) < np.array(probes)[:, None]
        self.cells = np.full(self.fitted.shape, EMPTY, dtype=np.uint16)
        self.pins = np.full((devices, part.pin_words), EMPTY, dtype=np.uint16)
        self.status = np.full((devices, 4), EMPTY, dtype=np.uint16)  # sum, die, analog, digital
        self.under = np.ones_like(self.fitted)
        self.over = np.ones_like(self.fitted)
        self.mux_fail = np.ones(devices, dtype=bool)
        self.hot = np.zeros(devices, dtype=bool)
        self.configuration = np.tile(part.delivered, (devices, 1))
        self.pulls = (0, 0)  # direction of the last open-wire conversions, and how many there were
        self._thermistor = r25_ohm, beta_k, series_ohm
        self._rng = np.random.default_rng(seed)
        self._pending: list[tuple[float, str, Callable[[], None]]] = []

    # ------------------------------------------------------------------ schedule
    @property
    def next_s(self) -> float:
        return min((due_s for due_s, _, _ in self._pending), default=inf)

    def busy(self) -> bool:
        return bool(self._pending)

    def advance(self, now_s: float) -> None:
        while self._pending and self.next_s <= now_s + 1e-9:
            due = min(self._pending, key=lambda each: each[0])
            self._pending.remove(due)
            if not self.faults.frozen:
                due[2]()

    def start(self, now_s: float, lasts_s: float, converter: str, convert: Callable[[], None]) -> None:
        """A new conversion takes the place of one that its converter has not ended."""
        wait_s = 0.0 if (self.configuration[:, 0] & 0x04).all() else REFERENCE_S
        self._pending = [each for each in self._pending if each[1] != converter]
        self._pending.append((now_s + wait_s + lasts_s, converter, convert))

    # ------------------------------------------------------------------ conversions
    def convert_cells(self, discharge_permitted: bool, channel: int = 0) -> None:
        volts = self._cells_v()
        if discharge_permitted:
            volts = volts - BALANCING_DROP_V * self.discharging()
        self._store(volts, channel)
        self._flag()

    def convert_pulled(self, up: bool) -> None:
        """With a current into (up) or out of every wire: loose ones follow it."""
        direction = 1 if up else -1
        self.pulls = (direction, self.pulls[1] + 1 if self.pulls[0] == direction else 1)
        volts = self._cells_v()
        moved_v = direction * PULLED_V[min(self.pulls[1], 2) - 1]
        for device, wire in self.faults.open_wires:
            last = int(self.fitted[device].sum())
            if wire > 0:
                volts[device, wire - 1] = max(0.0, volts[device, wire - 1] + moved_v)
            if wire < last:
                volts[device, wire] = max(0.0, volts[device, wire] - moved_v)
            if wire == 0 and up:
                volts[device, 0] = 0.0
            if wire == last and not up:
                volts[device, last - 1] = 0.0
        self._store(volts, 0)

    def convert_pins(self) -> None:
        self.pins[:, self.part.pin_places] = _codes(self._pins_v())
        self.pins[:, REFERENCE_WORD] = _codes(self._by_device(self.faults.reference_v, 3.0))

    def convert_pins_twice(self) -> None:
        self.convert_pins()
        self.pins[list(self.faults.redundancy_bad), : self.part.gpios + 1] = DISAGREEMENT

    def convert_status(self) -> None:
        die_degc = self.taps.die_degc if self.faults.die_degc is None else self.faults.die_degc
        v_per_k, zero_k = self.part.die
        self.status[:, 0] = _codes(self._cells_v().sum(axis=1) / self.part.sum_cells)
        self.status[:, 1] = _codes(np.full(len(self.status), (die_degc + zero_k) * v_per_k))
        self.status[:, 2] = _codes(self._by_device(self.faults.analog_v, 5.0))
        self.status[:, 3] = _codes(np.full(len(self.status), 3.1))
        self.hot |= die_degc > 150.0

    def overlap(self) -> None:
        """Cell 7 by both converters."""
        seventh = _codes(self._cells_v()[:, 6])
        self.cells[:, 6] = self.cells[:, 7] = seventh
        self.cells[list(self.faults.self_test_bad), 7] ^= 0x0040

    def pattern(self, registers: np.ndarray, code: int) -> None:
        registers[:] = code
        registers[list(self.faults.self_test_bad)] = code ^ 0x0010

    def diagnose(self) -> None:
        self.mux_fail[:] = False
        self.mux_fail[list(self.faults.mux_fail)] = True

    # ------------------------------------------------------------------ quantities
    def discharging(self) -> np.ndarray:
        """Switches that are on, bool (devices, cells)."""
        bits = np.unpackbits(self.configuration, axis=1, bitorder="little")
        return np.concatenate([bits[:, 32:44], bits[:, 52:58]], axis=1).astype(bool)[:, : self.part.cells] & self.fitted

    def flags(self) -> np.ndarray:
        """Two bits a cell, under and over, four cells a byte: uint8 (devices, 5)."""
        bits = np.zeros((len(self.fitted), 40), dtype=np.uint8)
        bits[:, 0 : 2 * self.part.cells : 2], bits[:, 1 : 2 * self.part.cells : 2] = self.under, self.over
        return np.packbits(bits, axis=1, bitorder="little")

    def _cells_v(self) -> FloatArray:
        """What the inputs see, (devices, cells): wires loose or not, unused inputs on the top cell."""
        taps_v = np.array(self.taps.cell_v, dtype=np.float64)
        for cell, offset_v in self.faults.cell_offset_v.items():
            taps_v[cell] += offset_v
        volts = np.zeros(self.fitted.shape)
        volts[self.fitted] = taps_v
        for device, wire in self.faults.open_wires:
            self._float(volts[device], wire, int(self.fitted[device].sum()))
        if self.faults.swapped:
            one, other = self.faults.swapped
            volts[[one, other]] = volts[[other, one]]
        return volts

    @staticmethod
    def _float(volts: FloatArray, wire: int, last: int) -> None:
        """A loose wire between two cells settles in their middle, at an end it takes half a cell away."""
        if 0 < wire < last:
            volts[wire - 1] = volts[wire] = 0.5 * (volts[wire - 1] + volts[wire])
        elif wire == 0:
            volts[0] *= 0.5
        else:
            volts[last - 1] *= 0.5

    def _store(self, volts: FloatArray, channel: int) -> None:
        codes = _codes(volts + NOISE_V * self._rng.standard_normal(volts.shape) * self.fitted)
        flat = codes[self.fitted]
        for cell, code in self.faults.raw_cells.items():
            flat[cell] = code
        codes[self.fitted] = flat
        if channel:
            self.cells[:, channel - 1 :: 6] = codes[:, channel - 1 :: 6]
        else:
            self.cells[:] = codes

    def _flag(self) -> None:
        limits = self.configuration[:, 1:4].astype(np.uint32)
        under = limits[:, 0] | (limits[:, 1] & 0x0F) << 8
        over = limits[:, 1] >> 4 | limits[:, 2] << 4
        self.under = self.cells < ((under + 1) * 16)[:, None]
        self.over = self.cells > (over * 16)[:, None]

    def _pins_v(self) -> FloatArray:
        r25_ohm, beta_k, series_ohm = self._thermistor
        degc = np.array(self.taps.probe_degc[: int(self.with_probe.sum())], dtype=np.float64)
        for probe, forced_degc in self.faults.probe_degc.items():
            degc[probe] = forced_degc
        ohm = r25_ohm * np.exp(beta_k * (1.0 / (degc + 273.15) - 1.0 / 298.15))
        volts = np.zeros(self.with_probe.shape)
        volts[self.with_probe] = 3.0 * ohm / (ohm + series_ohm)
        bits = np.unpackbits(self.configuration, axis=1, bitorder="little")
        free = np.concatenate([bits[:, 3:8], bits[:, 48:52]], axis=1).astype(bool)
        return np.where(free, volts, 0.0)

    def _by_device(self, faulty: dict[int, float], usual: float) -> FloatArray:
        volts = np.full(len(self.fitted), usual)
        for device, value in faulty.items():
            volts[device] = value
        return volts


def _codes(volts: FloatArray) -> np.ndarray:
    return np.clip(np.rint(volts / COUNT_V), 0, EMPTY - 1).astype(np.uint16)
