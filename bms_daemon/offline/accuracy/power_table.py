"""Power ahead: the current allowed for ten seconds against measured pulses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bms_daemon.config.cellfile import CellFile
from bms_daemon.offline.accuracy.cache import job_digest
from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.fits import fitted
from bms_daemon.offline.accuracy.power_recordings import (
    LEAF_FILES,
    Recording,
    leaf_job,
    leaf_pulses,
    lg_pulses,
    lg_without_pulses,
    panasonic_pulses,
    panasonic_without_pulses,
)
from bms_daemon.offline.accuracy.power_score import Summary, Task, judged, summary
from bms_daemon.offline.accuracy.recordings import LG_DEGC
from bms_daemon.offline.accuracy.report import NO_DATA, against, number, table
from bms_daemon.offline.cellfit.job import Job

HEAD = ("test", "pulses", "mean error", "worst optimistic", "mean published", "near the limit", "their mean error")
ERROR = {-20: 12.0, -10: 8.0, 0: 5.0, 10: 3.0, 25: 3.0, 40: 3.0}  # per cent that is good, by temperature
OPTIMISTIC = 20.0
GIVE, TAKE = -1.0, 1.0


@dataclass(frozen=True, slots=True)
class Test:
    """A line; without a job there is no recording of it. ``error`` is the target, None for a line without."""

    title: str
    error: float | None = None
    job: Job | None = None
    recording: Recording | None = None
    horizon_s: float = 10.0
    sign: float = GIVE


def section(context: Context) -> list[str]:
    """The whole section as lines of Markdown; none of it in a quick run."""
    if context.quick:
        return []
    chosen = _tests(context)
    files = _fits(context, chosen)
    tasks = {
        index: Task(files[index], test.recording, test.horizon_s, test.sign)
        for index, test in enumerate(chosen)
        if test.recording is not None
    }
    found = context.each("pulses", judged, list(tasks.values()), lambda task: task.recording.name)
    summaries = dict(zip(tasks, map(summary, found), strict=True))
    rows = [_row(test, summaries.get(index)) for index, test in enumerate(chosen)]
    return ["", "## Power ahead", "", *table(HEAD, rows)]


def _tests(context: Context) -> list[Test]:
    return [*_lg(context), *_other_lg(context), *_panasonic(context), *_leaf(context)]


def _lg(context: Context) -> list[Test]:
    job = lg_without_pulses(context.data, LG_DEGC)
    found = []
    for degc, error in ERROR.items():
        title = f"LG, 10 s discharge, {degc} degC"
        known = degc in LG_DEGC
        found.append(Test(title, error, job, lg_pulses(context.data, degc)) if known else Test(title, error))
    return found


def _other_lg(context: Context) -> list[Test]:
    """One temperature left out of the fit; and charging."""
    found = []
    for degc in LG_DEGC:
        others = tuple(each for each in LG_DEGC if each != degc)
        title = f"LG fitted at {others[0]} and {others[1]} degC alone, 10 s discharge, {degc} degC"
        found.append(
            Test(title, ERROR[degc], lg_without_pulses(context.data, others), lg_pulses(context.data, degc))
        )
    job = lg_without_pulses(context.data, LG_DEGC)
    charge = [
        Test(f"LG, 10 s charge, {degc} degC", None, job, lg_pulses(context.data, degc), sign=TAKE) for degc in (10, 25)
    ]
    return [*found, *charge]


def _panasonic(context: Context) -> list[Test]:
    job, seen = panasonic_without_pulses(context.data, context.scratch), panasonic_pulses(context.data)
    cold = [Test(f"Panasonic, 10 s discharge, {degc} degC", ERROR[degc]) for degc in (-20, -10, 0, 10)]
    return [*cold, Test("Panasonic, 10 s discharge, 25 degC", ERROR[25], job, seen)]


def _leaf(context: Context) -> list[Test]:
    """Each temperature with a fit to the two others."""
    found = []
    for degc in LEAF_FILES:
        others = tuple(each for each in LEAF_FILES if each != degc)
        job, seen = leaf_job(context.data, context.scratch, others), leaf_pulses(context.data, degc)
        title = f"Leaf fitted at {others[0]} and {others[1]} degC alone"
        found.append(Test(f"{title}, 10 s discharge, {degc} degC", ERROR[degc], job, seen))
        found.append(Test(f"{title}, 30 s discharge, {degc} degC", None, job, seen, 30.0))
    return found


def _fits(context: Context, chosen: Sequence[Test]) -> dict[int, CellFile]:
    """By the test's place; every job is fitted once."""
    digests = {index: job_digest(test.job) for index, test in enumerate(chosen) if test.job}
    jobs = {digest: chosen[index].job for index, digest in digests.items()}
    found = context.each("fit", fitted, [job for job in jobs.values() if job], lambda job: job.identity.name)
    files = dict(zip(jobs, found, strict=True))
    return {index: files[digest] for index, digest in digests.items()}


def _row(test: Test, found: Summary | None) -> list[str]:
    if found is None:
        return [test.title, *[NO_DATA] * (len(HEAD) - 1)]
    return [
        test.title,
        str(found.pulses),
        against(found.error, test.error, 1),
        against(found.optimistic, OPTIMISTIC, 1),
        number(found.cautious, 1),
        str(found.near),
        number(found.near_error, 1),
    ]
