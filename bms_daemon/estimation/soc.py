"""State of charge of every cell from what was measured: judges each sample, then lets the filter use what is usable.

Missing or impossible values widen the uncertainty; they never move the state.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite

import numpy as np

from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.soc_filter import (
    HOUR_S,
    SOC,
    FilterState,
    are_numbers,
    begin,
    pass_blind,
    predict,
    recapacitate,
    size,
)
from bms_daemon.estimation.soc_voltage import correct
from bms_daemon.estimation.tables import chosen, within
from bms_daemon.estimation.tuning import USUAL, Tuning
from bms_daemon.model import FloatArray

LEAST_SIGMA = 0.0035  # the definition of full, the curve's own error: what no filter can know
UNKNOWN_SIGMA = 1.0  # of a start that nobody gave, around one half: any
WRONG_GUESS = 0.01  # belief in any other state than the given one, beside that in the given one
LOAD_DOUBT = 0.5  # how wrong the voltage under the first load may be, of that across the series resistance
UNKNOWN_DEGC = 25.0  # until a temperature has been seen
DEGC_MIN, DEGC_MAX = -60.0, 150.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of n cells: s since the one before, A (charging positive), V, degC; NaN where not known.

    Its arrays may be kept: nobody writes to them any more.
    ``mean_a``: the current's mean since the sample before, A, where somebody counted in between.
    """

    dt_s: float
    current_a: FloatArray
    cell_v: FloatArray
    temp_degc: FloatArray
    mean_a: FloatArray | None = None


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


def start(
    cell: Cell,
    reading: Reading,
    soc: FloatArray | None = None,
    soc_sigma: FloatArray | None = None,
    *,
    capacity_ah: FloatArray | None = None,
    growth: FloatArray | None = None,
    tuning: Tuning = USUAL,
) -> SocState:
    """Begin with a state of charge (n,) that somebody knows, or else (None, NaN) with what the voltages alone say.

    ``capacity_ah`` and ``growth`` of the resistances (n,) are those of each cell by now; without them, the cell file's.
    """
    temp_degc = _temperature(reading.temp_degc, np.full_like(reading.cell_v, UNKNOWN_DEGC))
    sampled = _sane(cell, reading.current_a, tuning)
    current_a = np.where(sampled, reading.current_a, 0.0)
    usable = sampled & _is_voltage(cell, reading.cell_v)
    guess, sigma = _guess(reading.cell_v.size, soc, soc_sigma, tuning)
    cell_v = np.where(usable, reading.cell_v, 0.0)
    seen, seen_sigma = _first_look(cell, (guess, sigma), cell_v, current_a, temp_degc, tuning)
    first = np.where(usable, seen, guess), np.where(usable, seen_sigma, sigma)
    state = begin(cell, *first, temp_degc, current_a, tuning, capacity_ah, growth)
    return SocState(state, first[0] if soc is None else guess, temp_degc, ~usable)


def with_capacity(state: SocState, capacity_ah: FloatArray) -> SocState:
    """Give every cell another capacity of its own (n,), Ah. No state of charge moves, what was learned stays."""
    now_ah = state.filter.capacity_ah
    if capacity_ah is now_ah or np.array_equal(capacity_ah, now_ah):
        return state
    return replace(state, filter=recapacitate(state.filter, capacity_ah))


def finite(state: SocState) -> bool:
    """Whether every number of the filter is one; if not, only a new start helps."""
    return isfinite(size(state.filter))


def restarted(
    cell: Cell, lost: SocState, last: SocState, reading: Reading, capacity_ah: FloatArray, growth: FloatArray
) -> SocState:
    """``lost``, with a new start for every cell whose numbers are none: from what ``last`` published, counted on."""
    mean_a = reading.current_a if reading.mean_a is None else reading.mean_a
    passed = chosen(_sane(cell, mean_a, USUAL), mean_a, 0.0) * (min(reading.dt_s, HOUR_S) / HOUR_S) / capacity_ah
    begun = start(cell, reading, last.published + passed, capacity_ah=capacity_ah, growth=growth)
    sound = are_numbers(lost.filter)
    published = np.where(sound, lost.published, begun.published)
    return SocState(_where(sound, lost.filter, begun.filter), published, begun.temp_degc, begun.unusable)


