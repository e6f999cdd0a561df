"""The best and the worst run of our estimator as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bms_daemon.offline.accuracy.estimators import Task, estimate
from bms_daemon.offline.accuracy.plots import picture
from bms_daemon.offline.accuracy.score import Score
from bms_daemon.offline.accuracy.soc_cases import Line


def pictures(folder: Path, lines: Sequence[Line]) -> list[str]:
    """Draw them, and the lines of Markdown that show them."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = sorted(((one, line) for line in lines for one in line.scores), key=lambda run: run[0].rmse)
    text = ["## Best and worst run", "", "By RMSE, of all runs of the first table."]
    for name, (one, line) in (("best", runs[0]), ("worst", runs[-1])):
        title = f"The {name} run: {one.drive}, {one.disturbance}, RMSE {one.rmse:.2f} points"
        task = _task(line, one)
        picture(folder / f"{name}.svg", title, task.drive, estimate(task))
        text += ["", f"Of the line *{line.test.title}*:", "", f"![{title}]({folder.name}/{name}.svg)"]
    return text


def _task(line: Line, one: Score) -> Task:
    task = next(task for task in line.tasks if task.drive.name == one.drive)
    return replace(task, disturbances=tuple(each for each in task.disturbances if each.name == one.disturbance))
