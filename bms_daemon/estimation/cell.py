"""A cell file made ready for speed: its tables, looked up for many cells at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np

from bms_daemon.config.cellfile import ACTIVATION_K, CellFile
from bms_daemon.model import FloatArray

KELVIN = 273.15
REFERENCE_K = 298.15
SOC_LOW, SOC_HIGH = -0.05, 1.05  # the circuit grid's ends; beyond them a cell is taken to be at the end
CIRCUIT_STEP = 0.0025
COLDEST_DEGC, HOTTEST_DEGC = -45, 85  # the grid's ends in steps of 1 K
OCV_MARGIN_K = 3.0  # how far the temperature term is carried beyond what was measured
FAST_S = 30.0  # a pair with a shorter time constant counts as fast
VOLTS_LOW, VOLTS_HIGH = 0.5, 1.25  # of the cell's own limits: what is beyond is no cell's voltage
KEPT = 8  # temperatures, and arrays of them, for which look-ups are remembered
NO_KNEE_C = 1e6  # so far away that the current is not bent


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a cell's circuit is at a state of charge and a temperature; arrays (n,), or (..., n) as was asked for.

    ``series_ohm``; ``pair_ohm`` (pairs, n); ``hysteresis_v`` half the distance of the branches;
    ``cold`` growth of resistance by temperature, 1 at 25 degC; ``whole_ohm`` series and pairs together.
    """

    series_ohm: FloatArray
    pair_ohm: FloatArray
    hysteresis_v: FloatArray
    cold: FloatArray
    whole_ohm: FloatArray


@dataclass(frozen=True, slots=True)
class _Warmth:
    """What temperatures alone decide; numbers in place of arrays where all of them are the same.

    ``away_k`` from 25 degC, no further than the curve's slopes hold, and the ``curve`` there (knots,), V, where one
    serves all; ``row`` where the circuit's table begins for them; ``share`` of the way to the circuit's next row; how
    ``strange`` they are, 1/K.
    """

    away_k: FloatArray | float
    curve: FloatArray | None
    row: FloatArray | float
    share: FloatArray | float
    strange: FloatArray | float


@dataclass(frozen=True, slots=True)
class _Curve:
    """Open-circuit voltage over state of charge, V, and its slopes by temperature, V/K, arrays (knots,)."""

    soc: FloatArray
    base_v: FloatArray
    cold_v_per_k: FloatArray
    warm_v_per_k: FloatArray

    @classmethod
    def of(cls, file: CellFile) -> Self:
        ocv = file.ocv
        return cls(*map(np.array, (ocv.soc, ocv.voltage_v, ocv.cold_v_per_k, ocv.warm_v_per_k)))

    def at(self, away_k: float) -> FloatArray:
        """The curve (knots,) so far from 25 degC, V."""
        return self.base_v + away_k * self._row(away_k)

    def voltage_v(self, soc: FloatArray, warmth: _Warmth) -> FloatArray:
        """Straight between knots, at the end beyond them."""
        if warmth.curve is not None:
            return np.interp(soc, self.soc, warmth.curve)
        return np.interp(soc, self.soc, self.base_v) + warmth.away_k * self.slope_v_per_k(soc, warmth)

    def slope_v_per_k(self, soc: FloatArray, warmth: _Warmth) -> FloatArray:
        """By temperature."""
        if warmth.curve is not None:
            return np.interp(soc, self.soc, self._row(warmth.away_k))
        cold, warm = (np.interp(soc, self.soc, row) for row in (self.cold_v_per_k, self.warm_v_per_k))
        return np.where(np.asarray(warmth.away_k) >= 0.0, warm, cold)

    def _row(self, away_k: FloatArray | float) -> FloatArray:
        return self.warm_v_per_k if away_k >= 0.0 else self.cold_v_per_k


