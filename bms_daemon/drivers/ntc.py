"""Thermistors by the beta law."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray

KELVIN, REFERENCE_K = 273.15, 298.15
_SHORTED, _OPEN = 0.005, 200.0  # of the resistance at 25 degC


def degc(ohm: FloatArray, r25_ohm: float, beta_k: float) -> FloatArray:
    """Temperatures of thermistors (n,); NaN for open and shorted ones.

    1/T = 1/T25 + ln(R/R25)/beta, temperatures in K.
    """
    ratio = ohm / r25_ohm
    sane = (ratio > _SHORTED) & (ratio < _OPEN)
    kelvin = 1.0 / (1.0 / REFERENCE_K + np.log(np.where(sane, ratio, 1.0)) / beta_k)
    return np.where(sane, kelvin - KELVIN, np.nan)
