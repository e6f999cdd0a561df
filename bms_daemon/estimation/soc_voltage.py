"""What a measured voltage tells the filter: the textbook extended Kalman filter's correction, for all cells at once.

The slope of the open-circuit curve is a secant over the present uncertainty. A voltage that is far from the expected
one counts less, and one that no error explains not at all.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.soc_filter import (
    BIAS,
    CAPACITY,
    FAST,
    OFFSET,
    SAG,
    SCALE_MAX,
    SLOW,
    SOC,
    FilterState,
)
from bms_daemon.estimation.tables import chosen, within
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

SOC_MIN, SOC_MAX = -0.02, 1.02
BIAS_MAX = 0.05  # of a capacity
CAPACITY_MAX = 0.3
ERROR_MAX_V = 1.0
REACH_MAX = 0.15  # the curve's slope is taken over at most this far to both sides, and between these two
SLOPE_FROM, SLOPE_TO = -0.03, 1.03
DOUBT, DISBELIEF = 3.0, 8.0  # standard deviations from which a sample counts less, and not at all
SURPRISE_MAX = 9.0
NOISE_MAX = 100.0


def correct(
    cell: Cell,
    state: FilterState,
    cell_v: FloatArray,
    current_a: FloatArray,
    temp_degc: FloatArray,
    usable: np.ndarray,
    tuning: Tuning,
) -> FilterState:
    """Compare the model with measured voltages (n,) and move towards them where ``usable`` (n,) says so."""
    mean, cov = state.mean, state.cov
    circuit = cell.circuit(mean[SOC], temp_degc)
    expected_v, slopes, knee_v = _observe(cell, state, circuit, current_a, temp_degc, tuning)
    error_v = chosen(usable, cell_v - expected_v, 0.0)
    gain = np.add.reduce(cov * slopes[:, None])
    known = np.add.reduce(slopes * gain)
    variance = _noise_variance(state.current_a, circuit, current_a, knee_v, tuning)
    surprise = np.minimum(error_v * error_v / (known + variance * state.noise), SURPRISE_MAX)
    noise = within(state.noise * np.exp((surprise - 1.0) * (tuning.adapt * usable)), 1.0, NOISE_MAX)
    spread = known + variance * noise
    sigma_v = np.sqrt(spread)
    doubt_v = DOUBT * sigma_v
    gain_k = gain * ((usable & (np.abs(error_v) <= DISBELIEF * sigma_v)) / spread)
    mean = _bounded(cell, mean + gain_k * within(error_v, -doubt_v, doubt_v))
    cov = cov - gain_k[:, None] * gain
    strange = cell.strangeness(temp_degc)
    return FilterState(
        mean, cov, state.pair_v, state.branch, noise, current_a, circuit, strange, state.capacity_ah, state.usual
    )


def model_v(cell: Cell, state: FilterState, current_a: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """The terminal voltage (n,) that the state expects at a current, V."""
    across_v = np.add.reduce(_polarisation(cell, state, state.circuit, current_a))
    found: FloatArray = cell.ocv_v(state.mean[SOC], temp_degc) + across_v + _errors(state, state.circuit)
    return found


def _observe(
    cell: Cell, state: FilterState, circuit: Circuit, current_a: FloatArray, temp_degc: FloatArray, tuning: Tuning
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expected voltage (n,), its slopes by every row (7, n), and how far a knee is above its chord, V (n,)."""
    soc = within(state.mean[SOC], SOC_MIN, SOC_MAX)
    reach = within(np.sqrt(state.cov[SOC, SOC]), tuning.slope_soc, REACH_MAX)
    high, low = np.minimum(soc + reach, SLOPE_TO), np.maximum(soc - reach, SLOPE_FROM)
    here_v, high_v, low_v = cell.ocv_v(np.array([soc, high, low]), temp_degc)
    across_v = _polarisation(cell, state, circuit, current_a)
    slopes = np.empty_like(state.mean)
    slopes[SOC] = slope = (high_v - low_v) / (high - low)
    slopes[BIAS] = -circuit.whole_ohm
    slopes[CAPACITY] = 0.0
    slopes[FAST : SLOW + 1] = across_v
    slopes[OFFSET:] = 1.0
    knee_v = np.maximum(here_v - low_v - slope * (soc - low), 0.0)
    return here_v + across_v[0] + across_v[1] + _errors(state, circuit), slopes, knee_v


def _polarisation(cell: Cell, state: FilterState, circuit: Circuit, current_a: FloatArray) -> FloatArray:
    """(2, n): across the series resistance with the fast pairs, and across the slow pairs, each with its factor."""
    fast = cell.fast_pairs
    across_v = np.exp(state.mean[FAST : SLOW + 1])
    across_v[0] *= circuit.series_ohm * (current_a - state.mean[BIAS]) + np.add.reduce(state.pair_v[:fast])
    across_v[1] *= np.add.reduce(state.pair_v[fast:])
    return across_v


def _errors(state: FilterState, circuit: Circuit) -> FloatArray:
    found: FloatArray = state.mean[OFFSET] + state.mean[SAG] + circuit.hysteresis_v * state.branch
    return found


def _noise_variance(
    last_a: FloatArray, circuit: Circuit, current_a: FloatArray, knee_v: FloatArray, tuning: Tuning
) -> FloatArray:
    """Of one voltage, V^2 (n,): the sensor's, and more under load, where it has just changed, and on a knee."""
    load_v = tuning.noise_share * circuit.series_ohm * current_a
    step_v = tuning.skew_share * circuit.series_ohm * (current_a - last_a)
    bend_v = tuning.knee_share * knee_v
    found: FloatArray = tuning.noise_v**2 + load_v * load_v + step_v * step_v + bend_v * bend_v
    return found


def _bounded(cell: Cell, mean: FloatArray) -> FloatArray:
    return within(mean, *_bounds(cell.capacity_ah))


@lru_cache(maxsize=16)
def _bounds(capacity_ah: float) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest value of every row, each (7, 1)."""
    bias_max = BIAS_MAX * capacity_ah
    high = np.array([SOC_MAX, bias_max, CAPACITY_MAX, SCALE_MAX, SCALE_MAX, ERROR_MAX_V, ERROR_MAX_V])
    low = -high
    low[SOC] = SOC_MIN
    return low[:, None], high[:, None]
