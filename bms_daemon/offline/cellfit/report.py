"""The report of a fit: how far every recording is from the file, what was left out, and what no recording covers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.plots import picture_of_ocv, picture_of_residuals, picture_of_resistances
from bms_daemon.offline.cellfit.predict import EMPTY_SOC, Quality, quality
from bms_daemon.offline.cellfit.solve import Step
from bms_daemon.offline.cellfit.trace import Trace

SOC_BINS: FloatArray = np.linspace(0.0, 1.0, 11)
FLOWING_C = 0.1  # a row with less current over capacity says little about resistances
LITTLE_MIN = 1.0  # less time than this in a field of the table counts as not covered


def measured(cell: Cell, traces: Sequence[Trace], step: Step) -> list[Quality]:
    """``step`` is called once a recording, here and for the pictures."""
    found = []
    for trace in traces:
        found.append(quality(cell, trace))
        step()
    return found


def write_report(folder: Path, cell: Cell, traces: Sequence[Trace], qualities: Sequence[Quality], step: Step) -> None:
    """``report.md`` and its pictures. Raises OSError."""
    picture_of_ocv(folder / "ocv.png", cell, traces)
    picture_of_resistances(folder / "resistances.png", cell)
    names = [f"residuals-{number}.png" for number in range(1, len(traces) + 1)]
    for name, trace in zip(names, traces, strict=True):
        picture_of_residuals(folder / name, cell, trace)
        step()
    (folder / "report.md").write_text("\n".join(_lines(cell, traces, qualities, names)) + "\n", encoding="utf-8")


def quality_table(qualities: Sequence[Quality]) -> list[str]:
    """A table of residuals in mV, as Markdown that reads well in a terminal too."""
    width = max(len(each.name) for each in qualities)
    head = f"| {'recording':<{width}} | kind   |   rows | rms mV | 2 min mV | worst mV |"
    rule = f"|{'-' * (width + 2)}|--------|-------:|-------:|---------:|---------:|"
    return [head, rule, *(_quality_row(each, width) for each in qualities)]


def _quality_row(each: Quality, width: int) -> str:
    millivolts = f"{1e3 * each.rms_v:6.1f} | {1e3 * each.mean_rms_v:8.1f} | {1e3 * each.worst_v:8.1f}"
    return f"| {each.name:<{width}} | {each.kind:<6} | {each.rows:6d} | {millivolts} |"


def _lines(cell: Cell, traces: Sequence[Trace], qualities: Sequence[Quality], pictures: Sequence[str]) -> list[str]:
    lines = [f"# {cell.file.cell.name}", "", "Measured less what the file predicts: whole recordings; means"]
    lines += [f"over two minutes, and the worst of these, above {EMPTY_SOC:.0%} charge.", ""]
    lines += [*quality_table(qualities), "", "## What was not covered", "", *_coverage(cell, traces)]
    lines += ["", "## Heat", "", _heat(cell), "", "## Rows left out", "", *_notes(traces), "", "## Pictures", ""]
    lines += ["![Open-circuit voltage](ocv.png)", "", "![Resistances](resistances.png)"]
    for trace, picture in zip(traces, pictures, strict=True):
        lines += ["", f"![{trace.name}]({picture})"]
    return lines


def _notes(traces: Sequence[Trace]) -> list[str]:
    notes = [f"- {trace.name}: {note}" for trace in traces for note in trace.notes]
    return notes or ["None."]


def _heat(cell: Cell) -> str:
    heat = cell.file.heat
    if heat is None:
        return "Not in the file: the temperatures recorded do not tell it."
    return f"{heat.capacity_j_per_k:g} J/K and {heat.resistance_k_per_w:g} K/W to its surroundings, by the sensor used."


def _coverage(cell: Cell, traces: Sequence[Trace]) -> list[str]:
    """Minutes with current over state of charge and the temperatures of the file's tables."""
    knots = np.array(cell.file.resistance.temperature_degc)
    minutes = sum((_minutes(cell, trace, knots) for trace in traces), np.zeros((SOC_BINS.size - 1, knots.size)))
    lines = [f"Minutes with at least {FLOWING_C:g} C, by state of charge and temperature; **0** is not covered."]
    lines += ["", "| charge | " + " | ".join(f"{degc:g} degC" for degc in knots) + " |"]
    lines.append("|---|" + "---:|" * knots.size)
    for low, row in zip(SOC_BINS[:-1], minutes, strict=True):
        fields = [f"{value:.0f}" if value >= LITTLE_MIN else "**0**" for value in row]
        lines.append(f"| {low:.0%} to {low + 0.1:.0%} | " + " | ".join(fields) + " |")
    lines += ["", f"Temperatures seen: {_span(traces)}. Beyond, resistances follow the usual law of growth."]
    return lines


def _minutes(cell: Cell, trace: Trace, knots: FloatArray) -> FloatArray:
    """(states, temperatures)."""
    flows = np.abs(trace.current_a) >= FLOWING_C * cell.capacity_ah
    minutes = np.diff(trace.time_s, append=trace.time_s[-1]) / 60.0 * flows * ~np.append(trace.gap[1:], False)
    nearest = np.abs(trace.temperature_degc[:, None] - knots).argmin(axis=1)
    edges = [SOC_BINS, np.arange(knots.size + 1) - 0.5]
    table: FloatArray = np.histogram2d(trace.soc, nearest, bins=edges, weights=minutes)[0]
    return table


def _span(traces: Sequence[Trace]) -> str:
    low = min(trace.temperature_degc.min() for trace in traces)
    high = max(trace.temperature_degc.max() for trace in traces)
    return f"{low:.0f} to {high:.0f} degC"
