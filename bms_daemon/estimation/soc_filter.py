"""Extended Kalman filter of one equivalent circuit a cell, for all cells at once.

Its state has seven rows: state of charge, offset of the current sensor, relative error of the capacity, logarithms of
two factors on the resistances (series with fast pairs; slow pairs), a voltage error that stays until charge has
passed (sensor, open-circuit curve), and one that fades with time (polarisation). The pairs' voltages and the
hysteresis follow the measured current alone: they forget their start by themselves, what is wrong with them is the
last two rows' business. Formulas: the textbook extended Kalman filter; slope of the open-circuit curve as a secant
over the present uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bms_daemon.estimation.cell import Cell, Circuit, saturated_a, within
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

SOC, BIAS, CAPACITY, FAST, SLOW, OFFSET, SAG = range(7)
ROWS = 7
HOUR_S = 3600.0
SOC_MIN, SOC_MAX = -0.02, 1.02
BIAS_MAX = 0.05  # of a capacity
CAPACITY_MAX = 0.3
SCALE_MAX = 1.5
ERROR_MAX_V = 1.0
REACH_MAX = 0.15  # the curve's slope is taken over at most this far to both sides, and between these two
SLOPE_FROM, SLOPE_TO = -0.03, 1.03
UNKNOWN_BRANCH = 0.7  # how wrong the hysteresis is at the start, where nobody knows from which side it came
DOUBT, DISBELIEF = 3.0, 8.0  # standard deviations from which a sample counts less, and not at all
NOISE_MAX = 100.0


@dataclass(frozen=True, slots=True)
class FilterState:
    """``mean`` (7, n), ``cov`` (7, 7, n); ``pair_v`` (pairs, n); ``branch`` -1 (discharge) to 1 (charge), (n,);
    ``noise`` (n,) factor on the assumed variance; ``current_a`` (n,) of the last sample; ``circuit``
    at it, and how ``strange`` (n,) its temperature is, 1/K away from what was measured."""

    mean: FloatArray
    cov: FloatArray
    pair_v: FloatArray
    branch: FloatArray
    noise: FloatArray
    current_a: FloatArray
    circuit: Circuit
    strange: FloatArray


def begin(
    cell: Cell, soc: FloatArray, soc_sigma: FloatArray, temp_degc: FloatArray, current_a: FloatArray, tuning: Tuning
) -> FilterState:
    """The state before the first sample. All arrays (n,)."""
    circuit = cell.circuit(soc, temp_degc)
    strange = cell.strangeness(temp_degc)
    scale = tuning.scale_sigma + tuning.scale_sigma_k * strange
    zero = np.zeros_like(soc)
    mean, cov = np.zeros((ROWS, soc.size)), np.zeros((ROWS, ROWS, soc.size))
    mean[SOC] = soc
    sigmas: tuple[FloatArray | float, ...] = (
        soc_sigma,
        tuning.bias_sigma * cell.capacity_ah,
        tuning.capacity_sigma,
        scale,
        scale,
        _offset_sigma(circuit, strange, UNKNOWN_BRANCH, tuning),
        tuning.sag_sigma_v,
    )
    for row, sigma in enumerate(sigmas):
        cov[row, row] = sigma
    cov *= cov
    return FilterState(mean, cov, np.zeros((cell.tau_s.size, soc.size)), zero, zero + 1.0, current_a, circuit, strange)


def predict(cell: Cell, state: FilterState, dt_s: float, current_a: FloatArray, tuning: Tuning) -> FilterState:
    """Let ``dt_s`` (s, above 0) pass with the current (n,) of the new sample at its end; counting is trapezoidal."""
    mean, cov = state.mean.copy(), state.cov.copy()
    mean_a = 0.5 * (state.current_a + current_a) - mean[BIAS]
    share = dt_s / HOUR_S / cell.capacity_ah
    moved = mean_a * share * (1.0 - mean[CAPACITY])
    mean[SOC] += moved
    to_soc = -share * cov[BIAS] - (mean_a * share) * cov[CAPACITY]
    cov[SOC] += to_soc
    cov[:, SOC] += to_soc
    cov[SOC, SOC] += -share * to_soc[BIAS] - mean_a * share * to_soc[CAPACITY]
    pair_v = _relax(cell, state, dt_s, state.current_a - mean[BIAS])
    branch = _turn(cell, state.branch, moved)
    offset_v = _offset_sigma(state.circuit, state.strange, tuning.branch_share, tuning)
    _forget(mean, cov, OFFSET, np.exp(-np.abs(moved) / tuning.offset_soc), offset_v)
    _forget(mean, cov, SAG, np.exp(-dt_s / tuning.sag_s), _sag_sigma(pair_v, state.strange, tuning))
    walk = tuning.scale_walk**2 * np.abs(moved)
    cov[SOC, SOC] += tuning.soc_walk**2 * dt_s
    cov[BIAS, BIAS] += (tuning.bias_walk * cell.capacity_ah) ** 2 * dt_s
    cov[FAST, FAST] += tuning.fast_share * walk
    cov[SLOW, SLOW] += walk
    return replace(state, mean=mean, cov=cov, pair_v=pair_v, branch=branch)


def pass_blind(cell: Cell, state: FilterState, dt_s: float, tuning: Tuning) -> FilterState:
    """Let time pass in which nobody saw the current: the mean stays, what is known of it becomes less."""
    cov, mean = state.cov.copy(), state.mean.copy()
    unseen = min(1.0, tuning.blind_c * dt_s / HOUR_S)
    cov[SOC, SOC] = np.minimum(cov[SOC, SOC] + unseen**2, 1.0)
    lost_v = np.abs(state.pair_v).sum(axis=0)
    pair_v = state.pair_v * np.exp(-dt_s / cell.tau_s)[:, None]
    _forget(mean, cov, SAG, np.exp(-dt_s / tuning.sag_s), tuning.sag_sigma_v + lost_v)
    offset_v = _offset_sigma(state.circuit, state.strange, tuning.branch_share, tuning)
    cov[OFFSET, OFFSET] = np.maximum(cov[OFFSET, OFFSET], offset_v**2)
    return replace(state, mean=mean, cov=cov, pair_v=pair_v)


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
    mean = state.mean
    circuit = cell.circuit(mean[SOC], temp_degc)
    state = replace(state, circuit=circuit, strange=cell.strangeness(temp_degc))
    expected_v, slopes = _observe(cell, state, current_a, temp_degc, tuning)
    gain = np.einsum("ijn,jn->in", state.cov, slopes)
    noise = _noise_variance(state, current_a, tuning)
    known = (slopes * gain).sum(axis=0)
    error_v = np.where(usable, cell_v - expected_v, 0.0)
    surprise = error_v**2 / (known + noise * state.noise)
    adapted = within(state.noise * np.exp(tuning.adapt * (np.minimum(surprise, 9.0) - 1.0)), 1.0, NOISE_MAX)
    factor = np.where(usable, adapted, state.noise)
    spread = known + noise * factor
    deviation = np.abs(error_v) / np.sqrt(spread)
    trust = np.where(deviation > DISBELIEF, 0.0, np.minimum(1.0, DOUBT / np.maximum(deviation, 1e-9)))
    gain_k = gain * np.where(usable & (trust > 0.0), 1.0 / spread, 0.0)
    mean = _bounded(cell, mean + gain_k * (trust * error_v))
    cov = state.cov - gain_k[:, None] * gain[None]
    return replace(state, mean=mean, cov=cov, noise=factor, current_a=current_a)


def model_v(cell: Cell, state: FilterState, current_a: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """The terminal voltage (n,) that the state expects at a current, V."""
    across_v = _polarisation(cell, state, current_a).sum(axis=0)
    found: FloatArray = cell.ocv_v(state.mean[SOC], temp_degc) + across_v + _errors(state)
    return found


def _observe(
    cell: Cell, state: FilterState, current_a: FloatArray, temp_degc: FloatArray, tuning: Tuning
) -> tuple[FloatArray, FloatArray]:
    """Expected voltage (n,) and its slopes by every row of the state (7, n)."""
    soc, circuit = state.mean[SOC], state.circuit
    reach = within(np.sqrt(state.cov[SOC, SOC]), tuning.slope_soc, REACH_MAX)
    high, low = np.minimum(soc + reach, SLOPE_TO), np.maximum(soc - reach, SLOPE_FROM)
    here_v, high_v, low_v = cell.ocv_v(np.array([soc, high, low]), temp_degc)
    slopes = np.ones_like(state.mean)
    slopes[SOC] = (high_v - low_v) / (high - low)
    slopes[BIAS] = -(circuit.series_ohm + circuit.pair_ohm.sum(axis=0))
    slopes[CAPACITY] = 0.0
    slopes[FAST : SLOW + 1] = _polarisation(cell, state, current_a)
    return here_v + slopes[FAST] + slopes[SLOW] + _errors(state), slopes


def _polarisation(cell: Cell, state: FilterState, current_a: FloatArray) -> FloatArray:
    """(2, n): across the series resistance with the fast pairs, and across the slow pairs, each with its factor."""
    fast = cell.fast_pairs
    series_v = state.circuit.series_ohm * (current_a - state.mean[BIAS])
    across_v = np.array([series_v + state.pair_v[:fast].sum(axis=0), state.pair_v[fast:].sum(axis=0)])
    found: FloatArray = np.exp(state.mean[FAST : SLOW + 1]) * across_v
    return found


def _errors(state: FilterState) -> FloatArray:
    found: FloatArray = state.mean[OFFSET] + state.mean[SAG] + state.circuit.hysteresis_v * state.branch
    return found


def _relax(cell: Cell, state: FilterState, dt_s: float, current_a: FloatArray) -> FloatArray:
    """The pairs' voltages after ``dt_s`` of a constant current."""
    keep = np.exp(-dt_s / cell.tau_s)[:, None]
    pair_a = saturated_a(current_a, cell.knee_a / state.circuit.cold)
    relaxed: FloatArray = keep * state.pair_v + (1.0 - keep) * (state.circuit.pair_ohm * pair_a)
    return relaxed


