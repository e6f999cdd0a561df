"""Aged cells between rests: their made-up voltage, and the estimators following it as the daemon has them."""

from __future__ import annotations

import numpy as np
from estimation.cell_bench import KNEE_C, NMC_SOC, NMC_V, PAIR_OHM, RATED_AH, SERIES_OHM, TAU_S

from bms_daemon.estimation import soh
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, start, step, with_capacity
from bms_daemon.estimation.tables import saturated_a

SLOW_S = 5.0  # from sample to sample
FIRST_SOC = 0.9


def shuttle(cycles: int) -> np.ndarray:
    """Rests of 20 minutes between discharges and charges of about half a capacity, A, one sample every SLOW_S."""
    hours = np.random.default_rng(1).uniform(0.7, 1.1, cycles)
    rest, pieces = np.zeros(int(1200.0 / SLOW_S)), []
    for each in hours:
        flow = np.full(int(each * 3600.0 / SLOW_S), 0.5 * RATED_AH)
        pieces += [rest, -flow, rest, flow]
    return np.concatenate([*pieces, rest])


def aged_voltage(current_a: np.ndarray, share: float, growth: float) -> np.ndarray:
    """Of a cell that keeps ``share`` of its capacity and has ``growth`` times the resistance; noise of a millivolt."""
    soc = FIRST_SOC + np.cumsum(current_a) * SLOW_S / 3600.0 / RATED_AH / share
    volts = np.interp(soc, NMC_SOC, NMC_V) + SERIES_OHM * growth * current_a
    pushed_a = saturated_a(current_a, KNEE_C * RATED_AH)
    for ohm, tau_s in zip(PAIR_OHM, TAU_S, strict=True):
        keep, across_v = float(np.exp(-SLOW_S / tau_s)), 0.0
        for row, amps in enumerate(pushed_a.tolist()):
            across_v += (1.0 - keep) * (ohm * growth * amps - across_v)
            volts[row] += across_v
    noisy: np.ndarray = volts + np.random.default_rng(2).normal(0.0, 0.001, volts.size)
    return noisy


def follow(cell: Cell, current_a: np.ndarray, cell_v: np.ndarray, bias_a: float = 0.0) -> soh.SohState:
    """``current_a`` (rows,) through cells with ``cell_v`` (cells, rows), as a sensor with an offset sees it."""
    cells = cell_v.shape[0]
    temp_degc, health, state = np.full(cells, 25.0), soh.begin(cell, cells), None
    for row, amps in enumerate((current_a + bias_a).tolist()):
        reading = Reading(SLOW_S, np.full(cells, amps), cell_v[:, row], temp_degc)
        if state is None:
            state = start(cell, reading, np.full(cells, FIRST_SOC))
            continue
        state = step(cell, state, reading)
        health = soh.step(cell, health, state, SLOW_S, reading.current_a)
        state = with_capacity(state, health.capacity_ah)
    return health
