"""Heat capacity and thermal resistance of a cell from recordings that have its temperature.

Means over two minutes obey ``dT/dt = q / C - T / (R * C) + chamber / (R * C)``, which is linear in ``1 / C``,
``1 / (R * C)`` and one constant a recording, for the chamber's temperature is not known. Heat ``q`` after Bernardi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bms_daemon.config.cellfile import Heat
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.heat import generated_w
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.trace import Trace

SPAN_S = 120.0
FEWEST_ROWS = 60  # of two minutes each
OUTLIER = 2.5  # robust standard deviations from which a row counts less
ROUNDS = 10
DOUBT = 0.15  # largest standard error of both slopes that is believed, relative
DIGITS = 3


@dataclass(frozen=True, slots=True)
class _Spans:
    """Means over spans of one recording, arrays (spans,): K/s, W, degC."""

    rate_k_per_s: FloatArray
    heat_w: FloatArray
    temp_degc: FloatArray


def fit_heat(cell: Cell, traces: Sequence[Trace]) -> Heat | None:
    """None where the recordings do not tell: no temperatures, or none that the cell's own heat moves."""
    spans = [each for each in (_spans(cell, trace) for trace in traces if trace.kind != "ocv") if each is not None]
    if sum(each.heat_w.size for each in spans) < FEWEST_ROWS:
        return None
    own = np.vstack([_centred(np.column_stack([each.heat_w, -each.temp_degc])) for each in spans])
    rate = np.concatenate([_centred(each.rate_k_per_s) for each in spans])
    found = _robust(own, rate)
    if found is None:
        return None
    per_heat, per_kelvin = found
    capacity, resistance = 1.0 / per_heat, per_heat / per_kelvin
    return Heat(capacity_j_per_k=_rounded(capacity), resistance_k_per_w=_rounded(resistance))


def _spans(cell: Cell, trace: Trace) -> _Spans | None:
    """Of whole spans without a gap; None where there are fewer than three."""
    soc, degc = trace.soc, trace.temperature_degc
    across_v = trace.voltage_v - cell.ocv_v(soc, degc)
    heat_w = generated_w(trace.current_a, across_v, soc, degc, cell)
    edges = np.arange(trace.time_s[0], trace.time_s[-1], SPAN_S)
    at = np.searchsorted(trace.time_s, edges)
    whole = [(low, high) for low, high in pairwise(at) if high - low > 2 and not trace.gap[low + 1 : high + 1].any()]
    if len(whole) < 3:
        return None
    rows = [_span(trace.time_s[low : high + 1], heat_w[low : high + 1], degc[low : high + 1]) for low, high in whole]
    return _Spans(*np.array(rows).T)


def _span(time_s: FloatArray, heat_w: FloatArray, degc: FloatArray) -> tuple[float, float, float]:
    """Slope of the temperature by a straight line through all rows, mean heat, mean temperature."""
    dt_s = np.diff(time_s)
    whole_s = dt_s.sum()
    mean_degc = float(dt_s @ (0.5 * (degc[1:] + degc[:-1])) / whole_s)
    away_s = time_s - time_s.mean()
    slope = float(away_s @ (degc - degc.mean()) / (away_s @ away_s))
    return slope, float(dt_s @ heat_w[:-1] / whole_s), mean_degc


def _centred(values: FloatArray) -> FloatArray:
    """Less its mean: takes a recording's own constant away."""
    found: FloatArray = values - values.mean(axis=0)
    return found


def _robust(own: FloatArray, rate: FloatArray) -> FloatArray | None:
    """Least squares in which outliers count less (Huber); None where a slope is not known well, or not positive."""
    weight: FloatArray = np.ones(rate.size)
    for _ in range(ROUNDS):
        normal = own.T @ (own * weight[:, None])
        if np.linalg.cond(normal) > 1e12:
            return None
        found: FloatArray = np.asarray(np.linalg.solve(normal, own.T @ (weight * rate)), dtype=np.float64)
        off = rate - own @ found
        weight = _belief(off)
    error = np.sqrt(np.diag(np.linalg.inv(normal)) * float((weight * off**2).sum() / weight.sum()))
    return found if bool(np.all(found > 0.0) and np.all(error <= DOUBT * found)) else None


def _belief(off: FloatArray) -> FloatArray:
    """Less than 1 for what is beyond the usual spread."""
    spread = 1.4826 * float(np.median(np.abs(off))) + 1e-12
    found: FloatArray = np.minimum(1.0, OUTLIER * spread / np.maximum(np.abs(off), 1e-12))
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
