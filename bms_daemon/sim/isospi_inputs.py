"""What emulated monitors on isoSPI see at their inputs, and when their conversions end.

Conversions end on their own schedule; until then registers keep what they held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.isospi_faults import Faults
from bms_daemon.sim.taps import Taps

REFERENCE_S = 0.0044


@dataclass(frozen=True, slots=True)
class Wiring:
    """What hangs on the devices, the nearest first, and what their thermistors are."""

    cells: Sequence[int]
    probes: Sequence[int]
    seed: int = 0
    r25_ohm: float = 10_000.0
    beta_k: float = 3435.0
    series_ohm: float = 10_000.0


class Inputs:
    """Of devices with so many inputs for cells and pins each. Arrays are (devices, inputs)."""

    def __init__(self, taps: Taps, faults: Faults, wiring: Wiring, cells: int, gpios: int) -> None:
        self.taps, self.faults = taps, faults
        self.fitted = np.arange(cells) < np.array(wiring.cells)[:, None]
        self.with_probe = np.arange(gpios) < np.array(wiring.probes)[:, None]
        self._wiring = wiring
        self._rng = np.random.default_rng(wiring.seed)
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

    def referenced(self) -> bool:
        """Whether every device keeps its reference on."""
        raise NotImplementedError

    def discharging(self) -> np.ndarray:
        """Switches that are on, bool (devices, cells)."""
        raise NotImplementedError

    def start(self, now_s: float, lasts_s: float, converter: str, convert: Callable[[], None]) -> None:
        """A new conversion takes the place of one that its converter has not ended."""
        wait_s = 0.0 if self.referenced() else REFERENCE_S
        self._pending = [each for each in self._pending if each[1] != converter]
        self._pending.append((now_s + wait_s + lasts_s, converter, convert))

    # ------------------------------------------------------------------ quantities
    def cells_v(self) -> FloatArray:
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

    def noise(self) -> FloatArray:
        """Of a volt, where there is a cell."""
        return self._rng.standard_normal(self.fitted.shape) * self.fitted

    def pins_v(self, free: np.ndarray) -> FloatArray:
        """Thermistors below their resistors at 3 V; a pin that is not ``free`` of its pull-down shows nothing."""
        degc = np.array(self.taps.probe_degc[: int(self.with_probe.sum())], dtype=np.float64)
        for probe, forced_degc in self.faults.probe_degc.items():
            degc[probe] = forced_degc
        wiring = self._wiring
        ohm = wiring.r25_ohm * np.exp(wiring.beta_k * (1.0 / (degc + 273.15) - 1.0 / 298.15))
        volts = np.zeros(self.with_probe.shape)
        volts[self.with_probe] = 3.0 * ohm / (ohm + wiring.series_ohm)
        return np.where(free, volts, 0.0)

    @property
    def die_degc(self) -> float:
        return self.taps.die_degc if self.faults.die_degc is None else self.faults.die_degc

    def by_device(self, faulty: dict[int, float], usual: float) -> FloatArray:
        volts = np.full(len(self.fitted), usual)
        for device, value in faulty.items():
            volts[device] = value
        return volts
