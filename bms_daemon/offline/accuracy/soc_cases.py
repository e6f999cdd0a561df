"""The lines of the state-of-charge table: what is fitted, what is evaluated, what was promised."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.estimators import Task
from bms_daemon.offline.accuracy.protocol import ALL, WITH_OFFSET, WITHOUT_OFFSET, Disturbance
from bms_daemon.offline.accuracy.recordings import (
    LG_DEGC,
    Drive,
    lg_cycles,
    lg_drive,
    lg_job,
    panasonic_drive,
    panasonic_job,
)
from bms_daemon.offline.accuracy.recordings_a123 import a123_drive, a123_job
from bms_daemon.offline.accuracy.report import Targets
from bms_daemon.offline.accuracy.score import Score
from bms_daemon.offline.cellfit.job import Job

NOTHING = Targets()
IN_RANGE = Targets(rmse=0.5, worst=2.0, undisturbed=0.4, settle_min=3.0)
PANASONIC = Targets(rmse=0.55, worst=2.0, undisturbed=0.4, settle_min=3.0)
A123_CALM = {-5: Targets(rmse=1.3), 5: Targets(rmse=0.8)}
A123_OFFSET = {-5: NOTHING, 5: Targets(rmse=2.8)}
LEFT_OUT = ((10, 25), 0), ((0, 25), 10), ((0, 10), 25)
ONE = (((25,), 0), ((25,), 10))


@dataclass(frozen=True, slots=True)
class Test:
    """A line. Without a job there is no recording of it. ``compared``: other estimators get its last drive too."""

    title: str
    job: Job | None = None
    drives: tuple[Drive, ...] = ()
    disturbances: tuple[Disturbance, ...] = ALL
    targets: Targets = NOTHING
    compared: bool = True
    mixed: bool = True  # fitted to drive cycles


@dataclass(frozen=True, slots=True)
class Line:
    """A test with our estimator's task on every drive and the scores of all runs; both empty without data."""

    test: Test
    tasks: tuple[Task, ...]
    scores: tuple[Score, ...]


def tests(context: Context) -> list[Test]:
    """Every line in order, those without data included."""
    in_range = _in_range(context)
    if context.quick:
        return [test for test in in_range if test.job]
    return [*in_range, *_left_out(context), *_panasonic(context), *_a123(context)]


def _in_range(context: Context) -> list[Test]:
    job = lg_job(context.data, LG_DEGC)
    found = [
        Test(f"LG in range, {degc} degC", job, (lg_drive(lg_cycles(context.data, degc)[-1]),), targets=IN_RANGE)
        for degc in LG_DEGC
    ]
    cold, hot = [Test(f"LG in range, {degc} degC") for degc in (-20, -10)], Test("LG in range, 40 degC")
    return [*cold, *found, hot, Test("LG in range, named cycles (UDDS, US06, LA92, HWFET)")]


def _left_out(context: Context) -> list[Test]:
    cycles = {degc: tuple(map(lg_drive, lg_cycles(context.data, degc))) for degc in LG_DEGC}
    return [
        Test(f"LG fitted at {_list(fit)} degC alone, {degc} degC", lg_job(context.data, fit), cycles[degc])
        for fit, degc in (*LEFT_OUT, *ONE)
    ]


def _list(temperatures_degc: tuple[int, ...]) -> str:
    return " and ".join(map(str, temperatures_degc))


def _panasonic(context: Context) -> list[Test]:
    job, drive = panasonic_job(context.data, context.scratch), panasonic_drive(context.data)
    found = Test("Panasonic without drive cycles, 25 degC", job, (drive,), targets=PANASONIC, mixed=False)
    return [found, *(Test(f"Panasonic, {degc} degC") for degc in (-20, -10, 0, 10))]


def _a123(context: Context) -> list[Test]:
    job, found = a123_job(context.data, context.scratch), []
    for degc in (-5, 5):
        drives, title = (a123_drive(context.data, degc),), f"A123, {degc} degC"
        found.append(Test(f"{title}, no offset", job, drives, WITHOUT_OFFSET, A123_CALM[degc], mixed=False))
        found.append(
            Test(f"{title}, offset C/60", job, drives, WITH_OFFSET, A123_OFFSET[degc], compared=False, mixed=False)
        )
    return [*found, *(Test(f"A123, {degc} degC") for degc in (-25, -15, 15, 25, 35, 45))]
