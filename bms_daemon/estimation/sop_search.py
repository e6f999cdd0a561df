"""The currents at which end voltages meet their limit: false position with a safe side, for many cells at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.sop_path import Ahead
from bms_daemon.model import FloatArray

NEAR_V = 0.001  # the search aims this far inside of a limit, and ends as near to its aim
ROUNDS = 12  # what is not found by then stays on the safe side


def meet(cell: Cell, path: Ahead, limit_v: FloatArray, most_a: FloatArray, most_v: FloatArray) -> FloatArray:
    """The magnitudes (k,) at which end voltages are never beyond ``limit_v``, and short of it by 2 mV at most.

    ``path`` has k elements; at ``most_a`` their voltages are ``most_v``, which is beyond. 0 where even no current is.
    """
    idle_v = path.sign * (path.idle_v - limit_v) + NEAR_V
    settled = idle_v >= -NEAR_V
    found = np.zeros_like(most_a)
    ends = _Ends(found, np.minimum(idle_v, -NEAR_V), most_a, path.sign * (most_v - limit_v) + NEAR_V)
    side = np.zeros_like(most_a)
    for _ in range(ROUNDS):
        at_a = ends.crossing_a()
        at_v = path.sign * (path.voltage_v(cell, at_a) - limit_v) + NEAR_V
        found = np.where(settled, found, np.where(at_v <= NEAR_V, at_a, ends.low_a))
        settled |= np.abs(at_v) <= NEAR_V
        if settled.all():
            break
        ends, side = ends.closer(at_a, at_v, side), np.sign(at_v)
    return found


class _Ends(NamedTuple):
    """Currents around the one that is sought, and how far their voltages are beyond the aim: below 0, and above."""

    low_a: FloatArray
    low_v: FloatArray
    high_a: FloatArray
    high_v: FloatArray

    def crossing_a(self) -> FloatArray:
        """Where the straight line between both ends meets the aim."""
        found: FloatArray = self.low_a + (self.high_a - self.low_a) * (self.low_v / (self.low_v - self.high_v))
        return found

    def closer(self, at_a: FloatArray, at_v: FloatArray, last: FloatArray) -> _Ends:
        """One end moves; the other counts less if it stays again, by the rule of Anderson and Bjorck (1973).

        ``last`` is the side, -1 or 1, on which the guess before was.
        """
        over = at_v > 0.0
        less = 1.0 - at_v / np.where(over, self.high_v, self.low_v)
        weight = np.where(last * at_v > 0.0, np.where(less > 0.0, less, 0.5), 1.0)
        return _Ends(
            np.where(over, self.low_a, at_a),
            np.where(over, weight * self.low_v, at_v),
            np.where(over, at_a, self.high_a),
            np.where(over, at_v, weight * self.high_v),
        )
