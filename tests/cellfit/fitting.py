"""Runs the command on recordings, and measures the file that it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from known_cell import CAPACITY_AH, KnownCell

from bms_daemon.__main__ import main
from bms_daemon.config.cellfile import load_cell
from bms_daemon.estimation.cell import Cell

WITHIN = np.linspace(0.12, 0.98, 87)


def fit(out: Path, *words: object) -> Cell:
    """The cell that the command writes, which has to say that it went well."""
    typed = ["fit-cell", "-o", out, "--capacity-ah", CAPACITY_AH, *words]
    assert main([str(word) for word in typed]) == 0
    return Cell(load_cell(out))


def voltage_error_v(cell: Cell, known: KnownCell, degc: float = 25.0) -> float:
    """The largest difference of the open-circuit voltages."""
    degcs = np.full(WITHIN.size, degc)
    return float(np.abs(cell.ocv_v(WITHIN, degcs) - known.open_circuit_v(WITHIN, degcs)).max())


def total_ratio(cell: Cell, known: KnownCell, degc: float = 25.0) -> np.ndarray:
    """Of the fitted to the known total resistance, over the middle of the state of charge."""
    soc = np.linspace(0.3, 0.9, 13)
    degcs = np.full(soc.size, degc)
    circuit = cell.circuit(soc, degcs)
    total_ohm: np.ndarray = circuit.series_ohm + circuit.pair_ohm.sum(axis=0)
    return total_ohm / (known.total_ohm * known.factor(soc, degcs))
