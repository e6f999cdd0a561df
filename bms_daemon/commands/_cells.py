"""Cells as bars: a field of columns while there is room, one character a cell beyond that."""

from __future__ import annotations

import math

import numpy as np

from bms_daemon.commands._text import Row, bar, rule
from bms_daemon.config.schema import CellLimits
from bms_daemon.model import AfeScan, Channel, FloatArray, Quality

COLUMN = 20
BAR = 8
LEVELS = "▁▂▃▄▅▆▇█"


def heading(cells: Channel[AfeScan], width: int) -> Row:
    """Lowest, highest and spread."""
    scan = usable(cells)
    if scan is None or np.isnan(scan.cell_v).all():
        return rule("cells", width, f"no data: {cells.reason}" if scan is None else "no cell is known")
    low, high = int(np.nanargmin(scan.cell_v)), int(np.nanargmax(scan.cell_v))
    low_v, high_v = float(scan.cell_v[low]), float(scan.cell_v[high])
    age = "" if cells.quality is Quality.GOOD else f", {cells.age_s:.1f} s old: {cells.reason}"
    note = f"▼ {low_v:.3f} V #{low + 1}  ▲ {high_v:.3f} V #{high + 1}  spread {1000 * (high_v - low_v):.0f} mV{age}"
    return rule("cells", width, note)


def usable(cells: Channel[AfeScan]) -> AfeScan | None:
    """The scan, unless it is too old to be shown as if it were one."""
    return None if cells.quality is Quality.FAILED else cells.value


def field_height(count: int, width: int, most: int) -> int:
    """How many rows the cells take, at most ``most``."""
    needed = math.ceil(count / max(1, width // COLUMN))
    return needed if needed <= most else min(most, math.ceil(count / max(1, width)))


def field(cells: Channel[AfeScan], limits: CellLimits, width: int, height: int) -> list[Row]:
    """Every cell, in ``height`` rows: number, volts, bar from min_v to max_v and marks of the extremes."""
    scan = usable(cells)
    if scan is None:
        return [[] for _ in range(height)]
    voltages = scan.cell_v
    columns = max(1, width // COLUMN)
    if columns * height < len(voltages):
        return _sparks(voltages, limits, width, height)
    shown = [_cell(voltages, at, limits, cells.quality, _mark(voltages, at)) for at in range(len(voltages))]
    return [[span for cell in shown[at * columns : (at + 1) * columns] for span in cell] for at in range(height)]


def _mark(voltages: FloatArray, at: int) -> str:
    if np.isnan(voltages).all():
        return " "
    return {int(np.nanargmax(voltages)): "▲", int(np.nanargmin(voltages)): "▼"}.get(at, " ")


def _cell(voltages: FloatArray, at: int, limits: CellLimits, quality: Quality, mark: str) -> Row:
    value_v = float(voltages[at])
    style = "dim" if quality is not Quality.GOOD else _style(value_v, limits)
    text = f"{value_v:.3f}" if value_v == value_v else "  -  "
    return [(f"{at + 1:3} ", "dim"), (f"{text} ", style), (bar(_share(value_v, limits), BAR), style), (f"{mark}  ", "")]


def _sparks(voltages: FloatArray, limits: CellLimits, width: int, height: int) -> list[Row]:
    rows: list[Row] = []
    for row in range(height):
        part = voltages[row * width : (row + 1) * width].tolist()
        rows.append([(_level(value_v, limits), _style(value_v, limits)) for value_v in part])
    return rows


def _level(value_v: float, limits: CellLimits) -> str:
    if value_v != value_v:
        return "?"
    return LEVELS[min(7, max(0, int(8 * _share(value_v, limits))))]


def _share(value_v: float, limits: CellLimits) -> float:
    return (value_v - limits.min_v) / (limits.max_v - limits.min_v)


def _style(value_v: float, limits: CellLimits) -> str:
    if not limits.min_v <= value_v <= limits.max_v:
        return "bad"
    near = value_v < limits.min_v + limits.derate_span_v or value_v > limits.max_v - limits.derate_span_v
    return "warn" if near else "good"
