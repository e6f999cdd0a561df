"""A cell file made ready for speed: its tables, looked up for many cells at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.curve import AtTemperature, Curve
from bms_daemon.estimation.tables import KELVIN, REFERENCE_K, beyond, resistance_growth, surface
from bms_daemon.model import FloatArray

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
        self._ocv = Curve.of(file)
        self._circuit, self._states = self._circuit_grid()
        self._one, self._many = lru_cache(maxsize=KEPT)(self._of_one), lru_cache(maxsize=KEPT)(self._of_many)

    def ocv_v(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Open-circuit voltage without hysteresis, V."""
        return self._ocv.voltage_v(soc, self._at(temp_degc))

    def ocv_v_per_k(self, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
        """Its slope by temperature, V/K."""
        return self._ocv.slope_v_per_k(soc, self._at(temp_degc))

    def circuit(self, soc: FloatArray, temp_degc: FloatArray) -> Circuit:
        """Resistances and hysteresis: nearest in state of charge, straight in temperature."""
        at_temperature = self._at(temp_degc)
        at = (soc - (SOC_LOW - 0.5 * CIRCUIT_STEP)) * (1.0 / CIRCUIT_STEP)
        nearest = np.fmin(np.fmax(at, 0.0), self._states - 1.0)  # a row of the table even where ``soc`` is NaN
        found = self._circuit.take((at_temperature.row + nearest).astype(np.intp), axis=1)
        half = found.shape[0] // 2
        here = found[:half] + found[half:] * at_temperature.share
        return Circuit(here[0], here[1:-3], here[-3], here[-2], here[-1])

    def strangeness(self, temp_degc: FloatArray) -> FloatArray:
        """How far a temperature is from those that were measured, as a distance in 1/K."""
        return np.zeros(temp_degc.shape) + self._at(temp_degc).strange

    def _at(self, temp_degc: FloatArray) -> AtTemperature:
        """For one number where all temperatures are the same, which is much faster, else for every one."""
        content = temp_degc.tobytes()
        if content == content[:8] * temp_degc.size:
            return self._one(temp_degc.item(0))
        return self._many(content, temp_degc.shape)

    def _of_one(self, degc: float) -> AtTemperature:
        away_k, *place = self._find(degc, min, max)
        return AtTemperature(away_k, *self._ocv.at(away_k), *place)

    def _of_many(self, content: bytes, shape: tuple[int, ...]) -> AtTemperature:
        away_k, *place = self._find(np.frombuffer(content).reshape(shape), np.minimum, np.maximum)
        return AtTemperature(away_k, self._ocv.common_slopes(away_k), None, *place)

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
        slow = self.tau_s.size - self.fast_pairs
        shares = [res.share] * (1 + self.fast_pairs) + [res.slow_share] * slow
        tables = [
            surface(soc, known, res.soc, res.temperature_degc, table) * beyond(degc, known, share, res.activation_k)
            for table, share in zip((res.series_ohm, *res.pair_ohm), shares, strict=True)
        ]
        voltage = (
            surface(soc, known, hyst.soc, res.temperature_degc, hyst.voltage_v) if hyst else np.zeros_like(tables[0])
        )
        parts = [*tables, voltage, np.broadcast_to(cold[:, None], voltage.shape), np.add.reduce(tables)]
        values = np.array(parts)
        steps = np.diff(values, axis=1, append=values[:, -1:])
        return np.concatenate([values, steps]).reshape(2 * len(parts), -1), soc.size
