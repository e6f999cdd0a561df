"""Thermal: how hard the fan blows. It runs full when temperatures are unknown."""

from __future__ import annotations

import numpy as np

from bms_daemon.config.schema import Fan
from bms_daemon.model import Measured


def fan_duty(measured: Measured, last: float, fan: Fan) -> float:
    """Duty 0..1 from the hottest probe, rising from ``on_degc`` to ``full_degc``; off only below the hysteresis."""
    temps = measured.temps
    if temps.value is None:
        return 1.0
    if not temps.fresh:
        return last
    hottest = float(np.nanmax(temps.value.probe_degc))
    share = (hottest - fan.on_degc) / (fan.full_degc - fan.on_degc)
    wanted = min(1.0, max(0.0, 0.3 + 0.7 * share)) if share >= 0.0 else 0.0
    kept = last > 0.0 and hottest > fan.on_degc - fan.hysteresis_degc
    return max(wanted, 0.3) if kept else wanted
