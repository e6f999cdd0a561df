"""State of charge of every cell from what was measured: judges each sample, then lets the filter use what is usable.

Missing or impossible values widen the uncertainty; they never move the state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bms_daemon.estimation.cell import Cell, within
from bms_daemon.estimation.soc_filter import (
    CAPACITY,
    HOUR_S,
    SOC,
    FilterState,
    begin,
    correct,
    pass_blind,
    predict,
)
from bms_daemon.estimation.tuning import USUAL, Tuning
from bms_daemon.model import FloatArray

LEAST_SIGMA = 0.0035  # the definition of full, the curve's own error: what no filter can know
UNKNOWN_SIGMA = 1.0  # of a start that nobody gave, around one half: any
WRONG_GUESS = 0.01  # belief in any other state than the given one, beside that in the given one
LOAD_DOUBT = 0.5  # how wrong the voltage under the first load may be, of that across the series resistance
VOLTS_LOW, VOLTS_HIGH = 0.5, 1.25  # of the cell's own limits: what is beyond is no cell's voltage
UNKNOWN_DEGC = 25.0  # until a temperature has been seen
DEGC_MIN, DEGC_MAX = -60.0, 150.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of n cells: s since the one before, A (charging positive), V, degC; NaN where not known."""

    dt_s: float
    current_a: FloatArray
    cell_v: FloatArray
    temp_degc: FloatArray


@dataclass(frozen=True, slots=True)
class SocState:
    """``published`` (n,) follows the filter's value at a bounded rate; ``unusable`` (n,) was the last sample."""

    filter: FilterState
    published: FloatArray
    temp_degc: FloatArray
    unusable: np.ndarray

    @property
    def soc(self) -> FloatArray:
        """The estimator's own, 0..1, (n,)."""
        return within(self.filter.mean[SOC], 0.0, 1.0)

    @property
    def soc_sigma(self) -> FloatArray:
        """Its standard uncertainty, (n,)."""
        found: FloatArray = np.minimum(np.sqrt(self.filter.cov[SOC, SOC] + LEAST_SIGMA**2), 1.0)
        return found

    def capacity_ah(self, cell: Cell) -> FloatArray:
        """What the filter makes of the capacity while it follows the voltage, Ah, (n,)."""
        found: FloatArray = cell.capacity_ah * (1.0 + self.filter.mean[CAPACITY])
        return found


def start(cell: Cell, reading: Reading, soc: FloatArray | None = None, tuning: Tuning = USUAL) -> SocState:
    """Begin with a state of charge (n,) that somebody knows, or else with what the voltages alone say."""
    temp_degc = _temperature(reading.temp_degc, np.full_like(reading.cell_v, UNKNOWN_DEGC))
    current_a = np.where(_sane_current(cell, reading, tuning), reading.current_a, 0.0)
    usable = _usable(cell, reading, tuning)
    guess = np.full_like(reading.cell_v, 0.5) if soc is None else within(soc, 0.0, 1.0)
    sigma = UNKNOWN_SIGMA if soc is None else tuning.soc_sigma
    cell_v = np.where(usable, reading.cell_v, 0.0)
    seen, seen_sigma = _first_look(cell, (guess, sigma), cell_v, current_a, temp_degc, tuning)
    first = np.where(usable, seen, guess), np.where(usable, seen_sigma, sigma)
    state = begin(cell, *first, temp_degc, current_a, tuning)
    return SocState(state, first[0] if soc is None else guess, temp_degc, ~usable)


