"""A recording of one cell through the estimator: one line out for every line in, whatever stands in it."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.cells import Cells, begin, follow
from bms_daemon.estimation.soc import Reading
from bms_daemon.estimation.soc_filter import BIAS, FAST
from bms_daemon.estimation.soc_voltage import model_v
from bms_daemon.estimation.sop import power_ahead
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.columns import Column, ColumnError

HEADER = (
    "time_s", "soc", "soc_sigma", "soc_published", "voltage_model_v", "capacity_ah", "capacity_sigma_ah", "r0_ohm",
    "current_bias_a", "discharge_power_10s_w", "charge_power_10s_w",
)  # fmt: skip
HORIZONS_S = (10.0,)
NAN = float("nan")
At = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the recording in our units; NaN where it says nothing that can be read."""

    time_s: float
    current_a: float
    voltage_v: float
    temp_degc: float


@dataclass(slots=True)
class Tally:
    """How many lines there were, and why some could not be used as they stand."""

    rows: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    def count(self, why: str | None) -> None:
        self.rows += 1
        if why:
            self.bad[why] += 1


def estimate(
    cell: Cell, recording: Path, columns: CellColumns, out: TextIO, initial_soc: float | None, at: At
) -> Tally:
    """Write the estimate of every line to ``out``. ``at`` gets the bytes read so far. Raises ColumnError."""
    tally, writer = Tally(), csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    cells: Cells | None = None
    last_s = NAN
    with _open(recording) as (text, position):
        for row in _rows(text, recording, columns):
            dt_s = row.time_s - last_s
            last_s = row.time_s if row.time_s == row.time_s else last_s
            reading = _reading(row, dt_s)
            if cells is None:
                known = None if initial_soc is None else (np.array([initial_soc]), None)
                cells = begin(cell, reading, known)
                tally.count(_fault(row, 1.0, cells))
            else:
                cells = follow(cell, cells, reading)
                tally.count(_fault(row, dt_s, cells))
            writer.writerow(_line(cell, row, cells))
            at(position())
    return tally


def _reading(row: Row, dt_s: float) -> Reading:
    arrays = (np.array([value]) for value in (row.current_a, row.voltage_v, row.temp_degc))
    return Reading(dt_s, *arrays)


def _fault(row: Row, dt_s: float, cells: Cells) -> str | None:
    if row.time_s != row.time_s:
        return "no time"
    if not dt_s > 0.0:
        return "time does not advance"
    if row.current_a != row.current_a:
        return "no current"
    if row.voltage_v != row.voltage_v:
        return "no voltage"
    return "impossible current or voltage" if cells.soc.unusable[0] else None


def _line(cell: Cell, row: Row, cells: Cells) -> list[str]:
    state, health = cells.soc, cells.soh
    now = state.filter
    mean = now.mean[:, 0]
    ahead = power_ahead(cell, state, Bounds.of(cell.file), horizons_s=HORIZONS_S)
    values = (
        row.time_s,
        state.soc[0],
        state.soc_sigma[0],
        state.published[0],
        model_v(cell, now, now.current_a, state.temp_degc)[0],
        health.capacity_ah[0],
        health.capacity_sigma_ah[0],
        float(now.circuit.series_ohm[0] * np.exp(mean[FAST])),
        mean[BIAS],
        ahead.discharge_w[0],
        ahead.charge_w[0],
    )
    return [f"{value:.7g}" if value == value else "" for value in map(float, values)]


@contextmanager
def _open(path: Path) -> Iterator[tuple[TextIO, Callable[[], int]]]:
    """The file's text, plain or .gz, and how many of its bytes have been read."""
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked:
            opened = unpacked if path.suffix == ".gz" else raw
            yield io.TextIOWrapper(opened, encoding="utf-8-sig", errors="replace", newline=""), raw.tell
    except (OSError, EOFError) as error:
        raise ColumnError(f"{path}: {error}") from None


def _rows(text: TextIO, path: Path, columns: CellColumns) -> Iterator[Row]:
    reader = csv.reader(line.replace("\0", "") for line in text)
    header = [name.strip() for name in next(reader, [])]
    always = columns.time, columns.current, columns.voltage
    wanted = (*always, columns.temperature) if columns.wants_temperature else always
    missing = [column.column for column in wanted if column.column not in header]
    if missing:
        raise ColumnError(
            f"{path}: no column {', '.join(missing)}; there are {', '.join(header[:40]) or 'none'}; "
            "--columns MAP.toml gives own names"
        )
    pick = [(header.index(c.column) if c.column in header else -1, c) for c in (*always, columns.temperature)]
    while True:
        try:
            line = next(reader)
        except StopIteration:
            return
        except csv.Error:
            line = []
        yield Row(*(_value(line, index, column) for index, column in pick))


def _value(line: list[str], index: int, column: Column) -> float:
    try:
        raw = float(line[index]) if index >= 0 else NAN
    except (ValueError, IndexError):
        return NAN
    value = column.sign * column.scale * raw + column.offset
    return value if np.isfinite(value) and raw not in column.invalid else NAN
