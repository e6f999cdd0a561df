"""The production estimator, every run one cell of its arrays; and coulomb counting, which any estimator must beat."""

from __future__ import annotations

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, start, step
from bms_daemon.offline.accuracy.protocol import Inputs
from bms_daemon.offline.accuracy.score import Estimated

HOUR_S = 3600.0


def ours(cell: Cell, seen: Inputs) -> Estimated:
    """`bms_daemon.estimation.soc`, told the start."""
    soc, sigma = np.empty_like(seen.current_a), np.empty_like(seen.current_a)
    state = start(cell, _reading(seen, 0), seen.start_soc)
    for row in range(seen.dt_s.size):
        state = step(cell, state, _reading(seen, row))
        soc[row], sigma[row] = state.soc, state.soc_sigma
    return Estimated(soc, sigma)


def counting(cell: Cell, seen: Inputs) -> Estimated:
    """The start plus the charge that passed, by the trapezoidal rule."""
    mean_a = 0.5 * (seen.current_a + np.vstack([seen.current_a[:1], seen.current_a[:-1]]))
    passed_ah = np.cumsum(mean_a * seen.dt_s[:, None], axis=0) / HOUR_S
    return Estimated(seen.start_soc + passed_ah / cell.capacity_ah, None)


def _reading(seen: Inputs, row: int) -> Reading:
    temp_degc = np.full(seen.start_soc.size, seen.temp_degc[row])
    return Reading(float(seen.dt_s[row]), seen.current_a[row], seen.voltage_v[row], temp_degc)
