"""Charge and health of the cells together, what a pack is told of them, and the bounds that both sides set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimation.cell_bench import RATED_AH, cell_of
from stages.stage_builders import settings

from bms_daemon.config.pack_cell import pack_cell
from bms_daemon.estimation import soc, soh
from bms_daemon.estimation.cells import Cells, begin, follow
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.estimation.resistance import Growth
from bms_daemon.estimation.soc import Reading
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.estimation.telling import Warmth, told
from bms_daemon.model import CapacitySource, Estimate

CELL = cell_of()
LOOP = cell_of("lfp")
MODEL = PackModel(CELL, Bounds.of(CELL.file), 0.1, 0.3)
SOC = np.array([0.5, 0.6, 0.7])
READING = Reading(1.0, np.zeros(3), np.full(3, np.nan), np.full(3, 25.0))


def three(**health: Any) -> Cells:
    cells = begin(CELL, READING, (SOC, np.full(3, 0.02)))
    return replace(cells, soh=replace(cells.soh, **health))


def grown(*factors: float) -> Growth:
    return Growth(np.log(factors), np.full(3, 0.05))


def tell(cells: Cells) -> Estimate:
    return told(Estimate(), cells, MODEL, 0.0, Warmth(25.0, 25.0, 25.0))


def test_health_is_that_of_the_smallest_and_of_the_most_resistive_cell() -> None:
    cells = three(
        capacity_ah=np.array([2.9, 2.7, 3.0]),
        resistance=grown(1.1, 1.0, 1.5),
        why=np.array([0, 3, 2]),
        learned_s=np.array([0.0, 40.0, 90.0]),
        clock_s=100.0,
    )
    found = tell(cells).ageing
    assert found is not None
    assert (found.soh, found.growth) == (pytest.approx(2.7 / RATED_AH), pytest.approx(1.5))
    assert (found.why, found.age_s) == (CapacitySource.PARTIAL_CHARGE, 60.0)
    assert found.soh_sigma > 0.0 and found.growth_sigma > 0.0


def test_a_pack_that_nobody_has_measured_has_the_rated_capacity_and_no_reason_for_it() -> None:
    found = tell(three()).ageing
    assert found is not None
    assert (found.soh, found.growth, found.why, found.age_s) == (1.0, 1.0, CapacitySource.NONE, float("inf"))


def test_what_was_learned_of_the_capacity_goes_into_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, learned_ah = three(), np.array([2.9, 2.7, 3.0])
    monkeypatch.setattr(soh, "step", lambda cell, state, *rest: replace(state, capacity_ah=learned_ah))
    after = follow(CELL, cells, READING)
    assert after.soc.filter.capacity_ah == pytest.approx(learned_ah)
    assert after.soc.soc == pytest.approx(SOC, abs=1e-3), "no state of charge moves by it"


EVERYTHING = [
    *((name, at) for name, rows in (("mean", 7), ("pair_v", 2), ("usual", 2)) for at in range(rows)),
    *(("cov", (row, row)) for row in range(7)),
    *((name, ...) for name in ("branch", "noise", "capacity_ah", "current_a")),
]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "at"), EVERYTHING, ids=lambda each: str(each))
def test_only_a_cell_that_lost_its_numbers_begins_anew(name: str, at: Any, number: float) -> None:
    """From what was published, counted on, with what was learned of it; the others go on as if nothing were."""
    learned_ah = np.array([2.9, 2.7, 3.0])
    cells = three(capacity_ah=learned_ah, resistance=grown(1.1, 1.3, 1.5))
    rows = getattr(cells.soc.filter, name).copy()
    rows[at][..., 1] = number
    lost = replace(cells, soc=replace(cells.soc, filter=replace(cells.soc.filter, **{name: rows})))
    drawn = replace(READING, dt_s=60.0, current_a=np.full(3, -2.7), mean_a=np.full(3, -2.7))
    with np.errstate(all="ignore"):
        after = follow(LOOP, lost, drawn)
    usual = follow(LOOP, cells, drawn)
    now, wanted = after.soc, usual.soc
    assert soc.finite(now)
    assert now.soc[[0, 2]].tolist() == wanted.soc[[0, 2]].tolist()
    assert now.soc_sigma[[0, 2]].tolist() == wanted.soc_sigma[[0, 2]].tolist()
    assert now.filter.capacity_ah == pytest.approx(learned_ah)
    if after.restarts:
        assert now.published[1] == pytest.approx(SOC[1] - 2.7 / 60.0 / 2.7, abs=1e-9)
        assert now.soc_sigma[1] > 2.0 * wanted.soc_sigma[1]
        assert np.exp(now.filter.mean[3, 1]) == pytest.approx(1.3, rel=1e-2)


def test_the_health_that_was_kept_begins_the_next_run() -> None:
    old = replace(three().soh, resistance=grown(1.1, 1.0, 1.5))
    after = begin(CELL, READING, (SOC, None), soh.kept(old))
    assert after.soh.growth == pytest.approx([1.1, 1.0, 1.5], rel=1e-4)
    assert np.exp(after.soc.filter.mean[3]) == pytest.approx([1.1, 1.0, 1.5], rel=1e-4)


@pytest.mark.parametrize("own", ["generic-nmc", "lg-hg2"])
def test_of_configuration_and_cell_file_the_narrower_binds(own: str) -> None:
    table = {"recharge_min_v": 2.0, "critical_min_v": 2.6, "critical_max_v": 4.3}
    for min_v, max_v, charge_a, discharge_a in ((2.75, 4.24, 1e3, 1e3), (3.0, 4.1, 5.0, 7.0)):
        found = settings(
            pack={"chemistry": "nmc", "cell_file": Path(own)},
            cell=table | {"min_v": min_v, "max_v": max_v},
            current={"charge_max_a": charge_a, "discharge_max_a": discharge_a},
            temperature={"charge_max_degc": 44.0, "discharge_min_degc": -9.0},
        )
        file, bounds = Bounds.of(pack_cell(found)), PackModel.of(found).bounds
        assert (bounds.min_v, bounds.max_v) == (max(file.min_v, min_v), min(file.max_v, max_v))
        assert bounds.charge_max_a == min(file.charge_max_a, charge_a)
        assert bounds.discharge_max_a == min(file.discharge_max_a, discharge_a)
        assert (bounds.charge_max_degc, bounds.discharge_min_degc) == (44.0, -9.0)
        assert bounds.trickle_a == pytest.approx(0.05 * found.pack.capacity_ah)
