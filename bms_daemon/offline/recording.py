"""A recording of a pack: times, current, every cell, every probe, in our units and signs. CSV (also .gz) or Parquet."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.columns import Column, ColumnError, ColumnMap, Numbered

Table = dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows as they stand in the file. ``cell_v`` (rows, cells), ``probe_degc`` (rows, probes); NaN where not known."""

    time_s: FloatArray
    current_a: FloatArray
    cell_v: FloatArray
    probe_degc: FloatArray

    @property
    def rows(self) -> int:
        return int(self.time_s.size)

    @property
    def dt_s(self) -> FloatArray:
        """From the row before; NaN for the first."""
        return np.diff(self.time_s, prepend=np.nan)

    def between(self, first: int, last: int) -> Recording:
        """Rows ``first`` to ``last``, the last not included."""
        cut = slice(first, last)
        return Recording(self.time_s[cut], self.current_a[cut], self.cell_v[cut], self.probe_degc[cut])


def read(path: Path, columns: ColumnMap, cells: Sequence[int] = ()) -> Recording:
    """Read a file. ``cells`` picks cell numbers in place of the map's. Raises ColumnError for what is not there."""
    table = read_table(path)
    return Recording(
        time_s=_times(table, columns.time, path),
        current_a=one(table, columns.current, path),
        cell_v=_many(table, columns.cells, tuple(cells) or columns.cells.numbers, path),
        probe_degc=_many(table, columns.temps, columns.temps.numbers, path),
    )


def read_table(path: Path) -> Table:
    """Every column of a file by its name; NaN where a field is no number. Raises ColumnError."""
    return _parquet(path) if path.suffix == ".parquet" else _csv(path)


def one(table: Table, column: Column, path: Path) -> FloatArray:
    """One quantity in our units and sign. Raises ColumnError where the file has no such column."""
    if column.column not in table:
        raise ColumnError(f"{path}: no column {column.column!r}; there are {', '.join(sorted(table)[:40])}")
    return column.convert(table[column.column])


def _times(table: Table, column: Column, path: Path) -> FloatArray:
    """Without its time a row has no place among the others."""
    time_s = one(table, column, path)
    lost = np.flatnonzero(~np.isfinite(time_s))
    if lost.size:
        more = f" ({lost.size - 1} more like it)" if lost.size > 1 else ""
        raise ColumnError(f"{path}: row {lost[0]} has no time{more}; rows are counted from 0")
    return time_s


def _many(table: Table, column: Numbered, numbers: Sequence[int], path: Path) -> FloatArray:
    if "{n}" not in column.column:
        raise ColumnError(f"{column.column!r} has no {{n}} for the number")
    numbers = numbers or _all_numbers(table, column.column)
    if not numbers:
        raise ColumnError(f"{path}: no column like {column.column!r}; there are {', '.join(sorted(table)[:40])}")
    names = [column.column.replace("{n}", str(n)) for n in numbers]
    missing = [name for name in names if name not in table]
    if missing:
        raise ColumnError(f"{path}: no column {', '.join(missing)}")
    return np.column_stack([column.convert(table[name]) for name in names])


def _all_numbers(table: Table, pattern: str) -> list[int]:
    shape = re.compile(re.escape(pattern).replace(re.escape("{n}"), r"(\d+)"))
    return sorted(int(match[1]) for name in table if (match := shape.fullmatch(name)))


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ColumnError("Parquet needs pyarrow: pip install 'bms-daemon[offline]'") from None
    try:
        read_table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise ColumnError(f"{path}: {error}") from None
    found: Table = {}
    for name in read_table.column_names:
        column = read_table[name].to_numpy()
        if np.issubdtype(column.dtype, np.number):
            found[name] = column.astype(np.float64)
    return found


def _csv(path: Path) -> Table:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
        reader = csv.reader(text.splitlines())
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ColumnError(f"{path}: {error}") from None
    if len(rows) < 2:
        raise ColumnError(f"{path}: a header line and at least one row are wanted")
    (_, header), *body = rows
    for line, row in body:
        if len(row) != len(header):
            raise ColumnError(f"{path}: line {line} has {len(row)} fields, the header has {len(header)}")
    return {name.strip(): np.array([_number(row[i]) for _, row in body]) for i, name in enumerate(header)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
