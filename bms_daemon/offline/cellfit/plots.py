"""Pictures of a fit, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bms_daemon.estimation.cell import Cell
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.predict import residual_v, two_minute_mean
from bms_daemon.offline.cellfit.trace import Trace

SOC: FloatArray = np.linspace(0.0, 1.0, 401)
SIZE_IN, DPI = (8.0, 4.5), 100


def picture_of_ocv(path: Path, cell: Cell, traces: Sequence[Trace]) -> None:
    """The fitted curve at every temperature of the file, with what the slow recordings measured."""
    figure, axes = _axes("state of charge", "voltage, V")
    for trace in traces:
        if trace.kind == "ocv":
            axes.plot(trace.soc, trace.voltage_v, ".", markersize=1.5, alpha=0.5, label=trace.name)
    for degc in cell.file.resistance.temperature_degc:
        axes.plot(SOC, cell.ocv_v(SOC, np.full(SOC.size, degc)), label=f"fitted, {degc:g} degC")
    _save(figure, axes, path)


def picture_of_resistances(path: Path, cell: Cell) -> None:
    """Series and total resistance over state of charge, a colour for every temperature."""
    figure, axes = _axes("state of charge", "resistance, mOhm")
    for number, degc in enumerate(cell.file.resistance.temperature_degc):
        circuit = cell.circuit(SOC, np.full(SOC.size, degc))
        total_ohm = circuit.series_ohm + circuit.pair_ohm.sum(axis=0)
        axes.plot(SOC, 1e3 * circuit.series_ohm, "--", color=f"C{number}", label=f"series, {degc:g} degC")
        axes.plot(SOC, 1e3 * total_ohm, "-", color=f"C{number}", label=f"with all pairs, {degc:g} degC")
    axes.set_ylim(bottom=0.0)
    _save(figure, axes, path)


def picture_of_residuals(path: Path, cell: Cell, trace: Trace) -> None:
    figure, axes = _axes("state of charge", "measured less predicted, mV")
    left_v = residual_v(cell, trace)
    axes.plot(trace.soc, 1e3 * left_v, ".", markersize=1.0, color="0.7", label="rows")
    axes.plot(trace.soc, 1e3 * two_minute_mean(trace.time_s, left_v), linewidth=1.0, label="mean over two minutes")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_title(f"{trace.name} ({trace.kind})")
    _save(figure, axes, path)


def _axes(across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, linewidth=0.3)
    return figure, axes


def _save(figure: Figure, axes: Any, path: Path) -> None:
    axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=DPI)
