"""The capacity table: recordings are read as they are meant, no truth leaks in, recorded cells stay within bounds."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest

from bms_daemon.config.cellfile import load_cell
from bms_daemon.offline.accuracy.capacity_recordings import (
    END_V,
    AgedCell,
    Charge,
    aged_cells,
    constant_current,
    full_only,
)
from bms_daemon.offline.accuracy.capacity_rests import after
from bms_daemon.offline.accuracy.capacity_table import HEAD, run, section
from bms_daemon.offline.accuracy.capacity_windows import NEW_CYCLES, between, reference, through, window_ends
from bms_daemon.offline.accuracy.charge_window import Curve
from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.recordings import lg_cycles, lg_drive
from bms_daemon.offline.accuracy.work import workers

CELL = Path(__file__).parents[2] / "config" / "cells" / "lg-hg2.toml"
CHARGE = np.linspace(0.0, 1.0, 300)
SHAPE_V = 3.75 - 0.3 * np.exp(-CHARGE / 0.03) + 0.45 * CHARGE**2


def charge(cycle: int, share: float, true_ah: float | None = None) -> Charge:
    """A 2 Ah cell that has kept ``share`` of what it charged."""
    curve = Curve(SHAPE_V + 0.25 * (1.0 - share), 1.9 * share * CHARGE)
    return Charge(cycle, curve, 2.0 - 1.9 * (1.0 - share) if true_ah is None else true_ah)


def life() -> AgedCell:
    return AgedCell("made up", 2.0, tuple(charge(cycle, 1.0 - cycle / 2000.0) for cycle in range(1, 601, 20)))


def test_the_constant_current_part_of_a_charge_is_cut_out() -> None:
    time_s = np.arange(0.0, 80.0, 10.0)
    current_a = np.array([0.0, -1.0, 1.5, 1.5, 1.51, 1.2, 1.5, -1.0])
    voltage_v = np.array([3.0, 2.9, 3.5, 3.6, 3.7, 3.7, 3.8, 3.5])
    found = constant_current(time_s, current_a, voltage_v)
    assert found.voltage_v.tolist() == [3.5, 3.6, 3.7]
    assert found.charge_ah == pytest.approx(np.array([0.0, 15.0, 30.05]) / 3600.0)


def test_a_charge_ends_below_the_constant_voltage() -> None:
    found = constant_current(np.array([0.0, 10.0, 20.0]), np.ones(3), np.array([4.1, 4.18, 4.2]))
    assert found.voltage_v[-1] == END_V
    assert found.charge_ah[-1] == pytest.approx(15.0 / 3600.0)
    assert constant_current(np.arange(3.0), np.zeros(3), np.full(3, 4.0)).voltage_v.size == 0


def test_discharges_cut_short_and_failed_ones_are_no_truth() -> None:
    found = full_only([1.0, 0.99, 0.8, 0.98, 0.02, 0.97, float("nan"), 0.96])
    assert np.isnan(found).tolist() == [False, False, True, False, True, False, True, False]


def test_windows_go_up_in_steps_and_end_below_the_end_of_charge() -> None:
    assert window_ends(0.4) == [(3.6, 4.0), (3.65, 4.05), (3.7, 4.1), (3.75, 4.15), (3.79, END_V)]
    assert len(window_ends(0.3)) == 7 and len(window_ends(0.1)) == 11


def test_the_reference_is_complete_measured_and_new() -> None:
    short = Charge(25, Curve(SHAPE_V[:100], CHARGE[:100]), 2.0)
    unmeasured = charge(28, 1.0, float("nan"))
    cell = replace(life(), charges=(charge(1, 1.0), charge(20, 1.0), short, unmeasured, charge(31, 1.0)))
    found = reference(cell)
    assert found is not None and found.cycle == 20
    assert reference(replace(cell, charges=(charge(31, 1.0),))) is None


def test_a_made_up_life_is_followed_and_new_cycles_are_not_judged() -> None:
    found = through(life(), 3.7, 4.0)
    judged = [each for each in life().charges if each.cycle > NEW_CYCLES]
    assert len(found.found) == len(judged)
    assert all(each.informed for each in found.found)
    assert max(abs(each.error) for each in found.found) < 1.5
    assert all(abs(each.error) <= 2.0 * each.sigma for each in found.found)
    assert between([found], 90.0, inf) == [each for each in found.found if each.true >= 90.0]


def test_no_truth_after_the_reference_reaches_an_estimate() -> None:
    cell = life()
    lied = tuple(replace(each, true_ah=1.0) if each.cycle > NEW_CYCLES else each for each in cell.charges)
    honest, fooled = (through(one, 3.7, 4.0) for one in (cell, replace(cell, charges=lied)))
    for one, other in zip(honest.found, fooled.found, strict=True):
        assert one.true + one.error == pytest.approx(other.true + other.error)


def test_a_window_that_is_never_passed_has_no_estimates() -> None:
    found = through(life(), 2.0, 2.5)
    assert found.found == ()


def test_without_cells_the_table_has_no_data(tmp_path: Path) -> None:
    with workers(1) as each:
        text = section(Context(tmp_path, tmp_path, None, False, each))
        assert section(Context(tmp_path, tmp_path, None, True, each)) == []
    assert "| " + " | ".join(["no data"] * len(HEAD)) + " |" in text


@pytest.mark.data
def test_recorded_cells_are_read_as_their_makers_meant(data_dir: Path) -> None:
    cells = {cell.name: cell for cell in aged_cells(data_dir)}
    assert {"CS2_35", "CS2_37", "B0005"} <= cells.keys()
    calce, nasa = cells["CS2_35"], cells["B0005"]
    assert [each.cycle for each in calce.charges[:3]] == [1, 21, 41]
    assert calce.charges[1].true_ah == pytest.approx(1.09203)
    assert nasa.charges[1].true_ah == pytest.approx(1.8463272)
    assert calce.charges[1].curve.charge_ah[-1] == pytest.approx(0.98, abs=0.02)


@pytest.mark.data
@pytest.mark.parametrize("name", ["CS2_35", "CS2_37", "B0005"])
def test_recorded_cells_stay_within_generous_bounds(data_dir: Path, name: str) -> None:
    cell = next(each for each in aged_cells(data_dir) if each.name == name)
    found = [each for each in between(run((cell, 0.3)), 70.0, inf) if each.informed]
    off = np.array([each.error for each in found])
    assert np.sqrt(np.mean(off**2)) < 1.2
    assert np.abs(off).max() < 4.0
    assert np.mean([abs(each.error) <= 2.0 * each.sigma for each in found]) >= 0.9


@pytest.mark.data
@pytest.mark.parametrize("degc", [0, 25])
def test_a_wrong_capacity_is_corrected_by_one_recorded_drive(data_dir: Path, degc: int) -> None:
    found = after((load_cell(CELL), lg_drive(lg_cycles(data_dir, degc)[-1])))
    assert found.seen.all()
    assert (np.abs(found.error) < 6.0).all()
    assert (np.abs(found.error) <= 2.0 * found.sigma).all()
