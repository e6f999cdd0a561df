"""Open-circuit voltage of a cell against state of charge: two hysteresis branches and an entropic slope.

The tables are this simulator's own typical values for a chemistry at 25 °C, not measurements of a product. They reach
beyond 0..1 so that over-charge and deep discharge have a voltage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bms_daemon.model import FloatArray

Chemistry = Literal["lfp", "nmc"]
REFERENCE_DEGC = 25.0


@dataclass(frozen=True, slots=True)
class Ocv:
    """Mean of the branches, half the gap between them, and dU/dT, on common knots of state of charge."""

    soc: FloatArray
    mean_v: FloatArray
    half_gap_v: FloatArray
    slope_v_per_k: FloatArray

    def rest_v(self, soc: FloatArray, hysteresis: FloatArray) -> FloatArray:
        """Voltage at 25 °C; ``hysteresis`` runs from -1 (discharge branch) to 1 (charge branch). Shapes (n,)."""
        gap_v = np.interp(soc, self.soc, self.half_gap_v)
        gap_v *= hysteresis
        gap_v += np.interp(soc, self.soc, self.mean_v)
        return gap_v

    def entropic_v_per_k(self, soc: FloatArray) -> FloatArray:
        """dU/dT in V/K, shape (n,)."""
        return np.interp(soc, self.soc, self.slope_v_per_k)


def _table(rows: tuple[tuple[float, float, float, float], ...]) -> Ocv:
    """Rows of state of charge, discharge-branch V, charge-branch V, dU/dT in mV/K."""
    soc, discharge_v, charge_v, slope_mv_per_k = np.array(rows, dtype=np.float64).T
    return Ocv(
        soc=np.ascontiguousarray(soc),
        mean_v=(charge_v + discharge_v) / 2.0,
        half_gap_v=(charge_v - discharge_v) / 2.0,
        slope_v_per_k=slope_mv_per_k / 1000.0,
    )


OCV: dict[Chemistry, Ocv] = {
    "lfp": _table(
        (
            (-0.05, 1.600, 1.700, -0.60),
            (0.00, 2.500, 2.700, -0.55),
            (0.01, 2.780, 2.880, -0.50),
            (0.02, 2.920, 2.990, -0.45),
            (0.05, 3.080, 3.130, -0.35),
            (0.10, 3.175, 3.215, -0.25),
            (0.20, 3.225, 3.260, -0.15),
            (0.30, 3.265, 3.290, 0.00),
            (0.40, 3.280, 3.300, 0.05),
            (0.50, 3.284, 3.304, 0.05),
            (0.60, 3.290, 3.312, 0.10),
            (0.66, 3.306, 3.330, 0.15),
            (0.72, 3.322, 3.338, 0.10),
            (0.80, 3.325, 3.341, 0.05),
            (0.90, 3.327, 3.344, 0.00),
            (0.95, 3.330, 3.350, -0.05),
            (0.98, 3.338, 3.370, -0.05),
            (0.99, 3.350, 3.400, -0.05),
            (1.00, 3.400, 3.470, -0.05),
            (1.02, 3.620, 3.680, -0.05),
            (1.05, 3.950, 4.000, -0.05),
            (1.10, 4.450, 4.500, -0.05),
        )
    ),
    "nmc": _table(
        (
            (-0.05, 2.000, 2.050, -0.60),
            (0.00, 2.920, 2.980, -0.50),
            (0.02, 3.180, 3.220, -0.40),
            (0.05, 3.330, 3.360, -0.20),
            (0.10, 3.440, 3.462, -0.05),
            (0.20, 3.543, 3.560, 0.05),
            (0.30, 3.603, 3.618, 0.05),
            (0.40, 3.645, 3.660, -0.05),
            (0.50, 3.700, 3.716, -0.20),
            (0.60, 3.792, 3.806, -0.10),
            (0.70, 3.883, 3.895, 0.05),
            (0.80, 3.974, 3.985, 0.05),
            (0.90, 4.070, 4.080, 0.05),
            (1.00, 4.180, 4.190, 0.05),
            (1.05, 4.290, 4.300, 0.05),
            (1.10, 4.490, 4.500, 0.05),
        )
    ),
}
