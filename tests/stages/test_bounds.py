"""Bounds of reactions: the catalogue's numbers, or what a slower configuration needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from stages.stage_builders import FullAfe, FullShunt

from bms_daemon.app import load_settings
from bms_daemon.config.driver_tables import AfeTable
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section
from bms_daemon.estimation.estimate import PERIOD_S
from bms_daemon.model import Reaction
from bms_daemon.stages.bounds import Bound, bounds, table

R = Reaction
DEMO = Path(__file__).parent.parent.parent / "config/demo.toml"


@pytest.fixture(scope="module")
def demo() -> Settings:
    """16 cells, tick 20 ms, scan 100 ms, temperatures and shunt 1 s, home: grace 2 s."""
    return load_settings(DEMO)


def section(whole: Settings, name: str, **values: object) -> Settings:
    inner: Section = getattr(whole, name)
    return whole.model_copy(update={name: inner.model_copy(update=values)})


def bound(settings: Settings, row: str, code: str, reaction: Reaction) -> Bound:
    (found,) = [b for b in bounds(settings) if (b.row, b.code, b.reaction) == (row, code, reaction)]
    return found


@pytest.mark.parametrize(
    ("row", "code", "reaction", "announce_s", "open_s"),
    [
        ("S03", "cell_over_voltage_critical", R.OPEN, 0.309, 0.309),  # 0.069 + 2 x 0.1 + 0.04, more than 0.3
        ("S07", "cells_absent", R.STOP, 0.409, 0.909),  # 3 scans; without a current 0.5 s of grace
        ("S13", "sum_mismatch", R.STOP, 0.5, 2.5),
        ("P17", "estimator_restarted", R.DERATE, PERIOD_S + 0.14, None),  # the next look, a scan, 2 ticks
        ("S14", "cell_missing", R.OPEN, 0.309, 0.309),
        ("S17", "afe_lost", R.STOP, 0.5, 1.0),
        ("S30", "over_current_discharge", R.OPEN, 0.243, 0.243),  # the chip's current slot is 3 ms
        ("S33", "shunt_lost", R.STOP, 3.04, 5.04),  # silent: 3 x 1 s
        ("S48", "temperature_critical", R.OPEN, 5.0, 5.0),
        ("S49", "under_temperature_charge", R.BLOCK_C, 5.0, None),
        ("A01", "main_welded", R.SECOND, 0.3, 0.3),
        ("A05", "precharge_failed", R.OPEN, 2.04, 2.04),
        ("A22", "interlock_open", R.STOP, 0.1, 2.1),
        ("C01", "vcu_lost", R.DERATE, 1.04, None),
        ("C10", "can_silent", R.STOP, 3.04, 5.04),
        ("P07", "dead_man", R.OPEN, 0.2, 0.2),
        ("P07", "afe_watchdog", R.OPEN, 2.0, 2.0),
        ("F03", "journal_missing", R.INHIBIT, 0.04, None),
    ],
)
def test_the_reference_rates_give_the_catalogues_numbers_or_what_sampling_needs(
    demo: Settings, row: str, code: str, reaction: Reaction, announce_s: float, open_s: float | None
) -> None:
    found = bound(demo, row, code, reaction)
    assert found.announce_s == pytest.approx(announce_s)
    assert found.open_s == (None if open_s is None else pytest.approx(open_s))


def test_a_slower_scan_makes_its_bounds_longer(demo: Settings) -> None:
    slow = section(demo, "afe", scan_period_s=0.3)
    assert bound(slow, "S03", "cell_over_voltage_critical", R.OPEN).announce_s == pytest.approx(0.069 + 0.6 + 0.04)
    assert bound(slow, "S17", "afe_lost", R.STOP).announce_s == pytest.approx(0.9 + 0.04)


def test_a_chip_that_converts_slower_makes_its_bounds_longer(demo: Settings) -> None:
    other = section(demo, "afe", settings=FullAfe())
    assert bound(other, "S03", "cell_over_voltage_critical", R.OPEN).announce_s == pytest.approx(0.25 + 0.2 + 0.04)


def test_a_vehicle_waits_longer_and_stops_without_its_controller(demo: Settings) -> None:
    vehicle = section(section(demo, "node", profile="vehicle"), "can", vcu="required")
    found = bound(vehicle, "C01", "vcu_lost", R.STOP)
    assert (found.announce_s, found.open_s) == (pytest.approx(1.04), pytest.approx(6.04))
    assert not [b for b in bounds(vehicle) if (b.code, b.reaction) == ("vcu_lost", R.DERATE)]


def test_a_pack_without_a_shunt_has_no_bound_for_it(demo: Settings) -> None:
    bare = demo.model_copy(update={"shunt": None})
    assert not [b for b in bounds(bare) if b.code in ("shunt_lost", "current_mismatch")]


def test_a_chip_without_a_watchdog_promises_none(demo: Settings) -> None:
    bare = section(demo, "afe", settings=FullAfe())
    assert not [b for b in bounds(bare) if b.code == "afe_watchdog"]


def test_a_current_that_only_the_shunt_measures_has_the_shunts_bounds(demo: Settings) -> None:
    other = section(section(demo, "afe", settings=AfeTable()), "shunt", settings=FullShunt(), period_s=0.05)
    assert bound(other, "S30", "over_current_discharge", R.OPEN).announce_s == pytest.approx(0.2)
    slower = section(other, "shunt", period_s=0.1)
    assert bound(slower, "S30", "over_current_discharge", R.OPEN).announce_s == pytest.approx(0.24)
    lost = bound(other, "S33", "shunt_lost", R.STOP)
    assert (lost.announce_s, lost.open_s) == (0.5, pytest.approx(1.0))  # no current: half a second of grace
    assert bound(other, "S17", "afe_lost", R.STOP).open_s == 1.5  # it still is, and the cells are not
    assert not [b for b in bounds(other) if b.code == "short_circuit"]  # nobody but the fuse
    assert not [b for b in bounds(other) if b.code == "current_mismatch"]


def test_no_configuration_of_reference_rates_exceeds_a_ceiling(demo: Settings) -> None:
    """Critical over-voltage 1 s, over-current 0.5 s, lost AFE 2 s, temperature 6 s."""
    assert (bound(demo, "S03", "cell_over_voltage_critical", R.OPEN).open_s or 9.0) <= 1.0
    assert bound(demo, "S30", "over_current_discharge", R.OPEN).announce_s <= 0.5
    assert (bound(demo, "B02", "afe_lost", R.STOP).open_s or 9.0) <= 2.0
    assert bound(demo, "S48", "temperature_critical", R.OPEN).announce_s <= 6.0


def test_the_table_has_a_line_for_every_bound(demo: Settings) -> None:
    lines = table(demo).splitlines()
    assert len(lines) == 1 + len(bounds(demo))
    assert any("S03" in line and "0.309 s" in line for line in lines)
