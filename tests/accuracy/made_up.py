"""Drives and cells that nobody recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.recordings import Drive

CAPACITY_AH = 2.0
SERIES_OHM, PAIR_OHM, TAU_S = 0.03, (0.01, 0.02), (10.0, 300.0)


def drive(time_s: FloatArray, current_a: FloatArray, voltage_v: FloatArray, soc: FloatArray) -> Drive:
    return Drive("made up", time_s, current_a, voltage_v, np.full(time_s.size, 25.0), soc)


def cell() -> Cell:
    """An open-circuit curve that is a straight line, and resistances that never change."""
    soc = (0.0, 1.0)
    zero = (0.0, 0.0)
    table = {
        "schema": 1,
        "cell": {
            "name": "made up", "chemistry": "nmc", "source": "none", "capacity_ah": CAPACITY_AH,
            "min_v": 2.5, "max_v": 4.5,
        },
        "ocv": {"soc": soc, "voltage_v": (3.0, 4.2), "cold_v_per_k": zero, "warm_v_per_k": zero},
        "resistance": {
            "soc": soc, "temperature_degc": (25.0,), "series_ohm": ((SERIES_OHM,) * 2,), "tau_s": TAU_S,
            "pair_ohm": tuple((((ohm,) * 2),) for ohm in PAIR_OHM), "knee_c": 0.0, "share": 0.0,
        },
    }  # fmt: skip
    return Cell(CellFile.model_validate(table))


def simulated(seconds: int, seed: int = 1) -> Drive:
    """An hour or so of changing current through that circuit, from full."""
    random = np.random.default_rng(seed)
    time_s = np.arange(float(seconds))
    current_a = np.repeat(random.uniform(-3.0, 1.5, seconds // 20 + 1), 20)[:seconds]
    mean_a = 0.5 * (current_a[1:] + current_a[:-1])
    soc = 0.95 + np.append(0.0, np.cumsum(mean_a)) / 3600.0 / CAPACITY_AH
    voltage_v = 3.0 + 1.2 * soc + SERIES_OHM * current_a
    for ohm, tau_s in zip(PAIR_OHM, TAU_S, strict=True):
        voltage_v = voltage_v + _pair(current_a, ohm, tau_s)
    noisy_v = voltage_v + random.normal(0.0, 0.002, seconds)
    return replace(drive(time_s, current_a, noisy_v, soc), name="simulated")


def _pair(current_a: FloatArray, ohm: float, tau_s: float) -> FloatArray:
    keep, across_v = np.exp(-1.0 / tau_s), np.zeros(current_a.size)
    for row in range(1, current_a.size):
        across_v[row] = keep * across_v[row - 1] + (1.0 - keep) * ohm * current_a[row - 1]
    return across_v
