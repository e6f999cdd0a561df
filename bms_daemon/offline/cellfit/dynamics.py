"""What has memory: resistor-capacitor pairs and the hysteresis. Shared by the fit and by the prediction from a file."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.trace import Trace

FULL_SOC, EMPTY_SOC = 0.95, 0.05  # a recording that starts beyond comes from a charge, or from a discharge


def lowpass(trace: Trace, inputs: FloatArray, tau_s: FloatArray) -> FloatArray:
    """(rows, pairs, columns): first-order answers, from zero, to ``inputs`` (rows, pairs or 1, columns).

    An input stands until the next row; in a gap there is none.
    """
    decay = np.exp(-np.diff(trace.time_s)[:, None] / tau_s)[:, :, None]
    flows = ~trace.gap[1:, None, None]
    state = np.zeros((tau_s.size, inputs.shape[2]))
    answers = np.zeros((inputs.shape[0], *state.shape))
    for row, keep in enumerate(decay):
        state = keep * state + (flows[row] - flows[row] * keep) * inputs[row]
        answers[row + 1] = state
    return answers


def branch(trace: Trace, capacity_ah: float, rate: float) -> FloatArray:
    """(rows,) where between the branches: 1 after a long charge, -1 after a long discharge."""
    moved = np.diff(trace.time_s) * trace.current_a[:-1] * ~trace.gap[1:] / 3600.0 / capacity_ah
    keep = np.exp(-rate * np.abs(moved))
    aim = np.sign(moved)
    state = 1.0 if trace.soc[0] > FULL_SOC else -1.0 if trace.soc[0] < EMPTY_SOC else 0.0
    states = np.full(trace.time_s.size, state)
    for row in range(moved.size):
        state = keep[row] * state + (1.0 - keep[row]) * aim[row]
        states[row + 1] = state
    return states
