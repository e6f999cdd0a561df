"""The ADES1830 chain's registers and what its conversions put into them. Arrays are (devices, registers).

Not published, and taken as its siblings have it: the scale of the voltage limits; that supplies are converted with the
pins; that clearing the cells' registers leaves the second converters' alone. Times are what foxBMS 2 waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.isospi_faults import Faults
from bms_daemon.sim.isospi_inputs import Inputs, Wiring
from bms_daemon.sim.taps import Taps

CELLS, GPIOS = 16, 10
COUNT_V, ZERO_V = 150e-6, 1.5
NEVER, CLEARED = 0x7FFF, -0x8000
CELL_S, BOTH_S, AUX_S = 0.001, 0.008, 0.018
NOISE_V, BALANCING_DROP_V = 0.0003, 0.08
APART_V = (0.0051, 0.0081, 0.0091, 0.01005, 0.015, 0.01995, 0.02505, 0.04505)
"""By CTH: converters that are further apart are flagged."""
SLEEP, THSD = 1 << 11, 1 << 10  # of the 16 flags in bytes 4 and 5 of STATC
DELIVERED = np.frombuffer(bytes.fromhex("010000ff0300" "00f87f000000"), dtype=np.uint8)


@dataclass(slots=True)
class AdesFaults(Faults):
    """What only these devices have."""

    second_offset_v: dict[tuple[int, int], float] = field(default_factory=dict)  # device, cell: its second converter
    flags: dict[int, int] = field(default_factory=dict)  # by device: bits of bytes 4 and 5 of STATC
    deaf: dict[int, int] = field(default_factory=dict)  # by device: commands that it misses, counted down


class Registers(Inputs):
    """What the devices hold."""

    faults: AdesFaults

    def __init__(self, taps: Taps, faults: AdesFaults, wiring: Wiring) -> None:
        super().__init__(taps, faults, wiring, CELLS, GPIOS)
        devices = len(self.fitted)
        self.first = np.full((devices, 18), NEVER, dtype=np.int16)
        self.second = np.full((devices, 18), NEVER, dtype=np.int16)
        self.pins = np.full((devices, 12), NEVER, dtype=np.int16)
        self.status = np.full((devices, 6), NEVER, dtype=np.int16)  # reference, die, -, digital, analog, -
        self.apart = np.ones((devices, CELLS), dtype=bool)
        self.under, self.over = np.ones_like(self.apart), np.ones_like(self.apart)
        self.flags = np.full(devices, 0xFFFF, dtype=np.uint16)
        self.configuration = np.tile(DELIVERED, (devices, 1))
        self.counter = np.zeros(devices, dtype=np.int64)

    def referenced(self) -> bool:
        return bool((self.configuration[:, 0] & 0x80).all())

    def discharging(self) -> np.ndarray:
        bits = np.unpackbits(self.configuration[:, 10:12], axis=1, bitorder="little").astype(bool)
        on: np.ndarray = bits & self.fitted
        return on

    def forget(self, devices: np.ndarray) -> None:
        self.configuration[devices] = DELIVERED
        self.counter[devices] = 0
        self.flags[devices] |= SLEEP

    # ------------------------------------------------------------------ conversions
    def convert_cells(self, devices: np.ndarray, both: bool, discharge_permitted: bool) -> None:
        volts = self.cells_v() - (BALANCING_DROP_V * self.discharging() if discharge_permitted else 0.0)
        self.first[devices, :CELLS] = self._measured(volts)[devices]
        if both:
            self.convert_second(devices, volts)
            threshold_v = np.array(APART_V)[self.configuration[:, 0] & 7]
            found = np.abs(self.first[:, :CELLS].astype(int) - self.second[:, :CELLS]) * COUNT_V > threshold_v[:, None]
            self.apart[devices] |= found[devices]
        self._flag(devices)

    def convert_second(self, devices: np.ndarray, volts: FloatArray) -> None:
        volts = volts.copy()
        for place, offset_v in self.faults.second_offset_v.items():
            volts[place] += offset_v
        self.second[devices, :CELLS] = self._measured(volts)[devices]

    def convert_pins(self, devices: np.ndarray) -> None:
        self.pins[devices, :GPIOS] = _codes(self.pins_v(self._free()))[devices]
        count = len(self.fitted)
        supplies_v = np.zeros((count, 6))
        supplies_v[:, 0] = self.by_device(self.faults.reference_v, 3.0)
        supplies_v[:, 1] = (self.die_degc + 273.0) * 7.5e-3
        supplies_v[:, 3], supplies_v[:, 4] = 3.1, self.by_device(self.faults.analog_v, 5.0)
        self.status[devices] = _codes(supplies_v)[devices]
        if self.die_degc > 150.0:
            self.flags[devices] |= THSD

    # ------------------------------------------------------------------ quantities
    def _measured(self, volts: FloatArray) -> np.ndarray:
        codes = _codes(volts + NOISE_V * self.noise())
        flat = codes[self.fitted]
        for cell, code in self.faults.raw_cells.items():
            flat[cell] = code
        codes[self.fitted] = flat
        return codes

    def _flag(self, devices: np.ndarray) -> None:
        limits = self.configuration[:, 6:9].astype(int)
        under = _signed(limits[:, 0] | (limits[:, 1] & 0x0F) << 8)
        over = _signed(limits[:, 1] >> 4 | limits[:, 2] << 4)
        self.under[devices] = (self.first[:, :CELLS] < under[:, None] * 16)[devices]
        self.over[devices] = (self.first[:, :CELLS] > over[:, None] * 16)[devices]

    def _free(self) -> np.ndarray:
        return np.unpackbits(self.configuration[:, 3:5], axis=1, bitorder="little")[:, :GPIOS].astype(bool)


def _signed(twelve_bits: np.ndarray) -> np.ndarray:
    return np.where(twelve_bits & 0x800, twelve_bits - 0x1000, twelve_bits)


def _codes(volts: FloatArray) -> np.ndarray:
    return np.clip(np.rint((volts - ZERO_V) / COUNT_V), CLEARED + 1, NEVER - 1).astype(np.int16)
