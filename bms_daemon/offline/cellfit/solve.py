"""The fit: least squares with penalties and lower bounds, reweighted; every recording has its own charge error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.charge import REST_C
from bms_daemon.offline.cellfit.design import Layout, design, layout
from bms_daemon.offline.cellfit.penalty import penalty
from bms_daemon.offline.cellfit.settings import (
    BIAS_SIGMA_C,
    CYCLES_BIAS,
    CYCLES_START,
    MEMORY_SIGMA_V,
    NUISANCE_V,
    OCV_RISE_V,
    OCV_SOC,
    TAU_S,
    Form,
    Weights,
)
from bms_daemon.offline.cellfit.trace import Trace

BLOCK_ROWS = 20_000  # rows of a normal equation at once: designs are kept in single precision, sums are double
SLOPE_STEP, SLOPE_ROWS = 0.001, 21  # the voltage's slope is taken over some 2 % of the capacity
TOLERANCE = 1e-10

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Solution:
    """The unknowns, (unknowns,) in the order of the layout."""

    form: Form
    at: Layout
    unknowns: FloatArray


@dataclass(slots=True)
class _Equations:
    """One recording's matrix, and its own errors as they were in the round before, (errors,) in sigmas."""

    trace: Trace
    matrix: npt.NDArray[np.float32]
    importance: float
    memories: FloatArray
    nuisance: FloatArray

    def directions(self, slope_v: FloatArray) -> FloatArray:
        """(rows, errors): volts for one sigma of start, of bias, and of each pair's memory after a gap."""
        trace, cycles = self.trace, self.trace.kind == "cycles"
        hours = (trace.time_s - trace.time_s[0]) / 3600.0
        start = trace.soc_sigma * (CYCLES_START if cycles else 1.0)
        bias = BIAS_SIGMA_C * (CYCLES_BIAS if cycles else 1.0)
        slope = np.interp(trace.soc, _grid(), slope_v)
        return np.column_stack([slope * start, slope * hours * bias, self.memories])


def solve(traces: Sequence[Trace], form: Form, weights: Weights, rounds: int, step: Step) -> Solution:
    """``step`` is called ``steps(...)`` times, for a progress line."""
    at, equations = layout(form), []
    for trace in traces:
        matrix = design(trace, form).astype(np.float32)
        memories = _memories(trace, form.capacity_ah)
        equations.append(_Equations(trace, matrix, weights.of(trace.kind), memories, np.zeros(2 + memories.shape[1])))
        step()
    unknowns: FloatArray | None = None
    for _ in range(rounds):
        unknowns = _round(equations, form, at, weights, unknowns, step)
    assert unknowns is not None
    return Solution(form, at, unknowns)


def steps(recordings: int, rounds: int) -> int:
    return recordings * (1 + rounds) + rounds if recordings else 0


def _round(
    equations: Sequence[_Equations],
    form: Form,
    at: Layout,
    weights: Weights,
    before: FloatArray | None,
    step: Step,
) -> FloatArray:
    normal = penalty(at, form.knots_degc, weights, None if before is None else before[at.curve(0)])
    right = np.zeros(at.size)
    for each in equations:
        found = _plain(each) if before is None else _reweighted(each, before, _slope(before[at.curve(0)]), form.clip_v)
        normal += found[0]
        right += found[1]
        step()
    best = _bounded(normal, right, at)
    step()
    return best


def _plain(each: _Equations) -> tuple[FloatArray, FloatArray]:
    normal, cross = _sums(each, each.trace.weight * each.importance, each.trace.voltage_v[:, None])
    return normal, cross[:, 0]


def _reweighted(
    each: _Equations, before: FloatArray, slope_v: FloatArray, clip_v: float
) -> tuple[FloatArray, FloatArray]:
    """Huber's weights by the residuals of the round before; the errors eliminated (Schur's complement)."""
    directions = each.directions(slope_v)
    left_v = each.trace.voltage_v - each.matrix @ before.astype(np.float32)
    beyond = np.abs(left_v - directions @ each.nuisance) / clip_v
    weight = each.trace.weight * each.importance / np.maximum(1.0, beyond)
    weighted = directions * weight[:, None]
    own = np.linalg.inv(directions.T @ weighted + NUISANCE_V**2 * each.importance * np.eye(each.nuisance.size))
    each.nuisance = own @ (weighted.T @ left_v)
    normal, cross = _sums(each, weight, np.column_stack([each.trace.voltage_v, directions]))
    shared = cross[:, 1:]
    return normal - shared @ own @ shared.T, cross[:, 0] - shared @ (own @ (weighted.T @ each.trace.voltage_v))


def _sums(each: _Equations, weight: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(unknowns, unknowns) and (unknowns, others): weighted products of the matrix with itself and with others."""
    size = each.matrix.shape[1]
    normal, cross = np.zeros((size, size)), np.zeros((size, others.shape[1]))
    for first in range(0, weight.size, BLOCK_ROWS):
        cut = slice(first, first + BLOCK_ROWS)
        block = each.matrix[cut].astype(np.float64)
        weighted = block * weight[cut, None]
        normal += block.T @ weighted
        cross += weighted.T @ others[cut]
    return normal, cross


def _memories(trace: Trace, capacity_ah: float) -> FloatArray:
    """(rows, errors): after a gap in a drive each pair starts somewhere, V, and fades. After a rest it has faded."""
    flows = np.abs(trace.current_a) > REST_C * capacity_ah
    gaps = np.flatnonzero(trace.gap & (flows | np.append(False, flows[:-1])))
    since_s = (trace.time_s[:, None] - trace.time_s[gaps])[:, :, None] / TAU_S
    fading = np.where(since_s >= 0.0, np.exp(-np.maximum(since_s, 0.0)), 0.0)
    return MEMORY_SIGMA_V * fading.reshape(trace.time_s.size, -1)


def _bounded(normal: FloatArray, right: FloatArray, at: Layout) -> FloatArray:
    """The voltage is a sum of rises, each with a least; resistances and hysteresis are not negative."""
    knots = OCV_SOC.size
    rises = np.eye(at.size)
    rises[:knots, :knots] = np.tril(np.ones((knots, knots)))
    lowest = np.concatenate([np.full(at.tables, -np.inf), np.zeros(at.size - at.tables)])
    lowest[1:knots] = OCV_RISE_V * np.diff(OCV_SOC)
    factor = np.linalg.cholesky(normal)
    target = np.linalg.solve(factor, right)
    best: FloatArray = rises @ lsq_linear(factor.T @ rises, target, bounds=(lowest, np.inf), tol=TOLERANCE).x
    return best


def _grid() -> FloatArray:
    return np.arange(-0.05, 1.05 + SLOPE_STEP / 2, SLOPE_STEP)


def _slope(ocv_v: FloatArray) -> FloatArray:
    """(grid,) volts per unit of state of charge, smoothed."""
    slope = np.gradient(np.interp(_grid(), OCV_SOC, ocv_v), _grid())
    smoothed: FloatArray = np.convolve(slope, np.ones(SLOPE_ROWS) / SLOPE_ROWS, "same")
    return smoothed
