"""One recording of one cell: rows that can be used, in order of time, and a note on those that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.settings import Kind
from bms_daemon.offline.columns import ColumnError
from bms_daemon.offline.recording import Table, one, read_table

FEWEST_ROWS = 20
MOST_C = 60.0  # a larger current is a logger's fault, of a capacity; 1/h
MARGIN_V = 0.7  # how far beyond its limits a cell can be seen to go; more is a logger's fault
COLDEST_DEGC, HOTTEST_DEGC = -60.0, 100.0


@dataclass(frozen=True, slots=True)
class Source:
    """A file that somebody named, what kind it is, and its temperature where that was said with it."""

    path: Path
    kind: Kind
    temperature_degc: float | None = None


@dataclass(frozen=True, slots=True)
class Possible:
    """What a cell's samples can be: voltages that it may have, and the largest current either way, V and A."""

    min_v: float
    max_v: float
    most_a: float

    @classmethod
    def of(cls, min_v: float, max_v: float, capacity_ah: float) -> Self:
        return cls(min_v, max_v, MOST_C * capacity_ah)


@dataclass(frozen=True, slots=True)
class Log:
    """Arrays of shape (rows,), all known, times rising. ``counted_ah`` rises when charging; None without a counter."""

    time_s: FloatArray
    current_a: FloatArray
    voltage_v: FloatArray
    temperature_degc: FloatArray
    counted_ah: FloatArray | None
    notes: tuple[str, ...] = ()

    def only(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp], note: str = "") -> Log:
        """The rows that are picked; the note says why others are not."""
        arrays = {
            field.name: value[rows]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **arrays, notes=(*self.notes, note) if note else self.notes)


def read_log(source: Source, columns: CellColumns, possible: Possible, usual_degc: float) -> Log:
    """Read and clean one file. Raises ColumnError for columns that are not there and for too few rows."""
    table = read_table(source.path)
    degc, notes = _temperature(table, columns, source, usual_degc)
    charge = columns.charge
    raw = Log(
        one(table, columns.time, source.path),
        one(table, columns.current, source.path),
        one(table, columns.voltage, source.path),
        degc,
        None if charge is None else one(table, charge, source.path),
        notes,
    )
    log = _in_order(_usable(raw, possible))
    if log.time_s.size < FEWEST_ROWS:
        why = f" ({'; '.join(log.notes)})" if log.notes else ""
        raise ColumnError(f"{source.path}: {log.time_s.size} usable rows, {FEWEST_ROWS} are wanted{why}")
    return log


def _temperature(
    table: Table, columns: CellColumns, source: Source, usual_degc: float
) -> tuple[FloatArray, tuple[str, ...]]:
    """What was said with the file counts most, then the column, then what was said for all files."""
    rows = one(table, columns.time, source.path).size
    if source.temperature_degc is not None:
        return np.full(rows, source.temperature_degc), ()
    if columns.temperature.column not in table and not columns.wants_temperature:
        return np.full(rows, usual_degc), (f"no temperature column: {usual_degc:g} degC taken",)
    degc = one(table, columns.temperature, source.path)
    known = (degc >= COLDEST_DEGC) & (degc <= HOTTEST_DEGC)
    if not known.any():
        return np.full(rows, usual_degc), (f"no temperature known: {usual_degc:g} degC taken",)
    notes = (f"{rows_text(~known)}: temperature taken from their neighbours",) if not known.all() else ()
    return np.interp(np.arange(rows), np.flatnonzero(known), degc[known]), notes


def _usable(log: Log, possible: Possible) -> Log:
    for lost, why in _faults(log, possible):
        if lost.any():
            return _usable(log.only(~lost, f"{rows_text(lost)} dropped: {why}"), possible)
    return log


def _faults(log: Log, possible: Possible) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    yield ~np.isfinite(log.time_s), "no time"
    yield ~np.isfinite(log.current_a), "no current"
    yield ~np.isfinite(log.voltage_v), "no voltage"
    yield np.abs(log.current_a) > possible.most_a, f"current above {possible.most_a:g} A"
    low_v, high_v = possible.min_v - MARGIN_V, possible.max_v + MARGIN_V
    yield (log.voltage_v < low_v) | (log.voltage_v > high_v), f"voltage not within {low_v:.2f} to {high_v:.2f} V"
    if log.counted_ah is not None:
        yield ~np.isfinite(log.counted_ah), "no counted charge"


def _in_order(log: Log) -> Log:
    """Times that rise; of rows with one time the last, which is what holds from then on."""
    order = np.argsort(log.time_s, kind="stable")
    moved = int(np.sum(np.diff(log.time_s) < 0))
    log = log.only(order, f"times went backwards {moved} times: rows sorted" if moved else "")
    last = np.append(np.diff(log.time_s) > 0, True)[: log.time_s.size]
    return log.only(last, "" if last.all() else f"{rows_text(~last)} dropped: the next row has the same time")


def rows_text(rows: npt.NDArray[np.bool_]) -> str:
    """How many rows are picked, for a note."""
    number = int(np.sum(rows))
    return "1 row" if number == 1 else f"{number} rows"
