"""Who is measured: a name, what runs it, and what a kept result depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.offline.accuracy.cache import cache_folder, code_digest, digest
from bms_daemon.offline.accuracy.protocol import Disturbance, Inputs, inputs
from bms_daemon.offline.accuracy.recordings import Drive
from bms_daemon.offline.accuracy.score import Estimated, Score, score
from bms_daemon.offline.cellfit.job import Job

HERE = "offline/accuracy"
COMMON = (f"{HERE}/protocol.py", f"{HERE}/score.py", "estimation/cell.py", "config/cellfile.py")
Run = Callable[[Cell, Inputs], Estimated]
OURS, COUNTING = "bms-daemon", "coulomb counting"
EXTENDED, UNSCENTED, PYBATTERYSE = "filterpy EKF", "filterpy UKF", "pybatteryse EKF"
CODE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    OURS: (("estimation", f"{HERE}/simple.py"), ()),
    COUNTING: ((f"{HERE}/simple.py",), ()),
    EXTENDED: ((f"{HERE}/filterpy_peers.py",), ("filterpy",)),
    UNSCENTED: ((f"{HERE}/filterpy_peers.py",), ("filterpy",)),
    PYBATTERYSE: ((f"{HERE}/pybatteryse_peer.py",), ("pybatteryse", "pybatteryid")),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One estimator on one drive under several disturbances. ``job`` is what ``file`` was fitted to."""

    estimator: str
    file: CellFile
    job: Job
    drive: Drive
    disturbances: tuple[Disturbance, ...]

    @property
    def label(self) -> str:
        return f"{self.estimator}: {self.drive.name}"


def run(task: Task) -> list[Score]:
    """Scores of a task, from the cache or made now."""
    kept = cache_folder() / f"{_digest(task)}.json"
    if kept.exists():
        return [Score(**each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    scores = score(task.drive, task.disturbances, estimate(task))
    kept.write_text(json.dumps([asdict(each) for each in scores]), encoding="utf-8")
    return scores


def estimate(task: Task) -> Estimated:
    """What the estimator says, row by row."""
    cell = Cell(task.file)
    return _runner(task)(cell, inputs(task.drive, cell.capacity_ah, task.disturbances))


def _runner(task: Task) -> Run:
    from bms_daemon.offline.accuracy import simple

    if task.estimator == OURS:
        return simple.ours
    if task.estimator == COUNTING:
        return simple.counting
    return _library(task)


def _library(task: Task) -> Run:
    """Imported only where it is wanted: nobody needs these libraries for anything else."""
    if task.estimator == PYBATTERYSE:
        from bms_daemon.offline.accuracy.pybatteryse_peer import Identified

        return Identified(task.job).run
    from bms_daemon.offline.accuracy import filterpy_peers

    return filterpy_peers.extended if task.estimator == EXTENDED else filterpy_peers.unscented


def _digest(task: Task) -> str:
    code, libraries = CODE[task.estimator]
    names = [repr(each) for each in task.disturbances]
    made_by = code_digest((*COMMON, *code), libraries)
    return digest([task.estimator, task.file.model_dump_json(), task.drive.digest, *names, made_by])
