"""Capacity as the daemon learns it: from the charge between a rest before a drive and one after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation import soh
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, start, step, with_capacity
from bms_daemon.model import CapacitySource, FloatArray
from bms_daemon.offline.accuracy.recordings import Drive

BELIEVED = 0.8, 0.9, 1.1, 1.2  # of the true capacity
BELIEVED_SIGMA = 0.1
REST_S, REST_STEP_S = 600.0, 10.0  # the first voltage is that of a rest whose beginning nobody recorded
POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Learned:
    """After one drive, in per cent of the true capacity, one entry for each of BELIEVED; ``seen``: a pair was there."""

    drive: str
    error: FloatArray
    sigma: FloatArray
    seen: np.ndarray


def after(task: tuple[CellFile, Drive]) -> Learned:
    """One drive with four wrong beliefs of the capacity at once."""
    file, drive = task
    cell, count = Cell(file), len(BELIEVED)
    health = soh.begin(cell, count, tuple(n for share in BELIEVED for n in (share, BELIEVED_SIGMA, 0.0, 0.2, 0.0, 0.0)))
    time_s, current_a, voltage_v, temp_degc = _with_rest(drive)
    readings = [
        Reading(float(dt_s), *(np.full(count, value) for value in row))
        for dt_s, *row in zip(np.diff(time_s), current_a[1:], voltage_v[1:], temp_degc[1:], strict=True)
    ]
    state = start(cell, readings[0], np.ones(count), capacity_ah=health.capacity_ah)
    for reading in readings[1:]:
        state = step(cell, state, reading)
        health = soh.step(cell, health, state, reading.dt_s, reading.current_a)
        state = with_capacity(state, health.capacity_ah)
    error = POINTS * (health.capacity_ah / cell.capacity_ah - 1.0)
    sigma = POINTS * health.capacity_sigma_ah / cell.capacity_ah
    return Learned(drive.name, error, sigma, health.why != CapacitySource.NONE)


def _with_rest(drive: Drive) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    before_s = drive.time_s[0] - np.arange(REST_S, 0.0, -REST_STEP_S)
    held = np.ones_like(before_s)
    return (
        np.append(before_s, drive.time_s),
        np.append(0.0 * held, drive.current_a),
        np.append(drive.voltage_v[0] * held, drive.voltage_v),
        np.append(drive.temp_degc[0] * held, drive.temp_degc),
    )
