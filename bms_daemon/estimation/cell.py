"""A cell file made ready for speed: every table on one fine grid, looked up for many cells at once."""

from __future__ import annotations

from dataclasses import dataclass

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
NO_KNEE_C = 1e6  # so far away that the current is not bent


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a cell's circuit is at a state of charge and a temperature; arrays of shape (n,).

    ``series_ohm``; ``pair_ohm`` (pairs, n); ``hysteresis_v`` half the distance of the branches;
    ``cold`` growth of resistance by temperature, 1 at 25 degC.
    """

    series_ohm: FloatArray
    pair_ohm: FloatArray
    hysteresis_v: FloatArray
    cold: FloatArray


class Cell:
    """Look-up of open-circuit voltage and circuit. All arguments broadcast to (n,)."""

    def __init__(self, file: CellFile) -> None:
        self.file = file
        self.capacity_ah = file.cell.capacity_ah
        self.tau_s: FloatArray = np.array(file.resistance.tau_s)
        self.hysteresis_rate = file.hysteresis.rate if file.hysteresis else 0.0
        self.fast_pairs = int(np.searchsorted(self.tau_s, FAST_S))
        self.knee_a = (file.resistance.knee_c or NO_KNEE_C) * self.capacity_ah
        self._span_degc = file.ocv.temperature_min_degc, file.ocv.temperature_max_degc
        self._known_degc = file.resistance.temperature_degc[0], file.resistance.temperature_degc[-1]
        self._ocv = self._ocv_grid()
        self._circuit = self._circuit_grid()

    def ocv_v(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Open-circuit voltage without hysteresis, V."""
        at = (within(soc, SOC_LOW, SOC_HIGH) - SOC_LOW) * (1.0 / OCV_STEP)
        low = np.minimum(at.astype(np.intp), self._ocv.shape[1] - 2)
        left, right = self._ocv[:, low], self._ocv[:, low + 1]
        base, cold, warm = left + (right - left) * (at - low)
        low_degc, high_degc = self._span_degc
        away_k = within(temp_degc, low_degc - OCV_MARGIN_K, high_degc + OCV_MARGIN_K) - (REFERENCE_K - KELVIN)
        found: FloatArray = base + away_k * np.where(away_k < 0.0, cold, warm)
        return found

    def circuit(self, soc: FloatArray, temp_degc: FloatArray) -> Circuit:
        """Resistances and hysteresis: nearest in state of charge, straight in temperature."""
        step = within((soc - SOC_LOW) / CIRCUIT_STEP + 0.5, 0.0, self._circuit.shape[1] - 1.0).astype(np.intp)
        at = within(temp_degc, COLDEST_DEGC, HOTTEST_DEGC - 1e-6) - COLDEST_DEGC
        low = at.astype(np.intp)
        share = at - low
        left, right = self._circuit[low, step].T, self._circuit[low + 1, step].T
        found = left + (right - left) * share
        return Circuit(found[0], found[1:-2], found[-2], found[-1])

    def strangeness(self, temp_degc: FloatArray) -> FloatArray:
        """How far a temperature is from those that were measured, as a distance in 1/K."""
        near_degc = within(temp_degc, *self._known_degc)
        found: FloatArray = np.abs(1.0 / (KELVIN + temp_degc) - 1.0 / (KELVIN + near_degc))
        return found

    def _ocv_grid(self) -> FloatArray:
        """(3, steps): voltage, V, and its slopes below and above 25 degC, V/K. Beyond the file's ends it stays."""
        ocv = self.file.ocv
        soc = np.arange(SOC_LOW, SOC_HIGH + OCV_STEP / 2, OCV_STEP)
        rows = ocv.voltage_v, ocv.cold_v_per_k, ocv.warm_v_per_k
        return np.array([np.interp(soc, ocv.soc, row) for row in rows])

    def _circuit_grid(self) -> FloatArray:
        """(temperatures, states, 1 + pairs + 2)."""
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
        parts = [table * beyond[:, None] for table in tables] + [voltage, np.broadcast_to(cold[:, None], voltage.shape)]
        return np.stack(parts, axis=-1)


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
