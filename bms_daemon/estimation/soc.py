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
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

REST_C = 0.02  # current below which a voltage counts as one at rest, of a capacity
LEAST_SIGMA = 0.0035  # the definition of full, the curve's own error: what no filter can know
UNKNOWN_SIGMA = 0.3  # of a start that only a voltage under load speaks for
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


def start(cell: Cell, reading: Reading, soc: FloatArray | None = None, tuning: Tuning | None = None) -> SocState:
    """Begin with a state of charge (n,) that somebody knows, or else with what the voltages say."""
    tuning = tuning or Tuning()
    temp_degc = _temperature(reading.temp_degc, np.full_like(reading.cell_v, UNKNOWN_DEGC))
    current_a = np.where(_sane_current(cell, reading, tuning), reading.current_a, 0.0)
    usable = _usable(cell, reading, tuning)
    if soc is None:
        resting = usable & (np.abs(current_a) <= REST_C * cell.capacity_ah)
        soc = np.where(usable, soc_at(cell, np.where(usable, reading.cell_v, cell.file.cell.min_v), temp_degc), 0.5)
        sigma = np.where(resting, tuning.soc_sigma, UNKNOWN_SIGMA)
    else:
        soc, sigma = np.clip(soc, 0.0, 1.0), np.full_like(reading.cell_v, tuning.soc_sigma)
    state = begin(cell, soc, sigma, temp_degc, current_a, tuning)
    state = correct(cell, state, np.where(usable, reading.cell_v, 0.0), current_a, temp_degc, usable, tuning)
    return SocState(state, np.clip(soc, 0.0, 1.0), temp_degc, ~usable)


def step(cell: Cell, state: SocState, reading: Reading, tuning: Tuning | None = None) -> SocState:
    """Take one more sample. Time that does not pass, or goes back, changes nothing."""
    tuning = tuning or Tuning()
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


def soc_at(cell: Cell, rest_v: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """The state of charge (n,) whose open-circuit voltage is ``rest_v`` (n,)."""
    grid = np.linspace(0.0, 1.0, 501)
    curves_v = cell.ocv_v(grid[:, None], temp_degc[None])
    return np.array([np.interp(v, np.maximum.accumulate(c), grid) for v, c in zip(rest_v, curves_v.T, strict=True)])


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
