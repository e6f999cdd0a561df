"""Capacity: our estimator on parts of charges over the lives of recorded cells, beside counting alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

import numpy as np

from bms_daemon.offline.accuracy.capacity_recordings import AgedCell, aged_cells
from bms_daemon.offline.accuracy.capacity_rests import BELIEVED, after
from bms_daemon.offline.accuracy.capacity_windows import Found, Windows, between, through, window_ends
from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.fits import fitted
from bms_daemon.offline.accuracy.recordings import LG_DEGC, lg_cycles, lg_drive, lg_job
from bms_daemon.offline.accuracy.report import NO_DATA, against, number, share, table

WIDTHS_V = 0.4, 0.3, 0.1
RMSE_TARGET = {0.4: 1.0, 0.3: 1.0, 0.1: 3.0}
WORST_TARGET = {0.4: 3.0, 0.3: 3.0, 0.1: None}
ENOUGH = 0.5  # of the windows; an estimator that only answers when it is easy has met nothing
END_OF_LIFE = 70.0  # per cent of the nominal capacity
HEAD = (
    "cell, window", "windows", "estimates", "RMSE", "worst", "inside 2σ", "all windows: RMSE", "inside 2σ of it",
    "counting: RMSE",
)  # fmt: skip


def section(context: Context) -> list[str]:
    """The whole section as lines of Markdown; nothing in a quick run."""
    if context.quick:
        return []
    cells = aged_cells(context.data)
    tasks = [(cell, width_v) for cell in cells for width_v in WIDTHS_V]
    found = dict(zip(_keys(tasks), context.each("capacity", run, tasks, _label), strict=True))
    good, worn = [], []
    for (name, width_v), windows in found.items():
        title = f"{name}, {1000 * width_v:.0f} mV"
        good.append(_line(title, windows, END_OF_LIFE, inf, RMSE_TARGET[width_v], WORST_TARGET[width_v]))
        worn.append(_line(title, windows, 0.0, END_OF_LIFE))
    text = ["", "## Capacity from parts of charges", "", *table(HEAD, good or [[NO_DATA] * len(HEAD)])]
    text += ["", f"The same cells below {END_OF_LIFE:g} % of their nominal capacity:", "", *table(HEAD, worn)]
    return [*text, "", "By window, down to the end of life, RMSE and worst:", "", *_by_window(cells, found)]


def rests_section(context: Context) -> list[str]:
    """What the daemon learns from one drive, on the cycles that the fit in range has not seen."""
    if context.quick:
        return []
    job = lg_job(context.data, LG_DEGC)
    (file,) = context.each("fit", fitted, [job], lambda job: job.identity.name)
    drives = [lg_drive(lg_cycles(context.data, degc)[-1]) for degc in LG_DEGC]
    learned = context.each("rests", after, [(file, drive) for drive in drives], lambda task: task[1].name)
    rows = [[each.drive, *map(_cell, each.error, each.sigma, each.seen)] for each in learned]
    head = ["drive", *(f"believed {share:.0%} of it" for share in BELIEVED)]
    return ["", "## Capacity between two rests", "", *table(head, rows)]


def _cell(error: float, sigma: float, seen: bool) -> str:
    return f"{error:+.1f} ± {sigma:.1f}" if seen else "nothing learned"


def run(task: tuple[AgedCell, float]) -> list[Windows]:
    """All windows of one width through one cell's life."""
    cell, width_v = task
    return [through(cell, *ends) for ends in window_ends(width_v)]


def _keys(tasks: Sequence[tuple[AgedCell, float]]) -> list[tuple[str, float]]:
    return [(cell.name, width_v) for cell, width_v in tasks]


def _label(task: tuple[AgedCell, float]) -> str:
    return f"{task[0].name}, {1000 * task[1]:.0f} mV"


def _line(
    title: str,
    windows: Sequence[Windows],
    least: float,
    most: float,
    rmse: float | None = None,
    worst: float | None = None,
) -> list[str]:
    everything = between(windows, least, most)
    found = [each for each in everything if each.informed]
    if not everything:
        return [title, "0", *["-"] * (len(HEAD) - 2)]
    enough = len(found) >= ENOUGH * len(everything)
    return [
        title,
        str(len(everything)),
        str(len(found)),
        *(_judged(found, rmse, worst, enough) if found else ["-"] * 3),
        number(_rms([each.error for each in everything]), 2),
        share(_inside(everything)),
        _counting(everything),
    ]


def _judged(found: Sequence[Found], rmse: float | None, worst: float | None, enough: bool) -> list[str]:
    """Targets are only met where enough windows give an estimate."""
    off = [each.error for each in found]
    figures = (_rms(off), rmse), (max(map(abs, off)), worst)
    text = [against(figure, target, 2) if enough else _too_few(figure, target) for figure, target in figures]
    return [*text, share(_inside(found))]


def _too_few(figure: float, target: float | None) -> str:
    return number(figure, 2) if target is None else f"{number(figure, 2)} ({target:g}: **missed**, too few)"


def _counting(found: Sequence[Found]) -> str:
    """Without windows over which the reference does not reach."""
    known = [each.counting for each in found if isfinite(each.counting)]
    return number(_rms(known), 2) if known else "-"


def _by_window(cells: Sequence[AgedCell], found: dict[tuple[str, float], list[Windows]]) -> list[str]:
    names = [cell.name for cell in cells]
    rows = [
        [f"{low_v:.2f}-{high_v:.2f} V", *(_both(found[name, width_v][at]) for name in names)]
        for width_v in WIDTHS_V
        for at, (low_v, high_v) in enumerate(window_ends(width_v))
    ]
    return table(["window", *names], rows)


def _both(windows: Windows) -> str:
    everything = between([windows], END_OF_LIFE, inf)
    off = [each.error for each in everything if each.informed]
    told = f"({len(off)} of {len(everything)})"
    return f"{_rms(off):.2f} / {max(map(abs, off)):.2f} {told}" if off else f"- {told}"


def _inside(found: Sequence[Found]) -> float:
    return float(np.mean([abs(each.error) <= 2.0 * each.sigma for each in found]))


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
