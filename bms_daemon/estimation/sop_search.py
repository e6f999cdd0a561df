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
    most_a, why = most
    while True:
        end_v = path.voltage_v(cell, most_a[..., None])
        beyond_v = path.sign * (end_v - limit_v[..., None])
        beyond = (beyond_v.max(axis=2) > 0.0) & (most_a > 0.0)
        if not beyond.any():
            return most_a, most_a * np.maximum(end_v, 0.0).sum(axis=2), why
        way, span = np.nonzero(beyond)
        few = _first(path.sign[way, 0] * (limit_v[way] - path.idle_v[way, span]), beyond_v[way, span])
        most_a, why = most_a.copy(), np.where(beyond, VOLTAGE, why)
        most_a[way, span] = _least_a(cell, path, limit_v, most_a, way, span, few)


def _least_a(
    cell: Cell, path: Ahead, limit_v: FloatArray, most_a: FloatArray, way: np.ndarray, span: np.ndarray, few: np.ndarray
) -> FloatArray:
    """Of ``few`` cells (k, few) for each direction ``way`` and horizon ``span`` (k,): the least current (k,), A."""
    way, span = np.repeat(way, few.shape[1]), np.repeat(span, few.shape[1])
    found_a = meet(cell, path.of(way, span, few.ravel()), limit_v[way], most_a[way, span])
    least_a: FloatArray = found_a.reshape(few.shape).min(axis=1)
    return least_a


def _first(room_v: FloatArray, beyond_v: FloatArray) -> np.ndarray:
    """The cells (k, few) of (k, n) that come to their limit first, if the way there is straight."""
    share = room_v / np.maximum(room_v + beyond_v, LEAST_V)
    few = min(FEW, share.shape[1])
    found: np.ndarray = share.argpartition(few - 1, axis=1)[:, :few]
    return found


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