def _guess(
    cells: int, soc: FloatArray | None, soc_sigma: FloatArray | None, tuning: Tuning
) -> tuple[FloatArray, FloatArray]:
    """What was known before the first voltage (n,), with its sigma."""
    unknown = np.full(cells, 0.5), np.full(cells, UNKNOWN_SIGMA)
    if soc is None:
        return unknown
    sigma = tuning.soc_sigma if soc_sigma is None else np.maximum(soc_sigma, LEAST_SIGMA)
    known = (soc == soc) & (sigma == sigma)
    return np.where(known, within(soc, 0.0, 1.0), unknown[0]), np.where(known, sigma, unknown[1])


def _first_look(
    cell: Cell,
    guess: tuple[FloatArray, FloatArray],
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
    sampled = _sane(cell, reading.current_a, tuning)
    current_a = chosen(sampled, reading.current_a, state.filter.current_a)
    known, mean_a = (sampled, None) if reading.mean_a is None else _counted(cell, reading.mean_a, tuning)
    filtered = _pass_time(cell, state.filter, reading.dt_s, current_a, mean_a, known, tuning)
    usable = sampled & _is_voltage(cell, reading.cell_v)
    filtered = correct(cell, filtered, reading.cell_v, current_a, temp_degc, usable, tuning)
    moved_a = current_a if mean_a is None else mean_a
    published = _publish(state, filtered, moved_a, min(reading.dt_s, HOUR_S), tuning)
    return SocState(filtered, published, temp_degc, ~usable)


def _counted(cell: Cell, mean_a: FloatArray, tuning: Tuning) -> tuple[np.ndarray, FloatArray]:
    """Where the mean current can be believed, and it."""
    known = _sane(cell, mean_a, tuning)
    return known, chosen(known, mean_a, 0.0)


def _pass_time(
    cell: Cell,
    state: FilterState,
    dt_s: float,
    current_a: FloatArray,
    mean_a: FloatArray | None,
    known: np.ndarray,
    tuning: Tuning,
) -> FilterState:
    """Count where the current is ``known`` (n,); elsewhere, and after a long silence, nobody saw what flowed."""
    dt_s = min(dt_s, 1000.0 * HOUR_S)
    cells = np.count_nonzero(known)
    if dt_s > tuning.gap_s or not cells:
        return pass_blind(cell, state, dt_s, tuning)
    counted = predict(cell, state, dt_s, current_a, tuning, mean_a)
    return counted if cells == known.size else _where(known, counted, pass_blind(cell, state, dt_s, tuning))


def _where(choose: np.ndarray, yes: FilterState, no: FilterState) -> FilterState:
    """Every cell's own from one of the two."""

    def of_both(name: str, yes: object, no: object) -> FloatArray:
        picked: FloatArray = np.where(choose, getattr(yes, name), getattr(no, name))
        return picked

    circuit = Circuit(*(of_both(each.name, yes.circuit, no.circuit) for each in fields(Circuit)))
    arrays = {each.name: of_both(each.name, yes, no) for each in fields(FilterState) if each.name != "circuit"}
    return FilterState(circuit=circuit, **arrays)


def _sane(cell: Cell, current_a: FloatArray, tuning: Tuning) -> np.ndarray:
    return np.abs(current_a) <= tuning.insane_c * cell.capacity_ah


def _is_voltage(cell: Cell, cell_v: FloatArray) -> np.ndarray:
    """Whether it is one that a cell of this kind can have."""
    low_v, high_v = cell.possible_v
    found: np.ndarray = (cell_v >= low_v) & (cell_v <= high_v)
    return found


def _temperature(measured_degc: FloatArray, last_degc: FloatArray) -> FloatArray:
    return chosen((measured_degc >= DEGC_MIN) & (measured_degc <= DEGC_MAX), measured_degc, last_degc)


def _publish(state: SocState, filtered: FilterState, moved_a: FloatArray, dt_s: float, tuning: Tuning) -> FloatArray:
    """Towards the filter's value: as fast as charge is counted, and a bounded rate more."""
    reach = np.abs(moved_a) * (dt_s / HOUR_S) / filtered.capacity_ah + tuning.publish_per_s * dt_s
    wanted = within(filtered.mean[SOC], 0.0, 1.0)
    return within(wanted, state.published - reach, state.published + reach)
