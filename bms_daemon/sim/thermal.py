"""Temperature of every cell: one heat capacity each, conduction to neighbours, convection that a fan multiplies."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.settings import WorldSettings

HEAT_CAPACITY_J_PER_K_AH = 20.0  # 2 kg of cell a 100 Ah at 1000 J/(kg K)
CONVECTION_W_PER_K_AH = 0.004
CONDUCTION_W_PER_K_AH = 0.01
FAN_FACTOR = 5.0
KELVIN = 273.15


class Thermal:
    """``degc`` and ``extra_w`` have one entry a cell; ``forced_degc`` one a probe, NaN where it reads its cell."""

    def __init__(self, settings: WorldSettings) -> None:
        count, capacity_ah = settings.series, settings.capacity_ah
        self.ambient_degc = settings.ambient_degc
        self.degc = np.full(count, settings.ambient_degc)
        self.extra_w = np.zeros(count)
        self.fan = False
        self.probe_cells = np.linspace(0, count - 1, settings.probes).round().astype(np.intp)
        self.forced_degc = np.full(settings.probes, np.nan)
        self._heat_j_per_k = HEAT_CAPACITY_J_PER_K_AH * capacity_ah
        self._convection_w_per_k = CONVECTION_W_PER_K_AH * capacity_ah
        self._conduction_w_per_k = CONDUCTION_W_PER_K_AH * capacity_ah

    def step(self, current_a: float, ohm: FloatArray, slope_v_per_k: FloatArray, dt_s: float) -> None:
        """Warm by I²R and by the reversible heat -I T dU/dT of a discharge; ``dt_s`` stays well under 100 s."""
        heat_w = current_a * current_a * ohm + current_a * (self.degc + KELVIN) * slope_v_per_k + self.extra_w
        convection_w_per_k = self._convection_w_per_k * (FAN_FACTOR if self.fan else 1.0)
        heat_w -= convection_w_per_k * (self.degc - self.ambient_degc)
        across_w = self._conduction_w_per_k * np.diff(self.degc)
        heat_w[:-1] += across_w
        heat_w[1:] -= across_w
        self.degc += heat_w * (dt_s / self._heat_j_per_k)

    def probe_degc(self) -> FloatArray:
        """What the probes read, shape (probes,)."""
        return np.where(np.isnan(self.forced_degc), self.degc[self.probe_cells], self.forced_degc)