def _first_look(
    cell: Cell,
    guess: tuple[FloatArray, float],
    cell_v: FloatArray,
    current_a: FloatArray,
    temp_degc: FloatArray,
    tuning: Tuning,
) -> tuple[FloatArray, FloatArray]:
    """A guess (n,) with its sigma, and one voltage, by Bayes' rule on a grid: a start may be wrong by anything.

    Part of the belief lies flat over all states, so that a voltage that contradicts the guess wins.
    """
    circuit = cell.circuit(guess[0], temp_degc)
    grid = np.linspace(0.0, 1.0, 401)[:, None]
    believed = WRONG_GUESS + (1.0 - WRONG_GUESS) * np.exp(-0.5 * ((grid - guess[0]) / guess[1]) ** 2)
    load_v = circuit.series_ohm * current_a
    curve_v = tuning.offset_sigma_v + tuning.offset_sigma_k * cell.strangeness(temp_degc) + circuit.hysteresis_v
    spread_v = np.hypot(np.hypot(curve_v, tuning.noise_v), LOAD_DOUBT * load_v)
    off = (cell_v - load_v - cell.ocv_v(grid, temp_degc)) / spread_v
    weight = believed * np.exp(-0.5 * (off**2 - (off**2).min(axis=0)))
    weight /= weight.sum(axis=0)
    mean = (weight * grid).sum(axis=0)
    return mean, np.sqrt((weight * (grid - mean) ** 2).sum(axis=0))


def step(cell: Cell, state: SocState, reading: Reading, tuning: Tuning = USUAL) -> SocState:
    """Take one more sample. Time that does not pass, or goes back, changes nothing."""
    if not reading.dt_s > 0.0:
        return state
    temp_degc = _temperature(reading.temp_degc, state.temp_degc)
    seen = _sane_current(cell, reading, tuning)
    usable = _usable(cell, reading, tuning)
    current_a = np.where(seen, reading.current_a, state.filter.current_a)
    filtered = _pass_time(cell, state.filter, reading.dt_s, current_a, seen, tuning)
    filtered = correct(cell, filtered, np.where(usable, reading.cell_v, 0.0), current_a, temp_degc, usable, tuning)
    published = _publish(cell, state, filtered, min(reading.dt_s, HOUR_S), tuning)
    return SocState(filtered, published, temp_degc, ~usable)


def _pass_time(
    cell: Cell, state: FilterState, dt_s: float, current_a: FloatArray, seen: np.ndarray, tuning: Tuning
) -> FilterState:
    dt_s = min(dt_s, 1000.0 * HOUR_S)
    if dt_s > tuning.gap_s or not seen.any():
        return pass_blind(cell, state, dt_s, tuning)
    counted = predict(cell, state, dt_s, current_a, tuning)
    return counted if seen.all() else _where(seen, counted, pass_blind(cell, state, dt_s, tuning))


def _where(choose: np.ndarray, yes: FilterState, no: FilterState) -> FilterState:
    names = ("mean", "cov", "pair_v", "branch", "noise", "current_a")
    return replace(yes, **{name: np.where(choose, getattr(yes, name), getattr(no, name)) for name in names})


def _sane_current(cell: Cell, reading: Reading, tuning: Tuning) -> np.ndarray:
    return np.abs(reading.current_a) <= tuning.insane_c * cell.capacity_ah


def _usable(cell: Cell, reading: Reading, tuning: Tuning) -> np.ndarray:
    """Cells whose voltage can be compared: it is one, and the current that belongs to it is known."""
    low_v, high_v = VOLTS_LOW * cell.file.cell.min_v, VOLTS_HIGH * cell.file.cell.max_v
    found: np.ndarray = (reading.cell_v >= low_v) & (reading.cell_v <= high_v) & _sane_current(cell, reading, tuning)
    return found


def _temperature(measured_degc: FloatArray, last_degc: FloatArray) -> FloatArray:
    return np.where((measured_degc >= DEGC_MIN) & (measured_degc <= DEGC_MAX), measured_degc, last_degc)


def _publish(cell: Cell, state: SocState, filtered: FilterState, dt_s: float, tuning: Tuning) -> FloatArray:
    """Towards the filter's value: as fast as charge is counted, and a bounded rate more."""
    counted = np.abs(filtered.current_a) * dt_s / HOUR_S / cell.capacity_ah
    reach = counted + tuning.publish_per_s * dt_s
    wanted = within(filtered.mean[SOC], 0.0, 1.0)
    return within(wanted, state.published - reach, state.published + reach)
