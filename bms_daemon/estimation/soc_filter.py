"""Extended Kalman filter of one equivalent circuit a cell, for all cells at once: its state, and time that passes.

Its state has seven rows: state of charge, offset of the current sensor, relative error of the capacity, logarithms of
two factors on the resistances (series with fast pairs; slow pairs), a voltage error that stays until charge has
passed (sensor, open-circuit curve), and one that fades with time (polarisation). The pairs' voltages and the
hysteresis follow the measured current alone: they forget their start by themselves, what is wrong with them is the
last two rows' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, sqrt

import numpy as np

from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.tables import saturated_a, within
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

SOC, BIAS, CAPACITY, FAST, SLOW, OFFSET, SAG = range(7)
ROWS = 7
HOUR_S = 3600.0
CAPACITY_KEPT = 0.02  # how far the filter's belief may stay from the capacity that it is given, relative
SCALE_MAX = 1.5
HABIT_SOC = 1.0  # by how much charge the usual factors of the resistances follow the present ones, of a capacity
UNKNOWN_BRANCH = 0.7  # how wrong the hysteresis is at the start, where nobody knows from which side it came


@dataclass(frozen=True, slots=True)
class FilterState:
    """``mean`` (7, n), ``cov`` (7, 7, n); ``pair_v`` (pairs, n); ``branch`` -1 (discharge) to 1 (charge), (n,);
    ``noise`` (n,) factor on the assumed variance; ``current_a`` (n,) of the last sample; ``circuit``
    at it, and how ``strange`` (n,) its temperature is, 1/K away from what was measured; ``capacity_ah`` (n,) is each
    cell's own, around which row CAPACITY is the relative error; ``usual`` (2, n) is what rows FAST and SLOW return to.
    """

    mean: FloatArray
    cov: FloatArray
    pair_v: FloatArray
    branch: FloatArray
    noise: FloatArray
    current_a: FloatArray
    circuit: Circuit
    strange: FloatArray
    capacity_ah: FloatArray
    usual: FloatArray


def begin(
    cell: Cell,
    soc: FloatArray,
    soc_sigma: FloatArray,
    temp_degc: FloatArray,
    current_a: FloatArray,
    tuning: Tuning,
    capacity_ah: FloatArray | None = None,
    growth: FloatArray | None = None,
) -> FilterState:
    """The state before the first sample. All arrays (n,); without ``capacity_ah`` and ``growth`` a cell is new."""
    circuit = cell.circuit(soc, temp_degc)
    strange = cell.strangeness(temp_degc)
    scale = tuning.scale_sigma + tuning.scale_sigma_k * strange
    zero = np.zeros_like(soc)
    mean, cov = np.zeros((ROWS, soc.size)), np.zeros((ROWS, ROWS, soc.size))
    mean[SOC] = soc
    if growth is not None:
        mean[FAST] = mean[SLOW] = within(np.log(growth), -SCALE_MAX, SCALE_MAX)
    variances: tuple[FloatArray | float, ...] = (
        soc_sigma**2,
        (tuning.bias_sigma * cell.capacity_ah) ** 2,
        tuning.capacity_sigma**2,
        scale**2,
        scale**2,
        _offset_variance(circuit, strange, UNKNOWN_BRANCH, tuning),
        tuning.sag_sigma_v**2,
    )
    for row, variance in enumerate(variances):
        cov[row, row] = variance
    pair_v = np.zeros((cell.tau_s.size, soc.size))
    own_ah = zero + cell.capacity_ah if capacity_ah is None else capacity_ah
    usual = mean[FAST : SLOW + 1].copy()
    return FilterState(mean, cov, pair_v, zero, zero + 1.0, current_a, circuit, strange, own_ah, usual)


def predict(
    cell: Cell,
    state: FilterState,
    dt_s: float,
    current_a: FloatArray,
    tuning: Tuning,
    mean_a: FloatArray | None = None,
) -> FilterState:
    """Let ``dt_s`` (s, above 0) pass, at whose end the current is ``current_a`` (n,).

    ``mean_a`` (n,) is its mean over that time, where somebody counted; otherwise counting is trapezoidal, and the pairs
    follow the sample before.
    """
    mean = state.mean.copy()
    held_a = state.current_a if mean_a is None else mean_a
    passed_a = 0.5 * (held_a + current_a) if mean_a is None else mean_a
    share = (-dt_s / HOUR_S) / state.capacity_ah
    passed = (mean[BIAS] - passed_a) * share
    moved = passed * (1.0 - mean[CAPACITY])
    mean[SOC] += moved
    travelled = np.abs(moved)
    pair_v = _relax(cell, state, dt_s, held_a - mean[BIAS])
    kept = _kept(dt_s, travelled, tuning)
    usual = _return(mean, state.usual, kept, tuning)
    cov = state.cov * kept[:, None]
    cov *= kept
    _carry(cov, share, -passed)
    kept = kept[FAST:]
    variances(cov)[FAST:] += (1.0 - kept * kept) * _spreads(state, pair_v, tuning)
    cov[SOC, SOC] += tuning.soc_walk**2 * dt_s
    cov[BIAS, BIAS] += (tuning.bias_walk * cell.capacity_ah) ** 2 * dt_s
    branch = _turn(cell, state.branch, moved, travelled)
    noise, circuit, strange = state.noise, state.circuit, state.strange
    return FilterState(mean, cov, pair_v, branch, noise, state.current_a, circuit, strange, state.capacity_ah, usual)


def pass_blind(cell: Cell, state: FilterState, dt_s: float, tuning: Tuning) -> FilterState:
    """Let time pass in which nobody saw the current: the mean stays, what is known of it becomes less.

    What flows unseen lasts: its doubts add up, however short the steps.
    """
    cov, mean = state.cov.copy(), state.mean.copy()
    unseen, known = tuning.blind_c * dt_s / HOUR_S, cov[SOC, SOC].copy()
    cov[SOC, SOC] = np.maximum(known, np.minimum((np.sqrt(known) + unseen) ** 2, 1.0))
    pair_v = state.pair_v * np.exp(-dt_s / cell.tau_s)[:, None]
    keep = exp(-dt_s / tuning.sag_s)
    mean[SAG] *= keep
    cov[SAG] *= keep
    cov[:, SAG] *= keep
    cov[SAG, SAG] += (1.0 - keep**2) * (tuning.sag_sigma_v + np.add.reduce(np.abs(state.pair_v))) ** 2
    offset_v2 = _offset_variance(state.circuit, state.strange, tuning.branch_share, tuning)
    cov[OFFSET, OFFSET] = np.maximum(cov[OFFSET, OFFSET], offset_v2)
    return replace(state, mean=mean, cov=cov, pair_v=pair_v)


def recapacitate(state: FilterState, capacity_ah: FloatArray) -> FilterState:
    """Another own capacity (n,), Ah, for every cell.

    What the filter believes of the capacity stays as far as CAPACITY_KEPT allows: who measured the new one saw the same
    cells, and must not be heard twice. A belief that is further away is taken along.
    """
    change = state.capacity_ah / capacity_ah
    mean, cov = state.mean.copy(), state.cov.copy()
    kept = np.maximum(np.abs(mean[CAPACITY]), CAPACITY_KEPT)
    mean[CAPACITY] = within((1.0 + mean[CAPACITY]) * change - 1.0, -kept, kept)
    cov[CAPACITY] *= change
    cov[:, CAPACITY] *= change
    return replace(state, mean=mean, cov=cov, capacity_ah=capacity_ah)


def _carry(cov: FloatArray, by_bias: FloatArray, by_capacity: FloatArray) -> None:
    """The state of charge takes up so much of two rows' errors: as a row, then as a column."""
    cov[SOC] += by_bias * cov[BIAS] + by_capacity * cov[CAPACITY]
    cov[SOC, SOC] += by_bias * cov[SOC, BIAS] + by_capacity * cov[SOC, CAPACITY]
    cov[BIAS:, SOC] = cov[SOC, BIAS:]


