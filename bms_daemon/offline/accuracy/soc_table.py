"""State of charge: our estimator on every line's drives, beside others on one of them, best and worst run drawn."""

from __future__ import annotations

from collections.abc import Sequence

from bms_daemon.config.cellfile import CellFile
from bms_daemon.offline.accuracy.cache import job_digest
from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.estimators import OURS, Task, run
from bms_daemon.offline.accuracy.fits import fitted
from bms_daemon.offline.accuracy.protocol import ALL
from bms_daemon.offline.accuracy.report import HEAD, number, row, table
from bms_daemon.offline.accuracy.score import mean_rmse, summary
from bms_daemon.offline.accuracy.soc_cases import Line, Test, tests
from bms_daemon.offline.accuracy.soc_peers import compared
from bms_daemon.offline.accuracy.soc_pictures import pictures


def section(context: Context) -> list[str]:
    """The whole section as lines of Markdown."""
    lines = _measured(context, tests(context))
    text = ["## State of charge", "", *_main(lines), "", "The mean RMSE of the same runs by disturbance:", ""]
    text += [*_by_disturbance(lines), "", "## Beside other estimators", *compared(context, lines)]
    return text if context.pictures is None else [*text, "", *pictures(context.pictures, lines)]


def _measured(context: Context, chosen: Sequence[Test]) -> list[Line]:
    files = _fits(context, chosen)
    groups = [
        [Task(OURS, files[index], test.job, drive, test.disturbances) for drive in test.drives if test.job]
        for index, test in enumerate(chosen)
    ]
    scores = iter(context.each("run", run, [task for group in groups for task in group], lambda task: task.label))
    return [
        Line(test, tuple(group), tuple(one for _ in group for one in next(scores)))
        for test, group in zip(chosen, groups, strict=True)
    ]


def _fits(context: Context, chosen: Sequence[Test]) -> dict[int, CellFile]:
    """By the test's place; every job is fitted once."""
    digests = {index: job_digest(test.job) for index, test in enumerate(chosen) if test.job}
    jobs = {digest: chosen[index].job for index, digest in digests.items()}
    found = context.each("fit", fitted, [job for job in jobs.values() if job], lambda job: job.identity.name)
    files = dict(zip(jobs, found, strict=True))
    return {index: files[digest] for index, digest in digests.items()}


def _main(lines: Sequence[Line]) -> list[str]:
    rows = [
        row(line.test.title, summary(line.scores) if line.scores else None, line.test.targets) for line in lines
    ]
    return table(HEAD, rows)


def _by_disturbance(lines: Sequence[Line]) -> list[str]:
    """Where the error comes from."""
    chosen = [line for line in lines if line.scores and line.test.disturbances == ALL]
    rows = [[line.test.title, *(number(mean_rmse(line.scores, each), 2) for each in ALL)] for line in chosen]
    return table(["test", *(each.name for each in ALL)], rows)
