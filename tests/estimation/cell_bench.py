"""A cell for the tests of the estimator: a small file, and a simulation of it that shares no code with it."""

from __future__ import annotations

import json
from math import asinh, exp
from typing import Any, NamedTuple

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState, start, step
from bms_daemon.estimation.sop import power_ahead
from bms_daemon.model import Binding

NMC_SOC = (-0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.03)
NMC_V = (2.4, 2.9, 3.25, 3.40, 3.52, 3.58, 3.62, 3.67, 3.78, 3.89, 3.98, 4.07, 4.18, 4.22)
LFP_V = (2.0, 2.6, 3.1, 3.2, 3.245, 3.275, 3.288, 3.292, 3.296, 3.326, 3.330, 3.334, 3.42, 3.6)
RATED_AH = 3.0
SERIES_OHM, PAIR_OHM, TAU_S, KNEE_C = 0.025, (0.010, 0.020), (10.0, 300.0), 3.0


def cell_table(chemistry: str = "nmc", **changes: dict[str, Any]) -> dict[str, Any]:
    """A whole file as a table; ``changes`` go into its sections."""
    flat = [0.0] * len(NMC_SOC)
    table: dict[str, Any] = {
        "schema": 1,
        "cell": {"name": "bench", "chemistry": chemistry, "source": "made up", "capacity_ah": RATED_AH},
        "ocv": {"soc": NMC_SOC, "voltage_v": NMC_V, "cold_v_per_k": flat, "warm_v_per_k": flat},
        "resistance": {
            "soc": (0.0, 1.0),
            "temperature_degc": (25.0,),
            "series_ohm": ((SERIES_OHM, SERIES_OHM),),
            "tau_s": TAU_S,
            "pair_ohm": tuple(((ohm, ohm),) for ohm in PAIR_OHM),
            "knee_c": KNEE_C,
        },
    }
    table["cell"] |= {"min_v": 2.8, "max_v": 4.2, "charge_max_c": 2.0, "discharge_max_c": 6.0}
    if chemistry == "lfp":
        table["cell"] |= {"min_v": 2.5, "max_v": 3.65}
        table["ocv"] |= {"voltage_v": LFP_V}
        table["hysteresis"] = {"soc": (0.0, 1.0), "voltage_v": ((0.01, 0.01),), "rate": 50.0}
    for section, values in changes.items():
        table[section] = table.get(section, {}) | values
    return table


def cell_of(chemistry: str = "nmc", **changes: dict[str, Any]) -> Cell:
    return Cell(CellFile.model_validate_json(json.dumps(cell_table(chemistry, **changes))))


def drive(seconds: int, seed: int = 1, mean_c: float = -0.3) -> np.ndarray:
    """A made-up drive: a new current every few seconds, some charging, A."""
    rng = np.random.default_rng(seed)
    pieces = [np.full(rng.integers(3, 40), RATED_AH * rng.normal(mean_c, 0.8)) for _ in range(seconds // 3)]
    return np.concatenate(pieces)[:seconds]


def simulate(current_a: np.ndarray, soc: float = 0.9, chemistry: str = "nmc") -> tuple[np.ndarray, np.ndarray]:
    """True state of charge and terminal voltage at 25 degC, one row a second, a pair after the other."""
    curve_v = LFP_V if chemistry == "lfp" else NMC_V
    pairs, branch, knee_a, last_a = [0.0, 0.0], 0.0, KNEE_C * RATED_AH, float(current_a[0])
    socs, volts = [], []
    for amps in current_a.tolist():
        moved = 0.5 * (amps + last_a) / 3600.0 / RATED_AH if socs else 0.0
        soc += moved
        branch += (1.0 - exp(-50.0 * abs(moved))) * ((moved > 0) - (moved < 0) - branch)
        if socs:
            pushed_a = knee_a * asinh(last_a / knee_a)
            ends_v = [ohm * pushed_a for ohm in PAIR_OHM]
            pairs = [v + (1.0 - exp(-1.0 / t)) * (end - v) for v, end, t in zip(pairs, ends_v, TAU_S, strict=True)]
        last_a = amps
        hysteresis_v = 0.01 * branch if chemistry == "lfp" else 0.0
        socs.append(soc)
        volts.append(float(np.interp(soc, NMC_SOC, curve_v)) + SERIES_OHM * amps + sum(pairs) + hysteresis_v)
    return np.array(socs), np.array(volts)


def follow(
    cell: Cell, current_a: np.ndarray, cell_v: np.ndarray, soc: float | None, temp_degc: float = 25.0
) -> list[SocState]:
    """The estimator over one row a second; every array (rows,)."""
    states: list[SocState] = []
    for amps, volts in zip(current_a, cell_v, strict=True):
        reading = Reading(1.0, np.array([amps]), np.array([volts]), np.array([temp_degc]))
        first = None if soc is None else np.array([soc])
        states.append(step(cell, states[-1], reading) if states else start(cell, reading, first))
    return states


class Way(NamedTuple):
    """Power ahead in one direction, arrays and tuple (horizons,)."""

    current_a: np.ndarray
    power_w: np.ndarray
    why: tuple[Binding, ...]


def both_ways(*asked: Any, **more: Any) -> tuple[Way, Way]:
    ahead = power_ahead(*asked, **more)
    give = Way(ahead.discharge_a, ahead.discharge_w, ahead.discharge_binding)
    return give, Way(ahead.charge_a, ahead.charge_w, ahead.charge_binding)


def discharge_power(*asked: Any, **more: Any) -> Way:
    return both_ways(*asked, **more)[0]


def charge_power(*asked: Any, **more: Any) -> Way:
    return both_ways(*asked, **more)[1]
