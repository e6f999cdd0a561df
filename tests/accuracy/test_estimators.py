"""Estimators to compare with find a simulated cell's state of charge; so does ours, on which they are measured."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import CAPACITY_AH, cell, drive, simulated

from bms_daemon.offline.accuracy.estimators import Run
from bms_daemon.offline.accuracy.filterpy_peers import extended, unscented
from bms_daemon.offline.accuracy.protocol import NONE, OFFSETS, WRONG_START, inputs
from bms_daemon.offline.accuracy.score import score
from bms_daemon.offline.accuracy.simple import counting, ours

HOUR_S = 3600


@pytest.mark.parametrize("estimator", [ours, extended, unscented], ids=["ours", "extended", "unscented"])
def test_a_simulated_cell_is_found_from_a_wrong_start(estimator: Run) -> None:
    truth = simulated(HOUR_S)
    disturbances = [NONE, WRONG_START]
    calm, lost = score(truth, disturbances, estimator(cell(), inputs(truth, CAPACITY_AH, disturbances)))
    assert calm.worst < 1.0 and lost.worst < 1.5
    assert lost.settle_s < 300.0
    assert calm.inside is not None and calm.inside > 0.5


def test_counting_is_exact_without_a_fault_and_keeps_every_one() -> None:
    truth = simulated(HOUR_S)
    disturbances = [NONE, WRONG_START, OFFSETS[0]]
    found = counting(cell(), inputs(truth, CAPACITY_AH, disturbances))
    assert found.sigma is None
    assert found.soc[:, 0] == pytest.approx(truth.soc, abs=1e-9)
    assert found.soc[:, 1] - truth.soc == pytest.approx(-0.2)
    assert found.soc[-1, 2] - truth.soc[-1] == pytest.approx(1.0 / 60.0, rel=1e-3)


@pytest.mark.parametrize("estimator", [ours, extended, unscented], ids=["ours", "extended", "unscented"])
def test_a_full_cell_at_rest_stays_full(estimator: Run) -> None:
    rest = drive(np.arange(700.0), np.zeros(700), np.full(700, 4.2), np.ones(700))
    found = estimator(cell(), inputs(rest, CAPACITY_AH, [NONE]))
    assert found.soc[-1, 0] == pytest.approx(1.0, abs=0.01)
    assert found.soc.max() <= 1.0
