"""What a cell file says about a recording: its voltage, and how far that is from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.tables import saturated_a
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.dynamics import branch, lowpass
from bms_daemon.offline.cellfit.trace import Trace

MEAN_S = 120.0  # slow errors move a state of charge, fast ones average out
EMPTY_SOC = 0.15  # below, the voltage falls so steeply that its error says little


@dataclass(frozen=True, slots=True)
class Quality:
    """Residuals of a recording, V: all rows, and means over two minutes above EMPTY_SOC. NaN without such rows."""

    name: str
    kind: str
    rows: int
    rms_v: float
    mean_rms_v: float
    worst_v: float


def predicted_v(cell: Cell, trace: Trace) -> FloatArray:
    """(rows,) terminal voltage, from a cell at rest."""
    circuit = cell.circuit(trace.soc, trace.temperature_degc)
    seen_a = saturated_a(trace.current_a, cell.knee_a / circuit.cold)
    pairs = lowpass(trace, (circuit.pair_ohm.T * seen_a[:, None])[:, :, None], cell.tau_s).sum(axis=(1, 2))
    state = branch(trace, cell.capacity_ah, cell.hysteresis_rate)
    ocv_v = cell.ocv_v(trace.soc, trace.temperature_degc)
    found: FloatArray = ocv_v + circuit.series_ohm * trace.current_a + pairs + circuit.hysteresis_v * state
    return found


def residual_v(cell: Cell, trace: Trace) -> FloatArray:
    """(rows,) measured less predicted."""
    left: FloatArray = trace.voltage_v - predicted_v(cell, trace)
    return left


def two_minute_mean(time_s: FloatArray, value: FloatArray) -> FloatArray:
    """(rows,) mean over time of what stood in the two minutes before each row."""
    area = np.append(0.0, np.cumsum(value[1:] * np.diff(time_s)))
    from_s = np.maximum(time_s - MEAN_S, time_s[0])
    span_s = np.maximum(time_s - from_s, 1e-9)
    means: FloatArray = (area - np.interp(from_s, time_s, area)) / span_s
    means[0] = value[0]
    return means


def quality(cell: Cell, trace: Trace) -> Quality:
    left_v = residual_v(cell, trace)
    mean_v = two_minute_mean(trace.time_s, left_v)
    known = trace.soc > EMPTY_SOC
    return Quality(
        trace.name,
        trace.kind,
        int(trace.time_s.size),
        _rms(left_v, trace.weight, np.ones_like(known)),
        _rms(mean_v, trace.weight, known),
        float(np.abs(mean_v[known]).max()) if known.any() else float("nan"),
    )


def _rms(value: FloatArray, weight: FloatArray, rows: npt.NDArray[np.bool_]) -> float:
    total = float(weight[rows].sum())
    return float(np.sqrt(np.sum(value[rows] ** 2 * weight[rows]) / total)) if total > 0.0 else float("nan")
