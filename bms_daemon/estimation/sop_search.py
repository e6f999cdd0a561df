"""The currents at which the voltages of cells in series meet their limit."""

from __future__ import annotations

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.sop_bounds import VOLTAGE, Most
from bms_daemon.estimation.sop_path import Ahead
from bms_daemon.model import FloatArray

FEW = 4  # cells that are searched at first
NEAR_V = 0.001  # the search aims this far inside of a limit: cells that are nearly alike need no search of their own
SHARES: FloatArray = np.linspace(0.0, 1.0, 129)  # it looks at so many currents at once
LEAST_OHM, LEAST_V = 1e-9, 1e-9


def by_voltage(
    cell: Cell, path: Ahead, limit_v: FloatArray, most: Most
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Currents within ``most`` that keep every cell inside its voltage limit, their power, and what binds.

    A few cells are searched, those that would be the first if voltage were straight over current. Where another one is
    beyond its limit after that, there is one more search.
    """
    most_a, why = most[0].copy(), most[1].copy()
    while True:
        end_v = path.voltage_v(cell, most_a[..., None])
        beyond_v = path.sign * (end_v - limit_v[..., None])
        way, span = np.nonzero((np.maximum.reduce(beyond_v, axis=2) > 0.0) & (most_a > 0.0))
        if not way.size:
            return most_a, most_a * np.add.reduce(np.maximum(end_v, 0.0), axis=2), why
        few = _first(path.sign[way, 0] * (limit_v[way] - path.idle_v[way, span]), beyond_v[way, span])
        found_a = meet(cell, path.of(way, span, few), limit_v[way], most_a[way, span])
        most_a[way, span], why[way, span] = found_a.min(axis=1), VOLTAGE


def _first(room_v: FloatArray, beyond_v: FloatArray) -> np.ndarray:
    """The cells (k, few) of (k, n) that come to their limit first, if the way there is straight."""
    share = room_v / np.maximum(room_v + beyond_v, LEAST_V)
    few = min(FEW, share.shape[1])
    found: np.ndarray = share.argpartition(few - 1, axis=1)[:, :few]
    return found


def meet(cell: Cell, path: Ahead, limit_v: FloatArray, most_a: FloatArray) -> FloatArray:
    """The least magnitudes (k, m) up to ``most_a`` (k,) from which on end voltages are beyond ``limit_v`` (k, 1).

    ``path`` has k rows of m cells. The aim is 1 mV inside of the limit; 0 where even no current is. Between two
    currents of the search the voltage is taken as straight, which costs a tenth of a per cent where the curve has a
    corner.
    """
    limit_v = limit_v[:, None]
    gap_v = np.maximum(path.sign * (limit_v - path.idle_v) - NEAR_V, 0.0)
    way_a = np.minimum(most_a[:, None, None], gap_v / np.maximum(path.direct_ohm, LEAST_OHM)) * SHARES
    beyond_v = path.sign * (path.voltage_v(cell, way_a) - limit_v) + NEAR_V
    at_a, at_v = way_a.reshape(-1, SHARES.size), beyond_v.reshape(-1, SHARES.size)
    at_v[:, -1] = np.maximum(at_v[:, -1], 0.0)
    high, each = np.maximum((at_v >= 0.0).argmax(axis=1), 1), np.arange(len(at_a))
    low_a, high_a, low_v, high_v = at_a[each, high - 1], at_a[each, high], at_v[each, high - 1], at_v[each, high]
    part = np.minimum(low_v / np.minimum(low_v - high_v, -LEAST_V), 1.0)
    found: FloatArray = (low_a + part * (high_a - low_a)).reshape(way_a.shape[:2])
    return found
