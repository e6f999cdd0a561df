"""States of charge that somebody else tells: the journal of an earlier run, a battery monitor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import SOC
from bms_daemon.model import FloatArray, Survivor

VALID_SIGMA = 0.15  # a state of charge less certain than this is not called valid
AWAY_SIGMA = 0.01  # what may have happened to a cell while nobody looked


def kept_soc(kept: Survivor, cells: int) -> tuple[FloatArray, FloatArray] | None:
    """Every cell's state of charge (n,) and sigma from the journal; None where it says nothing possible.

    The pack's value is believed for every cell where the cells' own are of another pack.
    """
    pack = np.array([kept.soc, kept.soc_sigma])
    own = len(kept.cell_soc) == len(kept.cell_soc_sigma) == cells
    both = np.array([kept.cell_soc, kept.cell_soc_sigma]) if own else np.tile(pack[:, None], cells)
    checked = np.column_stack([pack, both])
    possible = (checked >= 0.0).all() and (checked[0] <= 1.0).all() and (checked[1] <= VALID_SIGMA).all()
    return (both[0], np.hypot(both[1], AWAY_SIGMA)) if possible else None


def believe(state: SocState, soc: float, sigma: float) -> SocState:
    """Weigh what somebody says of every cell against what is known: one step of a Kalman filter for a scalar."""
    now = state.filter
    gain = now.cov[:, SOC] / (now.cov[SOC, SOC] + sigma**2)
    mean = now.mean + gain * (soc - now.mean[SOC])
    cov = now.cov - gain[:, None] * now.cov[None, SOC]
    return replace(state, filter=replace(now, mean=mean, cov=cov), published=np.clip(mean[SOC], 0.0, 1.0))
