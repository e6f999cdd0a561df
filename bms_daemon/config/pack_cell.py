"""The cell file that a pack names, scaled from the measured cell to the pack's own cells."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from bms_daemon.config.cellfile import CellFile, CellFileError, Heat, load_cell
from bms_daemon.config.schema import Settings

CELLS = Path(str(files("bms_daemon").joinpath("data", "config", "cells")))


def pack_cell(settings: Settings) -> CellFile:
    """What stands for every cell of this pack. Raises CellFileError, also for another chemistry than the pack's."""
    pack = settings.pack
    path = pack.cell_file or CELLS / f"generic-{pack.chemistry}.toml"
    file = load_cell(path if path.suffix else CELLS / f"{path}.toml")
    if file.cell.chemistry != pack.chemistry:
        raise CellFileError(f"{path}: describes an {file.cell.chemistry} cell; pack.chemistry is {pack.chemistry}")
    return scaled(file, pack.capacity_ah)


def scaled(file: CellFile, capacity_ah: float) -> CellFile:
    """The same cell with another capacity, as many in parallel would be: twice the capacity, half the resistances."""
    parallel = capacity_ah / file.cell.capacity_ah
    res, heat = file.resistance, file.heat
    ohms = {
        "series_ohm": _divided(res.series_ohm, parallel),
        "pair_ohm": tuple(_divided(table, parallel) for table in res.pair_ohm),
    }
    changes: dict[str, Any] = {
        "cell": file.cell.model_copy(update={"capacity_ah": capacity_ah}),
        "resistance": res.model_copy(update=ohms),
    }
    if heat is not None:
        changes["heat"] = Heat(
            capacity_j_per_k=heat.capacity_j_per_k * parallel, resistance_k_per_w=heat.resistance_k_per_w / parallel
        )
    return file.model_copy(update=changes)


def _divided(table: tuple[tuple[float, ...], ...], by: float) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(value / by for value in row) for row in table)
