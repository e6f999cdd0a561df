"""Processor time of estimating cells: all at once, and filterpy's extended filter one at a time on the same model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np

from bms_daemon.config.cellfile import load_cell
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.cells import begin, follow
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.estimation.soc import Reading, SocState, start, step
from bms_daemon.estimation.sop import power_ahead
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.estimation.telling import Warmth, told
from bms_daemon.model import Estimate
from bms_daemon.offline.bench_figure import Figure
from bms_daemon.runtime.stopwatch import cpu_s

SIZES = (16, 100, 400)
CELL_STEP_BUDGET_US, UPDATE_BUDGET_MS, TIMES_FASTER = 1.0, 0.4, 50.0  # the first two at 400 cells, the last at 100
WHOLE_BUDGET_MS = 0.5  # of 100 cells
WARM_UP = 50
PEER_RUNS = 9  # its median counts, too


def figures(steps: int) -> list[Figure]:
    """Medians over ``steps`` updates; the ratio only where filterpy is installed."""
    path = files("bms_daemon").joinpath("data", "config", "cells", "generic-nmc.toml")
    cell = Cell(load_cell(Path(str(path))))
    update_s = {cells: _update_s(cell, cells, steps) for cells in SIZES}
    found = [_cell_step(cells, spent_s) for cells, spent_s in update_s.items()]
    found.append(Figure("state of charge, 400 cells, one update", 1e3 * update_s[400], "ms", UPDATE_BUDGET_MS))
    power_ms = 1e3 * _power_s(cell, 100, steps)
    found.append(Figure("power limits of 100 cells, 5 horizons both ways", power_ms, "ms"))
    whole_ms = 1e3 * _whole_s(cell, 100, steps)
    what = "charge, health, power, energy of 100 cells, one step"
    found.append(Figure(what, whole_ms, "ms", WHOLE_BUDGET_MS))
    peer_s = _filterpy_s(cell, steps)
    if peer_s is not None:
        note = f"{1e6 * peer_s:.0f} us a cell-step with filterpy, one cell at a time, same model"
        times = 100 * peer_s / update_s[100]
        found.append(Figure("filterpy's time over ours, 100 cells", times, "x", TIMES_FASTER, at_least=True, note=note))
    return found


def _cell_step(cells: int, spent_s: float) -> Figure:
    budget = CELL_STEP_BUDGET_US if cells == SIZES[-1] else None
    return Figure(f"state of charge, a cell's step of {cells} cells", 1e6 * spent_s / cells, "us", budget)


def _readings(cells: int, steps: int) -> list[Reading]:
    """A drive whose every sample is new: noise on voltages and temperatures, a current that changes."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(steps):
        current_a = np.full(cells, 20.0 * rng.standard_normal())
        cell_v, temp_degc = 3.7 + 0.01 * rng.standard_normal(cells), np.full(cells, 22.0 + 0.05 * rng.standard_normal())
        found.append(Reading(1.0, current_a, cell_v, temp_degc, current_a))
    return found


def _update_s(cell: Cell, cells: int, steps: int) -> float:
    first, *rest = _readings(cells, steps + WARM_UP)
    state, spent_s = start(cell, first), []
    for reading in rest:
        begun_s = cpu_s()
        state = step(cell, state, reading)
        spent_s.append(cpu_s() - begun_s)
    return median(spent_s[WARM_UP:])


def _power_s(cell: Cell, cells: int, steps: int) -> float:
    state, bounds, spent_s = _driven(cell, cells), Bounds.of(cell.file), []
    for _ in range(steps // 4):
        begun_s = cpu_s()
        power_ahead(cell, state, bounds)
        spent_s.append(cpu_s() - begun_s)
    return median(spent_s)


def _whole_s(cell: Cell, count: int, steps: int) -> float:
    """Everything that the daemon does with the cells once a second."""
    first, *rest = _readings(count, steps // 2 + WARM_UP)
    model = PackModel(cell, Bounds.of(cell.file), 0.1, 0.3)
    cells, estimate, spent_s = begin(cell, first, None), Estimate(), []
    for reading in rest:
        begun_s = cpu_s()
        cells = follow(cell, cells, reading)
        estimate = told(estimate, cells, model, -20.0, Warmth(20.0, 22.0, 24.0))
        spent_s.append(cpu_s() - begun_s)
    return median(spent_s[WARM_UP:])


def _driven(cell: Cell, cells: int) -> SocState:
    first, *rest = _readings(cells, WARM_UP)
    state = start(cell, first)
    for reading in rest:
        state = step(cell, state, reading)
    return state


def _filterpy_s(cell: Cell, steps: int) -> float | None:
    """Seconds of one step of one cell; None where filterpy is not installed."""
    try:
        from bms_daemon.offline.accuracy.filterpy_peers import extended
    except ModuleNotFoundError:
        return None
    from bms_daemon.offline.accuracy.protocol import Inputs

    spent_s = []
    for _ in range(PEER_RUNS):
        readings = _readings(1, steps // PEER_RUNS)
        rows = (np.array([getattr(r, name) for r in readings]) for name in ("current_a", "cell_v", "temp_degc"))
        current_a, voltage_v, temp_degc = rows
        seen = Inputs(np.ones(len(readings)), current_a, voltage_v, temp_degc[:, 0], np.array([0.5]))
        begun_s = cpu_s()
        extended(cell, seen)
        spent_s.append((cpu_s() - begun_s) / len(readings))
    return median(spent_s)
