"""When rows are served: the rules of replay on plain numbers."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import recording

from bms_daemon.config.schema import Settings
from bms_daemon.offline.timeline import parts_of, row_interval_s


@pytest.mark.parametrize(
    ("times", "pieces"),
    [
        ([0, 30, 60], [[(0, 30, 0, 1), (30, 60, 1, 2), (60, 90, 2, -1)]]),
        ([0, 60], [[(0, 60, 0, 1), (60, 120, 1, -1)]]),
        ([0, 30, 91], [[(0, 30, 0, 1), (30, 60, 1, -1), (60, 91, -1, -1), (91, 121, 2, -1)]]),
        ([0, 30, 630], [[(0, 30, 0, 1), (30, 60, 1, -1), (60, 630, -1, -1), (630, 660, 2, -1)]]),
        ([0, 30, 631], [[(0, 30, 0, 1), (30, 60, 1, -1)], [(0, 30, 2, -1)]]),
        ([0, 30, 30, 60], [[(0, 30, 0, 1), (30, 60, 1, 3), (60, 90, 3, -1)]]),
        ([0, 30, 10, 40], [[(0, 30, 0, 1), (30, 60, 1, 3), (60, 90, 3, -1)]]),
    ],
    ids=["steady", "joined", "gap", "longest gap", "cold start", "repeated time", "time runs back"],
)
def test_rows_are_served_by_their_own_steps(
    times: list[float], pieces: list[list[tuple[float, float, int, int]]], nmc_settings: Settings
) -> None:
    parts = parts_of(recording(times), nmc_settings)
    assert [[(p.start_s, p.end_s, p.row, p.to_row) for p in part.pieces] for part in parts] == pieces


def test_a_row_that_is_bad_by_value_stands_alone(nmc_settings: Settings) -> None:
    spoilt = recording([0, 30, 60, 90])
    spoilt.cell_v[1, 3] = np.nan
    pieces = parts_of(spoilt, nmc_settings)[0].pieces
    assert [(p.row, p.to_row) for p in pieces] == [(0, -1), (1, -1), (2, 3), (3, -1)]


def test_every_row_with_a_positive_step_is_judged_once(nmc_settings: Settings) -> None:
    parts = parts_of(recording([0, 30, 30, 95, 2000, 2030]), nmc_settings)
    assert [row for part in parts for row, _, _ in part.windows] == [0, 1, 3, 4, 5]


def test_the_usual_step_is_that_of_rows_that_join() -> None:
    assert row_interval_s(np.array([np.nan, 30, 30, 1, 500, 0])) == 30.0
    assert row_interval_s(np.array([np.nan, 500.0])) == 30.0