def _relax(cell: Cell, state: FilterState, dt_s: float, current_a: FloatArray) -> FloatArray:
    """The pairs' voltages after ``dt_s`` of a constant current."""
    end_v = state.circuit.pair_ohm * saturated_a(current_a, cell.knee_a / state.circuit.cold)
    relaxed: FloatArray = end_v + np.exp(-dt_s / cell.tau_s)[:, None] * (state.pair_v - end_v)
    return relaxed


def _turn(cell: Cell, branch: FloatArray, moved: FloatArray, travelled: FloatArray) -> FloatArray:
    """Hysteresis follows the charge that passes."""
    if cell.hysteresis_rate == 0.0:
        return branch
    towards = np.sign(moved)
    turned: FloatArray = towards + np.exp(-cell.hysteresis_rate * travelled) * (branch - towards)
    return turned


def _kept(dt_s: float, travelled: FloatArray, tuning: Tuning) -> FloatArray:
    """(7, n): how much of every row is left after a time and a charge."""
    kept = np.ones((ROWS, travelled.size))
    kept[FAST : OFFSET + 1] = np.exp(travelled * _memories(tuning))
    kept[SAG] = exp(-dt_s / tuning.sag_s)
    return kept


@lru_cache(maxsize=4)
def _memories(tuning: Tuning) -> FloatArray:
    """Of rows FAST, SLOW and OFFSET, (3, 1): -1 over the charge by which they are forgotten, of a capacity."""
    return np.array([[-1.0 / tuning.scale_soc], [-1.0 / tuning.scale_soc], [-1.0 / tuning.offset_soc]])


