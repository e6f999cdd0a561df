"""From the estimators' states to what the pack is told to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan

import numpy as np

from bms_daemon.estimation.cells import Cells
from bms_daemon.estimation.hearsay import VALID_SIGMA
from bms_daemon.estimation.pack import pack_soc
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.estimation.soe import remaining
from bms_daemon.estimation.soh import SohState
from bms_daemon.estimation.sop import power_ahead
from bms_daemon.model import Ageing, CapacitySource, CellStates, Estimate, FloatArray


@dataclass(frozen=True, slots=True)
class Warmth:
    """Of the known probes, degC; NaN where they cannot be trusted."""

    coldest_degc: float = nan
    mean_degc: float = nan
    hottest_degc: float = nan

    @property
    def known(self) -> bool:
        return self.mean_degc == self.mean_degc


def told(past: Estimate, cells: Cells, model: PackModel, load_a: float, warmth: Warmth) -> Estimate:
    """The pack's estimate. What is published lags behind what is known, and the doubt in it says so."""
    soc, health, bounds = cells.soc, cells.soh, model.bounds
    capacity_ah, coldest_degc = soc.filter.capacity_ah, warmth.coldest_degc
    growth, lag = health.growth, soc.published - soc.soc
    doubt = np.minimum(np.hypot(soc.soc_sigma, lag), 1.0)
    pack, sigma, usable_ah = pack_soc(soc.published, doubt, capacity_ah)
    power = left = None
    if warmth.known:
        power = power_ahead(model.cell, soc, bounds, warmth.hottest_degc, coldest_degc=coldest_degc)
        left = remaining(model.cell, soc, bounds.min_v, bounds.max_v, load_a, coldest_degc)
    return replace(
        past,
        soc=pack,
        soc_sigma=sigma,
        soc_valid=sigma <= VALID_SIGMA,
        capacity_ah=usable_ah,
        soc_lag=float(np.abs(lag).max()),
        restarts=cells.restarts,
        ageing=_ageing(health, growth, model),
        power=power,
        remaining=left,
        cells=CellStates(soc.published, doubt, capacity_ah, growth),
    )


def _ageing(health: SohState, growth: FloatArray, model: PackModel) -> Ageing:
    weak, grown = int(health.capacity_ah.argmin()), int(growth.argmax())
    return Ageing(
        soh=float(health.capacity_ah[weak]) / model.cell.capacity_ah,
        soh_sigma=float(health.capacity_sigma_ah[weak]) / model.cell.capacity_ah,
        growth=float(growth[grown]),
        growth_sigma=float(health.growth_sigma[grown]),
        why=CapacitySource(int(health.why[weak])),
        age_s=health.age_s(weak),
    )
