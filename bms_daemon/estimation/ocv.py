"""Open-circuit voltage of generic cells at 25 degC, for a first guess of the state of charge.

Typical values of the chemistry, to be replaced by a fitted cell: rounded means of charge and discharge branches.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bms_daemon.model import FloatArray

SOC: FloatArray = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
OCV_V: dict[str, FloatArray] = {
    "lfp": np.array([2.60, 3.05, 3.20, 3.24, 3.28, 3.29, 3.30, 3.31, 3.33, 3.335, 3.34, 3.345, 3.45]),
    "nmc": np.array([3.00, 3.34, 3.44, 3.54, 3.60, 3.64, 3.69, 3.79, 3.89, 3.99, 4.09, 4.13, 4.20]),
}
VOLTAGE_SIGMA_V = 0.01  # rest not complete, hysteresis, generic curve


def soc_from_rest(cell_v: float, chemistry: Literal["lfp", "nmc"]) -> tuple[float, float]:
    """State of charge and its standard uncertainty from one cell's rest voltage; wide where the curve is flat."""
    curve_v = OCV_V[chemistry]
    soc = float(np.interp(cell_v, curve_v, SOC))
    low, high = np.interp([cell_v - VOLTAGE_SIGMA_V, cell_v + VOLTAGE_SIGMA_V], curve_v, SOC)
    return soc, max(0.02, float(high - low) / 2.0)
