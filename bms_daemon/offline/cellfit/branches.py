"""The branches of a slow recording: which comes first, and whether the second comes back to where it began."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.reading import Log

SUBSTANTIAL_C, SLOW_C = 0.01, 0.1  # a slow branch flows at a current between these, over capacity
OPEN = 0.03  # of the capacity: at a small current a cycler's offset adds up to more
FULL_V = 0.02  # a slow charge within this of the limit has filled the cell


def first_direction(log: Log, capacity_ah: float) -> float:
    """1 when a recording begins by charging, else -1."""
    flows = log.current_a[np.abs(log.current_a) > SUBSTANTIAL_C * capacity_ah]
    return 1.0 if flows.size and flows[0] > 0.0 else -1.0


def doubts(log: Log, soc: FloatArray, capacity_ah: float, max_v: float) -> tuple[str, ...]:
    """Notes on a count that does not end where the voltage says, or runs beyond full or empty."""
    slowly = (log.current_a > SUBSTANTIAL_C * capacity_ah) & (log.current_a < SLOW_C * capacity_ah)
    filling = slowly & (log.voltage_v >= max_v - FULL_V)
    full = soc[filling & np.isfinite(soc)]
    if full.size and abs(full[-1] - 1.0) > OPEN:
        return (f"full at a counted {full[-1]:.1%}: the current or the capacity is wrong",)
    if np.nanmax(soc) > 1.0 + OPEN or np.nanmin(soc) < -OPEN:
        return (f"counted from {np.nanmin(soc):.1%} to {np.nanmax(soc):.1%}: the current or the capacity is wrong",)
    return ()
