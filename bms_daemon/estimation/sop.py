"""State of power: what each cell can give or take for a time without leaving its limits, and which limit binds.

The model is carried forward with a constant current; what it is not sure of is taken on the safe side. A current for
a horizon holds from now to its end, so a longer horizon never allows more.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Self

import numpy as np

from bms_daemon.config.cellfile import CellFile, Heat
from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.heat import allowed_a, reversible_v, rise_k_per_w
from bms_daemon.estimation.soc import UNKNOWN_DEGC, SocState
from bms_daemon.estimation.sop_path import Ahead, look_ahead
from bms_daemon.estimation.sop_search import meet
from bms_daemon.model import FloatArray

CONTINUOUS_S = 1800.0  # as the thirty-minute power of UN Regulation 85; what charge there is counts as well
HORIZONS_S: tuple[float, ...] = (1.0, 2.0, 10.0, 30.0, CONTINUOUS_S)
CAUTION = 1.0  # standard deviations on the safe side
DIRECTIONS = (-1.0, 1.0)  # discharge, charge
ABSURD, ROUNDING = 1e6, 1e-6  # sum of a state's numbers that is none any more; variance below 0 that is rounding
Degrees = float | FloatArray | None  # degC; None: the cells' own


class Why(IntEnum):
    """Which limit binds."""

    CURRENT = 0
    VOLTAGE = 1
    SOC = 2
    TEMPERATURE = 3


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


@dataclass(frozen=True, slots=True)
class Power:
    """In one direction for some horizons: ``current_a`` (not negative), ``power_w``, ``why``; arrays (horizons, n)."""

    current_a: FloatArray
    power_w: FloatArray
    why: np.ndarray


def both_powers(
    cell: Cell,
    state: SocState,
    bounds: Bounds,
    hottest_degc: Degrees = None,
    horizons_s: tuple[float, ...] = HORIZONS_S,
    caution: float = CAUTION,
    coldest_degc: Degrees = None,
) -> tuple[Power, Power]:
    """What each cell can give and take for each horizon (s, rising).

    ``hottest_degc`` and ``coldest_degc`` are of the pack, or one a cell (n,); without them each cell's own counts. A
    temperature that is not known (NaN) or out of bounds allows nothing. ``caution``: standard deviations on the safe
    side, 0 for the best guess.
    """
    sign = np.array(DIRECTIONS)[:, None, None]
    coldest, hottest = _ends(state.temp_degc, coldest_degc, hottest_degc)
    known = _known(state, coldest + hottest)
    if not known.all():
        state, hottest = _blanked(state, known), np.where(known, hottest, UNKNOWN_DEGC)
    path, settled_ohm = look_ahead(cell, state, horizons_s, sign, caution)
    asked = _Asked.of(bounds)
    most = _by_rating_and_charge(path, state, asked, caution, bounds.trickle_a)
    if cell.file.heat is not None:
        most = _and_by_heat(most, path, state, asked, (hottest, settled_ohm), (cell, cell.file.heat), horizons_s)
    allowed = known & (coldest >= asked.min_degc) & (hottest <= asked.max_degc)
    if not allowed.all():
        most = np.where(allowed, most[0], 0.0), np.where(allowed, most[1], Why.TEMPERATURE)
    current_a, end_v, why = _by_voltage(cell, path, asked.limit_v, most)
    current_a, power_w, why = _lasting(current_a, current_a * end_v, why)
    give, take = (Power(*each) for each in zip(current_a, power_w, why, strict=True))
    return give, take


@dataclass(frozen=True, slots=True)
class _Asked:
    """Bounds by direction, arrays (directions, 1, 1)."""

    limit_v: FloatArray
    rated_a: FloatArray
    min_degc: FloatArray
    max_degc: FloatArray

    @classmethod
    def of(cls, bounds: Bounds) -> Self:
        give = bounds.min_v, bounds.discharge_max_a, bounds.discharge_min_degc, bounds.discharge_max_degc
        take = bounds.max_v, bounds.charge_max_a, bounds.charge_min_degc, bounds.charge_max_degc
        return cls(*np.array([give, take]).T[:, :, None, None])


def _ends(temp_degc: FloatArray, coldest: Degrees, hottest: Degrees) -> tuple[FloatArray, FloatArray]:
    low = temp_degc if coldest is None else np.minimum(coldest, temp_degc)
    return low, temp_degc if hottest is None else np.maximum(hottest, temp_degc)


def _known(state: SocState, ends_degc: FloatArray) -> np.ndarray:
    """Cells (n,) of which every number is one, none is absurd, and no variance is negative."""
    now = state.filter
    with np.errstate(over="ignore"):
        size = np.abs(now.mean).sum(axis=0) + np.abs(now.cov).sum(axis=(0, 1)) + np.abs(now.pair_v).sum(axis=0)
        size += np.abs(state.temp_degc) + np.abs(ends_degc)
    least: FloatArray = np.einsum("iin->in", now.cov).min(axis=0)
    found: np.ndarray = (size < ABSURD) & (least > -ROUNDING)
    return found


def _blanked(state: SocState, known: np.ndarray) -> SocState:
    """Any numbers in place of those that are none: what comes out for such cells is not used."""
    now = state.filter
    blank = {name: np.where(known, getattr(now, name), 0.0) for name in ("mean", "cov", "pair_v")}
    circuit = Circuit(*(np.where(known, getattr(now.circuit, each.name), 1.0) for each in fields(Circuit)))
    temp_degc = np.where(known, state.temp_degc, UNKNOWN_DEGC)
    return replace(state, filter=replace(now, circuit=circuit, **blank), temp_degc=temp_degc)


def _by_rating_and_charge(
    path: Ahead, state: SocState, asked: _Asked, caution: float, trickle_a: float
) -> tuple[FloatArray, np.ndarray]:
    """Largest currents (directions, horizons, n) that the rating and the charge at hand allow, and which of them."""
    room = 0.5 + path.sign * (0.5 - path.soc) - caution * state.soc_sigma
    by_charge_a = np.maximum(np.maximum(room, 0.0) / np.abs(path.soc_per_a), trickle_a)
    return np.minimum(asked.rated_a, by_charge_a), np.where(by_charge_a < asked.rated_a, Why.SOC, Why.CURRENT)


def _and_by_heat(
    most: tuple[FloatArray, np.ndarray],
    path: Ahead,
    state: SocState,
    asked: _Asked,
    warmth: tuple[FloatArray, FloatArray],
    mass: tuple[Cell, Heat],
    horizons_s: tuple[float, ...],
) -> tuple[FloatArray, np.ndarray]:
    """The same, and the hottest cell at its highest temperature at the end: what it is now counts as surroundings.

    Heat of reaction counts where it warms; every pair is taken as settled.
    """
    (hottest_degc, ohm), (cell, heat) = warmth, mass
    spare_w = (asked.max_degc - hottest_degc) / rise_k_per_w(heat, np.array(horizons_s))[:, None]
    reaction_v = np.maximum(path.sign * reversible_v(cell, path.soc, state.temp_degc), 0.0)
    by_heat_a = allowed_a(spare_w, ohm, reaction_v + state.filter.circuit.hysteresis_v)
    most_a, why = most
    return np.minimum(most_a, by_heat_a), np.where(by_heat_a < most_a, Why.TEMPERATURE, why)


def _by_voltage(
    cell: Cell, path: Ahead, limit_v: FloatArray, most: tuple[FloatArray, np.ndarray]
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Currents within ``most`` that stay inside the voltage limit, the voltage at their end, and what binds."""
    most_a, why = most
    end_v = path.voltage_v(cell, most_a)
    beyond = path.sign * (end_v - limit_v) > 0.0
    if not beyond.any():
        return most_a, np.maximum(end_v, 0.0), why
    limits_v = np.broadcast_to(limit_v, most_a.shape)[beyond]
    current_a, why = most_a.copy(), np.where(beyond & (most_a > 0.0), Why.VOLTAGE, why)
    current_a[beyond] = meet(cell, path.only(beyond), limits_v, most_a[beyond], end_v[beyond])
    end_v[beyond] = limits_v
    return current_a, np.maximum(end_v, 0.0), why


def _lasting(
    current_a: FloatArray, power_w: FloatArray, why: np.ndarray
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """What is allowed at the end of a horizon must be allowed on the way there. Arrays (directions, horizons, n)."""
    least_a = np.minimum.accumulate(current_a, axis=1)
    less = least_a < current_a
    if less.any():
        why = why.copy()
        for row in range(1, why.shape[1]):
            why[:, row] = np.where(less[:, row], why[:, row - 1], why[:, row])
    return least_a, np.minimum.accumulate(power_w, axis=1), why
