"""A cell file made ready for speed: every table on one fine grid, looked up for many cells at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bms_daemon.config.cellfile import ACTIVATION_K, CellFile
from bms_daemon.model import FloatArray

KELVIN = 273.15
REFERENCE_K = 298.15
SOC_LOW, SOC_HIGH = -0.05, 1.05  # the grid's ends; beyond them a cell is taken to be at the end
OCV_STEP, CIRCUIT_STEP = 0.001, 0.0025
COLDEST_DEGC, HOTTEST_DEGC = -45, 85  # the grid's ends in steps of 1 K
OCV_MARGIN_K = 3.0  # how far the temperature term is carried beyond what was measured
FAST_S = 30.0  # a pair with a shorter time constant counts as fast
VOLTS_LOW, VOLTS_HIGH = 0.5, 1.25  # of the cell's own limits: what is beyond is no cell's voltage
KEPT = 4  # arrays of temperatures whose look-ups are remembered
NO_KNEE_C = 1e6  # so far away that the current is not bent


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a cell's circuit is at a state of charge and a temperature; arrays of shape (n,).

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

    ``away_k`` from 25 degC, no further than the curve's slopes hold; ``curve``, ``row`` where the curve's and the
    circuit's tables begin for them; ``share`` of the way to the circuit's next row; how ``strange`` they are, 1/K.
    """

    away_k: FloatArray | float
    curve: np.ndarray | int
    row: FloatArray | float
    share: FloatArray | float
    strange: FloatArray


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
        self._ocv, self._warm = self._ocv_grid()
        self._circuit, self._states = self._circuit_grid()
        self._found = lru_cache(maxsize=KEPT)(self._find)

    def ocv_v(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Open-circuit voltage without hysteresis, V."""
        warmth = self._warmth(temp_degc)
        at = (within(soc, SOC_LOW, SOC_HIGH) - SOC_LOW) * (1.0 / OCV_STEP)
        low = at.astype(np.intp)
        found = self._ocv.take(low + warmth.curve, axis=1)
        base, per_k = found[:2] + found[2:] * (at - low)
        voltage_v: FloatArray = base + warmth.away_k * per_k
        return voltage_v

    def circuit(self, soc: FloatArray, temp_degc: FloatArray) -> Circuit:
        """Resistances and hysteresis: nearest in state of charge, straight in temperature."""
        warmth = self._warmth(temp_degc)
        nearest = within((soc - (SOC_LOW - 0.5 * CIRCUIT_STEP)) * (1.0 / CIRCUIT_STEP), 0.0, self._states - 1.0)
        place = (warmth.row + nearest).astype(np.intp)
        left, right = self._circuit.take(place, axis=1), self._circuit.take(place + self._states, axis=1)
        found = left + (right - left) * warmth.share
        return Circuit(found[0], found[1:-3], found[-3], found[-2], found[-1])

    def strangeness(self, temp_degc: FloatArray) -> FloatArray:
        """How far a temperature is from those that were measured, as a distance in 1/K."""
        return self._warmth(temp_degc).strange

    def _warmth(self, temp_degc: FloatArray) -> _Warmth:
        return self._found(temp_degc.tobytes(), temp_degc.shape)

    def _find(self, content: bytes, shape: tuple[int, ...]) -> _Warmth:
        """For one number where all temperatures are the same, which is much faster, else for every one."""
        each = np.frombuffer(content).reshape(shape)
        alike = content == content[:8] * each.size
        temp_degc: Any = each.item(0) if alike else each
        least, most = (min, max) if alike else (np.minimum, np.maximum)
        low_degc, high_degc = self._span_degc
        slope_degc = least(most(temp_degc, low_degc - OCV_MARGIN_K), high_degc + OCV_MARGIN_K)
        known_degc = least(most(temp_degc, self._known_degc[0]), self._known_degc[1])
        at = least(most(temp_degc, COLDEST_DEGC), HOTTEST_DEGC - 1e-6) - COLDEST_DEGC
        away_k, row = slope_degc - (REFERENCE_K - KELVIN), at // 1.0
        strange = np.zeros(shape) + abs(1.0 / (KELVIN + temp_degc) - 1.0 / (KELVIN + known_degc))
        return _Warmth(away_k, (away_k >= 0.0) * self._warm, row * self._states, at - row, strange)

    def _ocv_grid(self) -> tuple[FloatArray, int]:
        """(4, 2 steps), and where its second half begins, which holds for 25 degC and above.

        Voltage, V, its slope by temperature, V/K, and the steps of both to the next. Beyond the file's ends it stays.
        """
        ocv = self.file.ocv
        soc = np.arange(SOC_LOW, SOC_HIGH + OCV_STEP / 2, OCV_STEP)
        rows = ocv.voltage_v, ocv.cold_v_per_k, ocv.warm_v_per_k
        base, cold, warm = (np.interp(soc, ocv.soc, row) for row in rows)
        values = np.array([[base, base], [cold, warm]])
        steps = np.diff(values, axis=-1, append=values[..., -1:])
        return np.concatenate([values, steps]).reshape(4, -1), soc.size

    def _circuit_grid(self) -> tuple[FloatArray, int]:
        """(1 + pairs + 3, temperatures * states), and the number of states."""
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
        return np.reshape(parts, (len(parts), -1)), soc.size


def within(value: FloatArray, low: float | FloatArray, high: float | FloatArray) -> FloatArray:
    """``value`` where it lies between the bounds, else the nearer one; np.clip at half the cost for short arrays."""
    found: FloatArray = np.minimum(np.maximum(value, low), high)
    return found


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