def _spreads(state: FilterState, pair_v: FloatArray, tuning: Tuning) -> FloatArray:
    """(4, n): where the variances of rows FAST to SAG go when nobody looks."""
    spreads = np.empty((4, pair_v.shape[1]))
    scale = tuning.scale_sigma + tuning.scale_sigma_k * state.strange
    spreads[:2] = scale * scale
    spreads[2] = _offset_variance(state.circuit, state.strange, tuning.branch_share, tuning)
    sag_v = tuning.sag_sigma_v + (tuning.sag_share + tuning.sag_share_k * state.strange) * np.add.reduce(np.abs(pair_v))
    spreads[3] = sag_v * sag_v
    return spreads


def _offset_variance(circuit: Circuit, strange: FloatArray, branch_share: float, tuning: Tuning) -> FloatArray:
    curve_v, branch_v = tuning.offset_sigma_v + tuning.offset_sigma_k * strange, branch_share * circuit.hysteresis_v
    found: FloatArray = curve_v * curve_v + branch_v * branch_v
    return found


def _return(mean: FloatArray, usual: FloatArray, kept: FloatArray, tuning: Tuning) -> FloatArray:
    """Rows FAST to SAG are first-order Gauss-Markov processes: the factors around the usual, the errors around 0.

    What is usual follows the factors, slowly, for cells age: the new one (2, n).
    """
    away = mean[FAST : SLOW + 1] - usual
    mean[FAST:] *= kept[FAST:]
    mean[FAST : SLOW + 1] += usual - kept[FAST : SLOW + 1] * usual
    followed: FloatArray = usual + away * ((1.0 - kept[FAST]) * (tuning.scale_soc / HABIT_SOC))
    return followed


def size(state: FilterState) -> float:
    """The root of the sum of all its numbers' squares: NaN or infinite where one of them is none."""
    flat = (each.ravel() for each in (state.mean, state.cov, state.pair_v, state.capacity_ah))
    with np.errstate(over="ignore"):
        return sqrt(sum(float(each.dot(each)) for each in flat))


def are_numbers(state: FilterState) -> np.ndarray:
    """Of which cells all of them are, (n,)."""
    cells = state.mean.shape[1]
    rows = np.concatenate([state.mean, state.cov.reshape(-1, cells), state.pair_v, state.capacity_ah[None]])
    found: np.ndarray = np.isfinite(rows).all(axis=0)
    return found


def variances(cov: FloatArray) -> FloatArray:
    """The diagonal (7, n) of a covariance, to be written to."""
    return cov.reshape(ROWS * ROWS, -1)[:: ROWS + 1]
