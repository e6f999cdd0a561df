"""Figures beside their targets, as Markdown: a target that is missed is said to be, a figure that is not there too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isinf

from bms_daemon.offline.accuracy.score import Summary

NO_DATA = "no data"
HEAD = (
    "test", "runs", "mean RMSE", "worst", "RMSE undisturbed", "minutes to 3 points", "honest runs", "least inside 2σ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Targets:
    """Largest figures that are good, in percentage points and minutes; None where nothing was promised."""

    rmse: float | None = None
    worst: float | None = None
    undisturbed: float | None = None
    settle_min: float | None = None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; numbers stand to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def row(title: str, found: Summary | None, targets: Targets) -> list[str]:
    """One test's line."""
    if found is None:
        return [title, *[NO_DATA] * (len(HEAD) - 1)]
    settle_min = None if found.settle_s is None else found.settle_s / 60.0
    return [
        title,
        str(found.runs),
        against(found.rmse, targets.rmse, 2),
        against(found.worst, targets.worst, 2),
        against(found.undisturbed, targets.undisturbed, 2),
        against(settle_min, targets.settle_min, 1),
        share(found.honest),
        share(found.inside),
    ]


def against(figure: float | None, target: float | None, digits: int) -> str:
    """A figure and what was wanted: ``0.61 (0.5: missed)``."""
    text = number(figure, digits)
    if figure is None or target is None:
        return text
    verdict = "" if round(figure, digits) <= target else ": **missed**"
    return f"{text} ({target:g}{verdict})"


def number(figure: float | None, digits: int) -> str:
    """A dash where there is none, ``never`` for what does not happen."""
    if figure is None:
        return "-"
    return "never" if isinf(figure) else f"{figure:.{digits}f}"


def share(figure: float | None) -> str:
    """Of a whole."""
    return "-" if figure is None else f"{100.0 * figure:.0f} %"
