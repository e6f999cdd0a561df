"""State of power: what cells in series can give or take for a time without leaving their limits, and what binds.

The model is carried forward with a constant current, the same through all cells; what it is not sure of is taken on
the safe side. A current for a horizon holds from now to its end, so a longer horizon never allows more.
"""

from __future__ import annotations

from math import inf

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import size, variances
from bms_daemon.estimation.sop_bounds import TEMPERATURE, Asked, Bounds, and_by_heat, by_rating_and_charge
from bms_daemon.estimation.sop_path import look_ahead
from bms_daemon.estimation.sop_search import by_voltage
from bms_daemon.model import Binding, FloatArray, PowerAhead

CONTINUOUS_S = 1800.0  # as the thirty-minute power of UN Regulation 85; what charge there is counts as well
HORIZONS_S: tuple[float, ...] = (1.0, 2.0, 10.0, 30.0, CONTINUOUS_S)
CAUTION = 1.0  # standard deviations on the safe side
SIGN: FloatArray = np.array([[[-1.0]], [[1.0]]])  # discharge, charge
ABSURD, ROUNDING = 1e6, 1e-6  # a state's number that is none any more; variance below 0 that is rounding
BINDINGS = tuple(Binding)


def power_ahead(
    cell: Cell,
    state: SocState,
    bounds: Bounds,
    hottest_degc: float | None = None,
    horizons_s: tuple[float, ...] = HORIZONS_S,
    caution: float = CAUTION,
    coldest_degc: float | None = None,
) -> PowerAhead:
    """What all cells of ``state`` (n,) in series can give and take for each horizon (s, rising).

    ``hottest_degc`` and ``coldest_degc`` are the pack's where the cells' own do not say it all. A temperature that is
    not known (NaN) or out of bounds allows nothing, nor does a state that is none. ``caution``: standard deviations on
    the safe side, 0 for the best guess.
    """
    if not _known(state):
        return _nothing(horizons_s, Binding.STALE)
    coldest, hottest = _ends(state.temp_degc, coldest_degc, hottest_degc)
    asked = Asked.of(bounds)
    allowed = (coldest >= asked.min_degc) & (hottest <= asked.max_degc)
    if not allowed.any():
        return _nothing(horizons_s, Binding.TEMPERATURE)
    path, settled_ohm = look_ahead(cell, state, horizons_s, SIGN, caution, inf if coldest_degc is None else coldest)
    most = by_rating_and_charge(path, state, asked, horizons_s, caution, bounds.trickle_a)
    most = and_by_heat(most, path, asked.max_degc - hottest, settled_ohm, cell, state, horizons_s)
    most = np.where(allowed, most[0], 0.0), np.where(allowed, most[1], TEMPERATURE)
    return _told(*_lasting(*by_voltage(cell, path, asked.limit_v, most)))


def _known(state: SocState) -> bool:
    """Whether every number is one, none is absurd, and no variance is negative."""
    now = state.filter
    return size(now) < ABSURD and float(variances(now.cov).min()) > -ROUNDING


def _ends(temp_degc: FloatArray, coldest: float | None, hottest: float | None) -> tuple[float, float]:
    """Of the cells' temperatures and those that were named; NaN where any is."""
    low, high = temp_degc.min(), temp_degc.max()
    return (
        low if coldest is None else np.minimum(coldest, low),
        high if hottest is None else np.maximum(hottest, high),
    )


def _lasting(
    current_a: FloatArray, power_w: FloatArray, why: np.ndarray
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """What is allowed at the end of a horizon must be allowed on the way there. Arrays (directions, horizons)."""
    least_a = np.minimum.accumulate(current_a, axis=1)
    less = least_a < current_a
    if less.any():
        for row in range(1, why.shape[1]):
            why[:, row] = np.where(less[:, row], why[:, row - 1], why[:, row])
    return least_a, np.minimum.accumulate(power_w, axis=1), why


def _nothing(horizons_s: tuple[float, ...], why: Binding) -> PowerAhead:
    none = np.zeros((2, len(horizons_s)))
    return _told(none, none, np.full(none.shape, why))


def _told(current_a: FloatArray, power_w: FloatArray, why: np.ndarray) -> PowerAhead:
    give, take = (tuple(map(BINDINGS.__getitem__, each)) for each in why.tolist())
    return PowerAhead(current_a[0], power_w[0], current_a[1], power_w[1], give, take)
