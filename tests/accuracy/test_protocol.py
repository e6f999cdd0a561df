"""Disturbances do what they say, and scores of made-up runs are those worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from made_up import drive

from bms_daemon.offline.accuracy import protocol
from bms_daemon.offline.accuracy.protocol import ALL, NONE, TOGETHER, WRONG_START, inputs
from bms_daemon.offline.accuracy.score import Estimated, Score, mean_rmse, score, settle_s, summary

TIME_S = np.arange(1000.0)
TRUE = np.linspace(1.0, 0.5, 1000)
FLAT = drive(TIME_S, np.full(1000, -2.0), np.full(1000, 3.7), TRUE)
RUN = Score("a", NONE.name, rmse=1.0, worst=2.0, settle_s=0.0, inside=0.95, sigma_rms=1.0)


@pytest.mark.parametrize(
    ("disturbance", "current_a", "voltage_v", "start"),
    [
        (NONE, -2.0, 3.7, 1.0),
        (WRONG_START, -2.0, 3.7, 0.8),
        (protocol.OFFSETS[0], -1.95, 3.7, 1.0),
        (protocol.OFFSETS[1], -2.05, 3.7, 1.0),
        (protocol.GAINS[0], -2.02, 3.7, 1.0),
        (protocol.GAINS[1], -1.98, 3.7, 1.0),
        (protocol.VOLTAGES[0], -2.0, 3.705, 1.0),
        (protocol.VOLTAGES[1], -2.0, 3.695, 1.0),
        (TOGETHER[0], -1.97, 3.705, 0.8),
        (TOGETHER[1], -2.03, 3.695, 0.8),
        (protocol.START_AND_OFFSET[1], -2.05, 3.7, 0.8),
    ],
    ids=lambda value: value.name if isinstance(value, protocol.Disturbance) else "",
)
def test_a_disturbance_changes_what_it_names_and_nothing_else(
    disturbance: protocol.Disturbance, current_a: float, voltage_v: float, start: float
) -> None:
    seen = inputs(FLAT, 3.0, [NONE, disturbance])
    assert seen.current_a[:, 1] == pytest.approx(current_a)
    assert seen.voltage_v[:, 1] == pytest.approx(voltage_v)
    assert seen.start_soc == pytest.approx([1.0, start])
    assert (seen.current_a[:, 0] == -2.0).all()


def test_time_passes_between_rows_and_none_before_the_first() -> None:
    seen = inputs(replace(FLAT, time_s=7.0 + TIME_S), 3.0, [NONE])
    assert seen.dt_s[0] == 0.0
    assert (seen.dt_s[1:] == 1.0).all()


def test_the_ten_disturbances_have_names_of_their_own() -> None:
    assert len({each.name for each in ALL}) == len(ALL) == 10


def test_errors_count_in_points_after_ten_minutes() -> None:
    error = np.where(TIME_S < 600.0, 0.5, np.where(TIME_S < 800.0, 0.01, -0.03))
    (found,) = score(FLAT, [NONE], Estimated((TRUE + error)[:, None], None))
    assert found.worst == pytest.approx(3.0)
    assert found.rmse == pytest.approx(np.sqrt((200 * 1.0 + 200 * 9.0) / 400))
    assert found.inside is None and found.sigma_rms is None and not found.honest


def test_every_run_has_its_own_sigma() -> None:
    soc = np.stack([TRUE + 0.01, TRUE - 0.01], axis=1)
    sigma = np.stack([np.full(1000, 0.006), np.full(1000, 0.004)], axis=1)
    good, bad = score(FLAT, [NONE, WRONG_START], Estimated(soc, sigma))
    assert (good.inside, bad.inside) == (1.0, 0.0)
    assert good.sigma_rms == pytest.approx(0.6)
    assert good.honest and not bad.honest


@pytest.mark.parametrize(
    ("rmse", "inside", "sigma", "honest"),
    [
        (1.0, 0.90, 3.0, True),
        (1.0, 0.89, 3.0, False),
        (1.0, 1.0, 3.01, False),
        (0.1, 1.0, 1.0, True),
        (0.1, 1.0, 1.01, False),
    ],
)
def test_honest_is_covered_and_not_too_wide(rmse: float, inside: float, sigma: float, honest: bool) -> None:
    assert replace(RUN, rmse=rmse, inside=inside, sigma_rms=sigma).honest is honest


def test_runs_are_judged_alone() -> None:
    """One run outside its band is not made good by nine inside, nor by being pooled with them."""
    found = summary([RUN] * 9 + [replace(RUN, inside=0.2)])
    assert found.honest == pytest.approx(0.9)
    assert found.inside == 0.2


def test_a_summary_is_the_mean_of_rmse_and_the_worst_of_the_rest() -> None:
    slow = replace(RUN, disturbance=WRONG_START.name, rmse=3.0, worst=9.0, settle_s=120.0)
    never = replace(slow, disturbance=TOGETHER[0].name, settle_s=inf)
    found = summary([RUN, slow, never])
    assert (found.runs, found.rmse, found.worst) == (3, pytest.approx(7.0 / 3.0), 9.0)
    assert (found.undisturbed, found.settle_s) == (1.0, 120.0)
    assert mean_rmse([RUN, slow, never], WRONG_START) == 3.0


def test_what_no_run_says_is_not_known() -> None:
    found = summary([replace(RUN, disturbance="other", inside=None, sigma_rms=None)])
    assert (found.undisturbed, found.settle_s, found.honest, found.inside) == (None, None, None, None)


@pytest.mark.parametrize(
    ("error", "expected_s"),
    [([1, 1, 1, 1], 0.0), ([9, 1, 1, 1], 1.0), ([9, 1, -9, 3], 3.0), ([1, 1, 1, 9], inf), ([1, np.nan, 1, 1], 2.0)],
)
def test_settled_is_near_for_good(error: list[float], expected_s: float) -> None:
    assert settle_s(np.arange(4.0) + 5.0, np.array(error, dtype=float), 3.0) == expected_s
