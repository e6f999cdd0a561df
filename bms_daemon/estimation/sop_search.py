"""The currents at which end voltages meet their limit, for many cells at once."""

from __future__ import annotations

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.sop_path import Ahead
from bms_daemon.model import FloatArray

NEAR_V = 0.001  # the search aims this far inside of a limit: cells that are nearly alike need no search of their own
SHARES: FloatArray = np.linspace(0.0, 1.0, 129)  # it looks at so many currents at once
LEAST_OHM, LEAST_V = 1e-9, 1e-9


def meet(cell: Cell, path: Ahead, limit_v: FloatArray, most_a: FloatArray) -> FloatArray:
    """The least magnitudes (k,) up to ``most_a`` (k,) from which on end voltages are beyond ``limit_v`` (k, 1).

    ``path`` has k elements. The aim is 1 mV inside of the limit; 0 where even no current is. Between two currents of
    the search the voltage is taken as straight, which costs a tenth of a per cent where the curve has a corner.
    """
    gap_v = np.maximum(path.sign * (limit_v - path.idle_v) - NEAR_V, 0.0)
    at_a = np.minimum(most_a[:, None], gap_v / np.maximum(path.direct_ohm, LEAST_OHM)) * SHARES
    beyond_v = path.sign * (path.voltage_v(cell, at_a) - limit_v) + NEAR_V
    beyond_v[:, -1] = np.maximum(beyond_v[:, -1], 0.0)
    high = np.maximum((beyond_v >= 0.0).argmax(axis=1), 1)
    element, low = np.arange(high.size), high - 1
    low_v, high_v = beyond_v[element, low], beyond_v[element, high]
    part = np.minimum(low_v / np.minimum(low_v - high_v, -LEAST_V), 1.0)
    found: FloatArray = at_a[element, low] + part * (at_a[element, high] - at_a[element, low])
    return found
