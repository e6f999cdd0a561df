"""Figures beside targets: met, missed, not there."""

from __future__ import annotations

from math import inf
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_up import simulated

from bms_daemon.offline.accuracy.plots import picture
from bms_daemon.offline.accuracy.report import HEAD, Targets, against, row, table
from bms_daemon.offline.accuracy.score import Estimated, Summary

GOOD = Summary(runs=10, rmse=0.4, worst=1.5, undisturbed=0.3, settle_s=90.0, honest=1.0, inside=0.93)


@pytest.mark.parametrize(
    ("figure", "target", "text"),
    [
        (0.5, 0.5, "0.50 (0.5)"),
        (0.504, 0.5, "0.50 (0.5)"),
        (0.506, 0.5, "0.51 (0.5: **missed**)"),
        (0.506, None, "0.51"),
        (None, 0.5, "-"),
        (inf, 3.0, "never (3: **missed**)"),
    ],
)
def test_a_figure_is_judged_as_it_is_printed(figure: float | None, target: float | None, text: str) -> None:
    assert against(figure, target, 2) == text


def test_a_line_without_data_says_so_in_every_column() -> None:
    line = row("LG, 40 degC", None, Targets(rmse=0.5))
    assert len(line) == len(HEAD)
    assert line[0] == "LG, 40 degC" and set(line[1:]) == {"no data"}


def test_a_line_has_every_figure_in_its_column() -> None:
    line = row("LG", GOOD, Targets(rmse=0.3, worst=2.0, settle_min=1.0))
    assert line == ["LG", "10", "0.40 (0.3: **missed**)", "1.50 (2)", "0.30", "1.5 (1: **missed**)", "100 %", "93 %"]


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "|---|---:|", "| 1 | 2 |"]


def test_a_picture_is_small_says_what_it_is_and_is_the_same_again(tmp_path: Path) -> None:
    truth = simulated(8000)
    found = Estimated(truth.soc[:, None] + 0.01, np.full((8000, 1), 0.01))
    files = [tmp_path / name for name in ("a.svg", "b.svg")]
    for file in files:
        picture(file, "one run", truth, found)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size < 150_000
    title = ElementTree.parse(files[0]).find("{http://www.w3.org/2000/svg}title")
    assert title is not None and title.text == "one run"