def _turn(cell: Cell, branch: FloatArray, moved: FloatArray) -> FloatArray:
    """Hysteresis follows the charge that passes."""
    if cell.hysteresis_rate == 0.0:
        return branch
    keep = np.exp(-cell.hysteresis_rate * np.abs(moved))
    turned: FloatArray = keep * branch + (1.0 - keep) * np.sign(moved)
    return turned


def _forget(mean: FloatArray, cov: FloatArray, row: int, keep: FloatArray, sigma: FloatArray) -> None:
    """A first-order Gauss-Markov process: ``keep`` of it stays, ``sigma`` is where its spread goes."""
    mean[row] *= keep
    cov[row] *= keep
    cov[:, row] *= keep
    cov[row, row] += (1.0 - keep**2) * sigma**2


def _offset_sigma(circuit: Circuit, strange: FloatArray, branch_share: float, tuning: Tuning) -> FloatArray:
    curve_v = tuning.offset_sigma_v + tuning.offset_sigma_k * strange
    found: FloatArray = np.hypot(curve_v, branch_share * circuit.hysteresis_v)
    return found


def _sag_sigma(pair_v: FloatArray, strange: FloatArray, tuning: Tuning) -> FloatArray:
    share = tuning.sag_share + tuning.sag_share_k * strange
    found: FloatArray = tuning.sag_sigma_v + share * np.abs(pair_v).sum(axis=0)
    return found


def _noise_variance(state: FilterState, current_a: FloatArray, tuning: Tuning) -> FloatArray:
    series = state.circuit.series_ohm
    step_v = tuning.skew_share * series * (current_a - state.current_a)
    found: FloatArray = tuning.noise_v**2 + (tuning.noise_share * series * current_a) ** 2 + step_v**2
    return found


def _bounded(cell: Cell, mean: FloatArray) -> FloatArray:
    bias_max = BIAS_MAX * cell.capacity_ah
    low = np.array([SOC_MIN, -bias_max, -CAPACITY_MAX, -SCALE_MAX, -SCALE_MAX, -ERROR_MAX_V, -ERROR_MAX_V])
    high = np.array([SOC_MAX, bias_max, CAPACITY_MAX, SCALE_MAX, SCALE_MAX, ERROR_MAX_V, ERROR_MAX_V])
    return within(mean, low[:, None], high[:, None])
