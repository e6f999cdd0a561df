"""The LTC681x chain's registers and what its conversions put into them. Arrays are (devices, registers)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.isospi_faults import Faults
from bms_daemon.sim.isospi_inputs import Inputs, Wiring
from bms_daemon.sim.ltc681x_parts import REFERENCE_WORD, PartData
from bms_daemon.sim.taps import Taps

EMPTY, COUNT_V = 0xFFFF, 100e-6
ONE_PAIR = 0.18  # of the time of all cells
DIAGNOSE_S = 0.0004
NOISE_V = 0.0003
PULLED_V = (0.1, 1.0)  # what a loose wire moves by in the first conversion with a current, and in later ones
BALANCING_DROP_V = 0.08  # that a cell reads less while it is discharged
DISAGREEMENT = 0xFF05


@dataclass(slots=True)
class LtcFaults(Faults):
    """What only these devices have; each is a set of devices."""

    mux_fail: set[int] = field(default_factory=set)
    self_test_bad: set[int] = field(default_factory=set)
    redundancy_bad: set[int] = field(default_factory=set)


class Registers(Inputs):
    """What the devices hold."""

    faults: LtcFaults

    def __init__(self, part: PartData, taps: Taps, faults: LtcFaults, wiring: Wiring) -> None:
        super().__init__(taps, faults, wiring, part.cells, part.gpios)
        devices = len(self.fitted)
        self.part = part
        self.cells = np.full(self.fitted.shape, EMPTY, dtype=np.uint16)
        self.pins = np.full((devices, part.pin_words), EMPTY, dtype=np.uint16)
        self.status = np.full((devices, 4), EMPTY, dtype=np.uint16)  # sum, die, analog, digital
        self.under = np.ones_like(self.fitted)
        self.over = np.ones_like(self.fitted)
        self.mux_fail = np.ones(devices, dtype=bool)
        self.hot = np.zeros(devices, dtype=bool)
        self.configuration = np.tile(part.delivered, (devices, 1))
        self.pulls = (0, 0)  # direction of the last open-wire conversions, and how many there were

    def referenced(self) -> bool:
        return bool((self.configuration[:, 0] & 0x04).all())

    # ------------------------------------------------------------------ conversions
    def convert_cells(self, discharge_permitted: bool, channel: int = 0) -> None:
        volts = self.cells_v()
        if discharge_permitted:
            volts = volts - BALANCING_DROP_V * self.discharging()
        self._store(volts, channel)
        self._flag()

    def convert_pulled(self, up: bool) -> None:
        """With a current into (up) or out of every wire: loose ones follow it."""
        direction = 1 if up else -1
        self.pulls = (direction, self.pulls[1] + 1 if self.pulls[0] == direction else 1)
        volts = self.cells_v()
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
        self.pins[:, self.part.pin_places] = _codes(self.pins_v(self._free()))
        self.pins[:, REFERENCE_WORD] = _codes(self.by_device(self.faults.reference_v, 3.0))

    def convert_pins_twice(self) -> None:
        self.convert_pins()
        self.pins[list(self.faults.redundancy_bad), : self.part.gpios + 1] = DISAGREEMENT

    def convert_status(self) -> None:
        v_per_k, zero_k = self.part.die
        self.status[:, 0] = _codes(self.cells_v().sum(axis=1) / self.part.sum_cells)
        self.status[:, 1] = _codes(np.full(len(self.status), (self.die_degc + zero_k) * v_per_k))
        self.status[:, 2] = _codes(self.by_device(self.faults.analog_v, 5.0))
        self.status[:, 3] = _codes(np.full(len(self.status), 3.1))
        self.hot |= self.die_degc > 150.0

    def overlap(self) -> None:
        """Cell 7 by both converters."""
        seventh = _codes(self.cells_v()[:, 6])
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

    def _store(self, volts: FloatArray, channel: int) -> None:
        codes = _codes(volts + NOISE_V * self.noise())
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

    def _free(self) -> np.ndarray:
        """bool (devices, pins): whose pull-down is off."""
        bits = np.unpackbits(self.configuration, axis=1, bitorder="little")
        return np.concatenate([bits[:, 3:8], bits[:, 48:52]], axis=1).astype(bool)


def _codes(volts: FloatArray) -> np.ndarray:
    return np.clip(np.rint(volts / COUNT_V), 0, EMPTY - 1).astype(np.uint16)
