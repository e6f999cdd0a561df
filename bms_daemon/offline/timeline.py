"""When each row of a recording is served, and how: the rules of replay, as plain arrays and pieces.

Time between two rows is their difference in the file. A row with dt <= 0 is not served. Between two good rows at most
60 s apart values are interpolated. A row that is bad by value stands as it is for one row interval. A gap of 60 s to
10 min is silence; a longer one ends the part, and the next begins with a cold start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.config.schema import Settings
from bms_daemon.model import FloatArray
from bms_daemon.offline.recording import Recording

JOIN_S = 60.0
COLD_S = 600.0


@dataclass(frozen=True, slots=True)
class Piece:
    """From ``start_s`` to ``end_s`` of the part's own time: row ``row``, moving towards ``to_row`` if there is one.

    ``row`` -1 is silence.
    """

    start_s: float
    end_s: float
    row: int
    to_row: int = -1


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the daemon: from a cold start to the next. ``windows``: row -> the time in which it is judged."""

    pieces: tuple[Piece, ...]
    windows: tuple[tuple[int, float, float], ...]

    @property
    def end_s(self) -> float:
        return self.pieces[-1].end_s


def bad_values(recording: Recording, settings: Settings) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows of which a cell or a probe lies outside of what the configuration calls possible; shape (rows,).

    It decides how a row is served only. Whether the daemon notices is its own affair.
    """
    cell, temperature = settings.cell, settings.temperature
    cells_good = (recording.cell_v >= cell.valid_min_v) & (recording.cell_v <= cell.valid_max_v)
    probes_good = recording.probe_degc >= temperature.valid_min_degc
    probes_good &= recording.probe_degc <= temperature.valid_max_degc
    return np.asarray(~(cells_good.all(axis=1) & probes_good.all(axis=1)))


def row_interval_s(dt_s: FloatArray) -> float:
    """The recording's usual step: the median of those that join rows; 30 s if none does."""
    joining = dt_s[(dt_s > 0.0) & (dt_s <= JOIN_S)]
    return float(np.median(joining)) if joining.size else 30.0


def parts_of(recording: Recording, settings: Settings) -> list[Part]:
    """Cut a recording into runs of the daemon."""
    dt_s, bad = recording.dt_s, bad_values(recording, settings)
    interval_s = row_interval_s(dt_s)
    parts: list[Part] = []
    rows: list[tuple[int, float]] = []
    now_s = 0.0
    for row in range(recording.rows):
        step_s = float(dt_s[row])
        if step_s > COLD_S and rows:
            parts.append(_part(rows, bad, interval_s))
            rows, now_s = [], 0.0
        elif step_s > 0.0 and rows:
            now_s += step_s
        if not step_s <= 0.0:
            rows.append((row, now_s))
    if rows:
        parts.append(_part(rows, bad, interval_s))
    return parts


def _part(rows: list[tuple[int, float]], bad: np.ndarray[tuple[int], np.dtype[np.bool_]], interval_s: float) -> Part:
    pieces: list[Piece] = []
    windows: list[tuple[int, float, float]] = []
    for (row, start_s), following in zip(rows, [*rows[1:], None], strict=True):
        next_s = start_s + interval_s if following is None else following[1]
        gap = next_s - start_s > JOIN_S
        end_s = start_s + interval_s if gap else next_s
        joined = following is not None and not gap and not bad[row] and not bad[following[0]]
        pieces.append(Piece(start_s, end_s, row, following[0] if joined and following else -1))
        windows.append((row, start_s, end_s))
        if gap:
            pieces.append(Piece(end_s, next_s, -1))
    return Part(tuple(pieces), tuple(windows))
