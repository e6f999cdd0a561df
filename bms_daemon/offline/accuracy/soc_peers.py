"""Every estimator on the same drive and disturbances; those of filterpy on the same cell file as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.estimators import COUNTING, EXTENDED, OURS, PYBATTERYSE, UNSCENTED, Task, run
from bms_daemon.offline.accuracy.header import PEERS
from bms_daemon.offline.accuracy.protocol import SOME
from bms_daemon.offline.accuracy.report import number, share, table
from bms_daemon.offline.accuracy.score import POINTS, Summary, summary
from bms_daemon.offline.accuracy.soc_cases import Line

QUICK = (OURS, COUNTING)
EVERYBODY = (OURS, COUNTING, EXTENDED, UNSCENTED, PYBATTERYSE)
Found = dict[tuple[str, str], Summary]  # by line and estimator


def compared(context: Context, lines: Sequence[Line]) -> list[str]:
    """Tables of errors, of starts, and of honesty; a column an estimator."""
    chosen = [line for line in lines if line.tasks and line.test.compared]
    names = QUICK if context.quick else EVERYBODY
    places = [(line, name) for line in chosen for name in names if name != PYBATTERYSE or line.test.mixed]
    scores = context.each("compare", run, [_task(*place) for place in places], lambda task: task.label)
    found = {(line.test.title, name): summary(each) for (line, name), each in zip(places, scores, strict=True)}
    text = [] if context.quick else _explained().splitlines()
    for head, view in VIEWS.items():
        rows = [[line.test.title, *(_cell(found, line, name, view) for name in names)] for line in chosen]
        text += ["", *table([head, *names], rows)]
    return text


def _explained() -> str:
    from bms_daemon.offline.accuracy.filterpy_peers import NOISE_V, PAIR_WALK_V, SOC_WALK

    return PEERS.format(noise_mv=1e3 * NOISE_V, pair_mv=1e3 * PAIR_WALK_V, soc=POINTS * SOC_WALK)


def _task(line: Line, name: str) -> Task:
    """On the line's last drive."""
    return replace(line.tasks[-1], estimator=name, disturbances=SOME)


def _cell(found: Found, line: Line, name: str, view: Callable[[Summary], str]) -> str:
    seen = found.get((line.test.title, name))
    return "-" if seen is None else view(seen)


def _errors(seen: Summary) -> str:
    return f"{number(seen.rmse, 2)} / {number(seen.worst, 1)}"


def _starts(seen: Summary) -> str:
    settle_min = None if seen.settle_s is None else seen.settle_s / 60.0
    return f"{number(seen.undisturbed, 2)} / {number(settle_min, 1)}"


def _honesty(seen: Summary) -> str:
    return f"{share(seen.honest)} / {share(seen.inside)}"


VIEWS: dict[str, Callable[[Summary], str]] = {
    "mean RMSE / worst": _errors,
    "RMSE undisturbed / minutes to 3 points": _starts,
    "honest runs / least inside 2σ": _honesty,
}
