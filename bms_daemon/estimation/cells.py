"""The cells as the estimators know them: charge and health, which need each other."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.estimation import soc, soh
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState
from bms_daemon.estimation.soh import SohState
from bms_daemon.model import FloatArray


@dataclass(frozen=True, slots=True)
class Cells:
    """State of charge and of health of every cell; ``restarts`` counts how often the former had to begin anew."""

    soc: SocState
    soh: SohState
    restarts: int = 0


def begin(
    cell: Cell, reading: Reading, known: tuple[FloatArray, FloatArray | None] | None, kept: tuple[float, ...] = ()
) -> Cells:
    """With states of charge and sigmas (n,) that somebody knows, and the health that an earlier run kept."""
    health = soh.begin(cell, reading.cell_v.size, kept)
    charge = soc.start(
        cell, reading, *(known or (None, None)), capacity_ah=health.capacity_ah, growth=health.growth
    )
    return Cells(charge, health)


def follow(cell: Cell, cells: Cells, reading: Reading) -> Cells:
    """One more sample. Where a step gives no numbers, the cell begins anew from what was published."""
    charge, restarts = soc.step(cell, cells.soc, reading), cells.restarts
    if not soc.finite(charge):
        charge = soc.restarted(cell, charge, cells.soc, reading, cells.soh.capacity_ah, cells.soh.growth)
        restarts += 1
    mean_a = reading.mean_a
    if mean_a is None:
        mean_a = 0.5 * (cells.soc.filter.current_a + reading.current_a)
    health = soh.step(cell, cells.soh, charge, reading.dt_s, mean_a)
    return Cells(soc.with_capacity(charge, health.capacity_ah), health, restarts)
