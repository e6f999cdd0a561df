"""Cells in series: open-circuit voltage with hysteresis, ohmic resistance, two RC pairs; vectorised over the string."""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, exp

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.ocv import OCV, REFERENCE_DEGC, Chemistry
from bms_daemon.sim.settings import WorldSettings

HYSTERESIS_RATE = 30.0  # e-folds of the hysteresis state for a throughput of one capacity
SELF_DISCHARGE_PER_MONTH = 0.02
MONTH_H = 730.0
KELVIN = 273.15


@dataclass(frozen=True, slots=True)
class CellData:
    """Typical resistances at 25 °C times capacity, time constants, and the activation temperature of the resistance."""

    r0_ohm_ah: float
    pair_ohm_ah: tuple[float, float]
    pair_tau_s: tuple[float, float]
    activation_k: float


CELLS: dict[Chemistry, CellData] = {
    "lfp": CellData(0.080, (0.040, 0.060), (10.0, 300.0), 2400.0),
    "nmc": CellData(0.100, (0.060, 0.050), (8.0, 250.0), 2700.0),
}


def _spread(rng: np.random.Generator, count: int, sigma: float) -> FloatArray:
    """Factors around 1, cut off at three sigma and never below a tenth."""
    return np.maximum(0.1, 1.0 + sigma * np.clip(rng.standard_normal(count), -3.0, 3.0))


class Cells:
    """State and data of every cell; arrays of shape (n,) are public, so that a test may set one cell's.

    ``offset_v`` adds to a cell's voltage; ``balance_a`` is what the balancing switches draw, ``bleed_a`` whatever else.
    """

    def __init__(self, settings: WorldSettings, rng: np.random.Generator) -> None:
        data, count, spread = CELLS[settings.chemistry], settings.series, settings.spread
        self._data = data
        self._ocv = OCV[settings.chemistry]
        self._nominal_ah = settings.capacity_ah
        self.capacity_ah = settings.capacity_ah * _spread(rng, count, spread.capacity)
        resistance = _spread(rng, count, spread.resistance) / settings.capacity_ah
        self.r0_25_ohm = data.r0_ohm_ah * resistance
        self.pair_25_ohm = np.outer(data.pair_ohm_ah, resistance)
        leak_a = settings.capacity_ah * SELF_DISCHARGE_PER_MONTH / MONTH_H
        self.self_discharge_a = leak_a * _spread(rng, count, spread.self_discharge)
        self.soc = settings.initial_soc + spread.soc * np.clip(rng.standard_normal(count), -3.0, 3.0)
        self.hysteresis = np.zeros(count)
        self.pair_v = np.zeros((2, count))
        self.offset_v = np.zeros(count)
        self.bleed_a = np.zeros(count)
        self.balance_a = np.zeros(count)
        self._dt_s = 0.0
        self.warm(np.full(count, REFERENCE_DEGC))

    def warm(self, degc: FloatArray) -> None:
        """Take over temperatures: resistance by Arrhenius, open-circuit voltage by the entropic slope."""
        inverse_k = 1.0 / (degc + KELVIN) - 1.0 / (REFERENCE_DEGC + KELVIN)
        factor = np.exp(self._data.activation_k * inverse_k)
        self.r0_ohm = self.r0_25_ohm * factor
        self.pair_ohm = self.pair_25_ohm * factor
        self.slope_v_per_k = self._ocv.entropic_v_per_k(self.soc)
        self._entropic_v = self.slope_v_per_k * (degc - REFERENCE_DEGC)
        self._gain_ohm = self.pair_ohm * (1.0 - self._decay_of(self._dt_s))

    def balance(self, bled: np.ndarray | bool, ohm: float) -> None:
        """Balancing switches that are on, bool (n,), each with ``ohm`` in series."""
        self.balance_a = bled * self.emf_v() / ohm

    def step(self, current_a: float, dt_s: float) -> None:
        """Hold ``current_a`` (positive charging) for ``dt_s``: exact for the RC pairs and for the charge."""
        if dt_s != self._dt_s:
            self._dt_s = dt_s
            self._decay = self._decay_of(dt_s)
            self._gain_ohm = self.pair_ohm * (1.0 - self._decay)
        drain_a = self.self_discharge_a + self.bleed_a + self.balance_a
        self.soc += (current_a - drain_a) * (dt_s / 3600.0) / self.capacity_ah
        if current_a:
            kept = exp(-HYSTERESIS_RATE * abs(current_a) * dt_s / (3600.0 * self._nominal_ah))
            self.hysteresis *= kept
            self.hysteresis += copysign(1.0 - kept, current_a)
        self.pair_v *= self._decay
        self.pair_v += self._gain_ohm * current_a

    def _decay_of(self, dt_s: float) -> FloatArray:
        return np.exp(-dt_s / np.array(self._data.pair_tau_s))[:, np.newaxis]

    def emf_v(self) -> FloatArray:
        """Voltage behind the ohmic resistance, shape (n,)."""
        volts = self._ocv.rest_v(self.soc, self.hysteresis)
        volts += self.pair_v[0]
        volts += self.pair_v[1]
        volts += self._entropic_v
        volts += self.offset_v
        return volts

    def terminal_v(self, current_a: float) -> FloatArray:
        """Voltage at the terminals under ``current_a``, shape (n,)."""
        return self.emf_v() + self.r0_ohm * current_a