class Cell:
    """Look-up of open-circuit voltage and circuit. All arguments broadcast to (n,).

    Temperatures change seldom: what follows from the last few arrays of them is kept, by their contents.
    """

    def __init__(self, file: CellFile) -> None:
        self.file = file
        self.capacity_ah = file.cell.capacity_ah
        self.tau_s: FloatArray = np.array(file.resistance.tau_s)
        self.hysteresis_rate = file.hysteresis.rate if file.hysteresis else 0.0
        self.fast_pairs = int(np.searchsorted(self.tau_s, FAST_S))
        self.knee_a = (file.resistance.knee_c or NO_KNEE_C) * self.capacity_ah
        self.possible_v = VOLTS_LOW * file.cell.min_v, VOLTS_HIGH * file.cell.max_v
        self._span_degc = file.ocv.temperature_min_degc, file.ocv.temperature_max_degc
        self._known_degc = file.resistance.temperature_degc[0], file.resistance.temperature_degc[-1]
        self._ocv = _Curve.of(file)
        self._circuit, self._states = self._circuit_grid()
        self._one, self._many = lru_cache(maxsize=KEPT)(self._of_one), lru_cache(maxsize=KEPT)(self._of_many)

    def ocv_v(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Open-circuit voltage without hysteresis, V."""
        return self._ocv.voltage_v(soc, self._warmth(temp_degc))

    def ocv_v_per_k(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Its slope by temperature, V/K."""
        return self._ocv.slope_v_per_k(soc, self._warmth(temp_degc))

    def circuit(self, soc: FloatArray, temp_degc: FloatArray) -> Circuit:
        """Resistances and hysteresis: nearest in state of charge, straight in temperature."""
        warmth = self._warmth(temp_degc)
        nearest = within((soc - (SOC_LOW - 0.5 * CIRCUIT_STEP)) * (1.0 / CIRCUIT_STEP), 0.0, self._states - 1.0)
        found = self._circuit.take((warmth.row + nearest).astype(np.intp), axis=1)
        half = found.shape[0] // 2
        here = found[:half] + found[half:] * warmth.share
        return Circuit(here[0], here[1:-3], here[-3], here[-2], here[-1])

    def strangeness(self, temp_degc: FloatArray) -> FloatArray:
        """How far a temperature is from those that were measured, as a distance in 1/K."""
        return np.zeros(temp_degc.shape) + self._warmth(temp_degc).strange

    def _warmth(self, temp_degc: FloatArray) -> _Warmth:
        """For one number where all temperatures are the same, which is much faster, else for every one."""
        content = temp_degc.tobytes()
        if content == content[:8] * temp_degc.size:
            return self._one(temp_degc.item(0))
        return self._many(content, temp_degc.shape)

    def _of_one(self, degc: float) -> _Warmth:
        away_k, *place = self._find(degc, min, max)
        return _Warmth(away_k, self._ocv.at(away_k), *place)

    def _of_many(self, content: bytes, shape: tuple[int, ...]) -> _Warmth:
        away_k, *place = self._find(np.frombuffer(content).reshape(shape), np.minimum, np.maximum)
        return _Warmth(away_k, None, *place)

    def _find(self, temp_degc: Any, least: Callable[..., Any], most: Callable[..., Any]) -> tuple[Any, ...]:
        low_degc, high_degc = self._span_degc
        slope_degc = least(most(temp_degc, low_degc - OCV_MARGIN_K), high_degc + OCV_MARGIN_K)
        known_degc = least(most(temp_degc, self._known_degc[0]), self._known_degc[1])
        at = least(most(temp_degc, COLDEST_DEGC), HOTTEST_DEGC - 1e-6) - COLDEST_DEGC
        row = at // 1.0
        strange = abs(1.0 / (KELVIN + temp_degc) - 1.0 / (KELVIN + known_degc))
        return slope_degc - (REFERENCE_K - KELVIN), row * self._states, at - row, strange

    def _circuit_grid(self) -> tuple[FloatArray, int]:
        """Values and their steps to the next temperature, (2 (pairs + 4), temperatures * states); how many states."""
        res, hyst = self.file.resistance, self.file.hysteresis
        soc = np.arange(SOC_LOW, SOC_HIGH + CIRCUIT_STEP / 2, CIRCUIT_STEP)
        degc = np.arange(COLDEST_DEGC, HOTTEST_DEGC + 1.0)
        cold = resistance_growth(degc, res.share, res.activation_k)
        known = np.clip(degc, res.temperature_degc[0], res.temperature_degc[-1])
        beyond = cold / resistance_growth(known, res.share, res.activation_k)
        tables = [
            _surface(soc, known, res.soc, res.temperature_degc, table) for table in (res.series_ohm, *res.pair_ohm)
        ]
        voltage = (
            _surface(soc, known, hyst.soc, res.temperature_degc, hyst.voltage_v) if hyst else np.zeros_like(tables[0])
        )
        parts = [table * beyond[:, None] for table in tables]
        parts += [voltage, np.broadcast_to(cold[:, None], voltage.shape), np.add.reduce(parts)]
        values = np.array(parts)
        steps = np.diff(values, axis=1, append=values[:, -1:])
        return np.concatenate([values, steps]).reshape(2 * len(parts), -1), soc.size


def within(value: FloatArray, low: float | FloatArray, high: float | FloatArray) -> FloatArray:
    """``value`` where it lies between the bounds, else the nearer one; np.clip at half the cost for short arrays."""
    found: FloatArray = np.minimum(np.maximum(value, low), high)
    return found


def chosen(choose: np.ndarray, yes: FloatArray, no: FloatArray | float) -> FloatArray:
    """np.where at a small part of its cost where all are chosen, as they mostly are."""
    return yes if np.count_nonzero(choose) == choose.size else np.where(choose, yes, no)


def saturated_a(current_a: FloatArray, knee_a: float | FloatArray) -> FloatArray:
    """What pairs see of a current, A: all of it when small, its logarithm beyond the knee."""
    found: FloatArray = knee_a * np.arcsinh(current_a / knee_a)
    return found


def resistance_growth(temp_degc: FloatArray, share: float, activation_k: float) -> FloatArray:
    """Resistance over that at 25 degC: a part that stays and a part that obeys Arrhenius' law."""
    law = np.exp(activation_k * (1.0 / (KELVIN + np.asarray(temp_degc)) - 1.0 / REFERENCE_K))
    found: FloatArray = 1.0 - share + share * law
    return found


def temperature_weights(temp_degc: FloatArray, knots_degc: FloatArray) -> FloatArray:
    """(n, knots): interpolation between knots, the end knot beyond; every row sums to 1.

    Resistance curves much over T and little over exp(k/T), which a share of it follows: the coordinate is the latter.
    """
    coordinate = -np.exp(ACTIVATION_K * (1.0 / (KELVIN + np.asarray(temp_degc)) - 1.0 / REFERENCE_K))
    knots = -np.exp(ACTIVATION_K * (1.0 / (KELVIN + np.asarray(knots_degc)) - 1.0 / REFERENCE_K))
    return hat_weights(coordinate, knots)


def hat_weights(at: FloatArray, knots: FloatArray) -> FloatArray:
    """(n, knots): weights of straight interpolation between rising knots, the end knot beyond."""
    if knots.size == 1:
        return np.ones((at.size, 1))
    clipped = np.clip(at, knots[0], knots[-1])
    low = np.clip(np.searchsorted(knots, clipped, side="right") - 1, 0, knots.size - 2)
    share = (clipped - knots[low]) / (knots[low + 1] - knots[low])
    weights = np.zeros((at.size, knots.size))
    rows = np.arange(at.size)
    weights[rows, low], weights[rows, low + 1] = 1.0 - share, share
    return weights


def _surface(
    soc: FloatArray,
    degc: FloatArray,
    soc_knots: tuple[float, ...],
    degc_knots: tuple[float, ...],
    table: tuple[tuple[float, ...], ...],
) -> FloatArray:
    over_soc = np.array([np.interp(soc, soc_knots, row) for row in table])
    found: FloatArray = temperature_weights(degc, np.array(degc_knots)) @ over_soc
    return found
