"""State of power: what cells in series can give or take for a time without leaving their limits, and what binds.

The model is carried forward with a constant current, the same through all cells; what it is not sure of is taken on
the safe side. A current for a horizon holds from now to its end, so a longer horizon never allows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.heat import allowed_a, reversible_v, rise_k_per_w
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import HOUR_S, size, variances
from bms_daemon.estimation.sop_path import Ahead, look_ahead
from bms_daemon.estimation.sop_search import meet
from bms_daemon.model import Binding, FloatArray, PowerAhead

CONTINUOUS_S = 1800.0  # as the thirty-minute power of UN Regulation 85; what charge there is counts as well
HORIZONS_S: tuple[float, ...] = (1.0, 2.0, 10.0, 30.0, CONTINUOUS_S)
CAUTION = 1.0  # standard deviations on the safe side
SIGN: FloatArray = np.array([[[-1.0]], [[1.0]]])  # discharge, charge
FEW, LEAST_V = 4, 1e-9
ABSURD, ROUNDING = 1e6, 1e-6  # a state's number that is none any more; variance below 0 that is rounding

RATED, VOLTAGE, SOC, TEMPERATURE = map(int, (Binding.RATED, Binding.CELL_VOLTAGE, Binding.SOC, Binding.TEMPERATURE))
BINDINGS = tuple(Binding)

Most = tuple[FloatArray, np.ndarray]  # currents (directions, horizons), and the Binding of each


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be asked of a cell; currents are magnitudes."""

    min_v: float
    max_v: float
    charge_max_a: float
    discharge_max_a: float
    charge_min_degc: float
    charge_max_degc: float
    discharge_min_degc: float
    discharge_max_degc: float
    trickle_a: float = 0.0  # what the state of charge alone leaves

    @classmethod
    def of(cls, file: CellFile) -> Self:
        """What the cell file itself allows."""
        cell = file.cell
        return cls(
            cell.min_v,
            cell.max_v,
            cell.charge_max_c * cell.capacity_ah,
            cell.discharge_max_c * cell.capacity_ah,
            cell.charge_min_degc,
            cell.charge_max_degc,
            cell.discharge_min_degc,
            cell.discharge_max_degc,
        )


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
    asked = _Asked.of(bounds)
    allowed = (coldest >= asked.min_degc) & (hottest <= asked.max_degc)
    if not allowed.any():
        return _nothing(horizons_s, Binding.TEMPERATURE)
    path, settled_ohm = look_ahead(cell, state, horizons_s, SIGN, caution)
    most = _by_rating_and_charge(path, state, asked, horizons_s, caution, bounds.trickle_a)
    most = _and_by_heat(most, path, asked.max_degc - hottest, settled_ohm, cell, state, horizons_s)
    most = np.where(allowed, most[0], 0.0), np.where(allowed, most[1], TEMPERATURE)
    return _told(*_lasting(*_by_voltage(cell, path, asked.limit_v, most)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Bounds by direction, arrays (directions, 1)."""

    limit_v: FloatArray
    rated_a: FloatArray
    min_degc: FloatArray
    max_degc: FloatArray

    @classmethod
    def of(cls, bounds: Bounds) -> Self:
        give = bounds.min_v, bounds.discharge_max_a, bounds.discharge_min_degc, bounds.discharge_max_degc
        take = bounds.max_v, bounds.charge_max_a, bounds.charge_min_degc, bounds.charge_max_degc
        return cls(*np.array([give, take]).T[:, :, None])


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


def _by_rating_and_charge(
    path: Ahead, state: SocState, asked: _Asked, horizons_s: tuple[float, ...], caution: float, trickle_a: float
) -> Most:
    """What the rating and the charge at hand allow, and which of them binds."""
    doubt, capacity_ah = caution * state.soc_sigma, state.filter.capacity_ah
    room_ah = ((np.array([path.soc, 1.0 - path.soc]) - doubt) * capacity_ah).min(axis=1)[:, None]
    by_charge_a = np.maximum(room_ah * (HOUR_S / np.array(horizons_s)), trickle_a)
    by_charge = by_charge_a < asked.rated_a
    return np.where(by_charge, by_charge_a, asked.rated_a), np.where(by_charge, SOC, RATED)


def _and_by_heat(
    most: Most,
    path: Ahead,
    spare_k: FloatArray,
    settled_ohm: FloatArray,
    cell: Cell,
    state: SocState,
    horizons_s: tuple[float, ...],
) -> Most:
    """The same, and the hottest cell at its highest temperature at the end: what it is now counts as surroundings.

    ``spare_k`` (directions, 1) is how far it is from there. It is taken to have the largest resistance, hysteresis and
    heat of reaction of any cell; the latter counts where it warms, and every pair is taken as settled.
    """
    if cell.file.heat is None:
        return most
    reaction_v = np.maximum(path.sign[:, 0] * reversible_v(cell, path.soc, state.temp_degc), 0.0).max(axis=1)
    direct_v = reaction_v[:, None] + state.filter.circuit.hysteresis_v.max()
    by_heat_a = allowed_a(spare_k / rise_k_per_w(cell, horizons_s), settled_ohm.max(), direct_v)
    most_a, why = most
    return np.minimum(most_a, by_heat_a), np.where(by_heat_a < most_a, TEMPERATURE, why)


def _by_voltage(
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
