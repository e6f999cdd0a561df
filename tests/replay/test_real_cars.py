"""Replay of two real cars: no bad row missed, none invented, no opening on good rows; the emergency opens for good.

Six-hour windows that hold every row bad by value or with dt <= 0, and gaps of each kind; sixteen cells on a bq76952,
and all of them on a chain of LTC6811, whose windows end some rows behind the last bad one. Which rows are bad is worked
out here from the file, not by the code under test.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SERIES, Car, read_car

from bms_daemon.app import load_settings
from bms_daemon.commands._progress import Progress
from bms_daemon.config.schema import Settings
from bms_daemon.offline.columns import load_map
from bms_daemon.offline.recording import read
from bms_daemon.offline.replay import Line, replay

WINDOW_S = 6 * 3600.0
LEAD_ROWS, LEAD_S = 4, 1800.0
BEHIND_ROWS = 8
WINDOWS = {"car2": 13, "car4": 1}
CELLS = {"car2": tuple(range(73, 89)), "car4": tuple(range(28, 44))}
EMERGENCY = 14900

pytestmark = [pytest.mark.data, pytest.mark.slow]


@cache
def car_of(folder: Path, name: str, chain: bool = False) -> Car:
    return read_car(folder, name, chain)


def settings_of(name: str, chain: bool) -> Settings:
    """Eleven cells on each device of a chain; the last one carries what is left."""
    if not chain:
        return load_settings(ROOT / "config" / "replay-16s-nmc.toml")
    settings = load_settings(ROOT / "config" / "replay-88s-nmc.toml")
    series, sim = SERIES[name], settings.sim
    assert sim is not None
    wired = {"cells": (*(11,) * 7, series - 77)}
    afe = settings.afe.model_copy(update={"settings": settings.afe.settings.model_copy(update=wired)})
    devices = sim.world.afe.model_copy(update=wired)  # type: ignore[attr-defined]
    world = sim.world.model_copy(update={"series": series, "afe": devices})
    return settings.model_copy(
        update={
            "afe": afe,
            "pack": settings.pack.model_copy(update={"series": series}),
            "sim": sim.model_copy(update={"world": world}),
        }
    )


def windows_of(car: Car) -> list[tuple[int, int]]:
    """Row ranges of six hours, some rows before each row that must be held, the end not included."""
    found: list[tuple[int, int]] = []
    for row in np.flatnonzero(car.bad_value | (car.dt_s <= 0)):
        if not found or row >= found[-1][1]:
            found.append(_window(car, int(row)))
    return found


def _window(car: Car, row: int) -> tuple[int, int]:
    first = max(row - LEAD_ROWS, int(np.searchsorted(car.time_s, car.time_s[row] - LEAD_S)), 0)
    return first, int(np.searchsorted(car.time_s, car.time_s[first] + WINDOW_S, side="right"))


def gap_windows_of(car: Car, low_s: float, high_s: float) -> list[tuple[int, int]]:
    """Twelve rows around each of three gaps of one kind, spread over the file."""
    rows = np.flatnonzero((car.dt_s > low_s) & (car.dt_s <= high_s))
    picked = rows[np.linspace(0, rows.size - 1, 3).astype(int)]
    return [(max(0, int(row) - 6), int(row) + 6) for row in picked]


def play(
    car: Car,
    name: str,
    first: int,
    last: int,
    progress: Callable[[int], None] | None = None,
    chain: bool = False,
) -> list[Line]:
    columns = load_map(Path(__file__).parent / f"{name}.toml")
    cells = tuple(range(1, SERIES[name] + 1)) if chain else CELLS[name]
    recording = read(car.path, columns, cells).between(first, last)
    return replay(recording, settings_of(name, chain), progress=progress)


def assert_as_the_file_says(car: Car, lines: list[Line], first: int, last: int) -> None:
    bad_time = car.bad_time[first:last].copy()
    bad_time[0] = False  # nothing lies before the window's first row
    value = [first + line.row for line in lines if "value:" in line.reason]
    time = [first + line.row for line in lines if "time:" in line.reason]
    served = ~(car.dt_s[first:last] <= 0)
    served[0] = True
    assert value == [first + int(row) for row in np.flatnonzero(car.bad_value[first:last] & served)]
    assert time == [first + int(row) for row in np.flatnonzero(bad_time)]
    assert {line.row for line in lines if line.quality == "bad"} == {row - first for row in {*value, *time}}


def assert_good_rows_stay_closed(car: Car, lines: list[Line], first: int) -> None:
    """A good row that met a closed pack leaves it closed, unless the row before it was bad and is still felt."""
    for before, line in itertools.pairwise(lines):
        if before.quality == line.quality == "good" and before.state == "closed":
            assert line.state == "closed", f"row {first + line.row} opened"


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, count in WINDOWS.items() for n in range(count)])
def test_a_window_around_bad_rows(data_dir: Path, name: str, number: int) -> None:
    car = car_of(data_dir, name)
    first, last = windows_of(car)[number]
    lines = play(car, name, first, last)
    assert_as_the_file_says(car, lines, first, last)
    assert_good_rows_stay_closed(car, lines, first)


def shortened(car: Car, first: int, last: int) -> int:
    """Some rows behind the last bad one of a window."""
    bad = np.flatnonzero((car.bad_value | (car.dt_s <= 0))[first:last])
    return min(last, first + int(bad[-1]) + BEHIND_ROWS)


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, count in WINDOWS.items() for n in range(count)])
def test_every_cell_on_a_chain_around_bad_rows(data_dir: Path, name: str, number: int) -> None:
    car = car_of(data_dir, name, chain=True)
    first, last = windows_of(car)[number]
    last = shortened(car, first, last)
    lines = play(car, name, first, last, chain=True)
    assert_as_the_file_says(car, lines, first, last)
    assert_good_rows_stay_closed(car, lines, first)


def test_the_windows_hold_every_bad_row(data_dir: Path) -> None:
    for name, count in WINDOWS.items():
        car = car_of(data_dir, name)
        windows = windows_of(car)
        held = np.zeros(car.time_s.size, dtype=bool)
        for first, last in windows:
            held[first:last] = True
        assert len(windows) == count
        assert held[car.bad_value | (car.dt_s <= 0)].all()


@pytest.mark.parametrize("name", list(WINDOWS))
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(("low_s", "high_s"), [(60.0, 600.0), (600.0, np.inf)], ids=["silence", "cold start"])
def test_a_gap_is_reported_and_closed_again(
    data_dir: Path, name: str, number: int, low_s: float, high_s: float
) -> None:
    car = car_of(data_dir, name)
    first, last = gap_windows_of(car, low_s, high_s)[number]
    lines = play(car, name, first, last)
    assert_as_the_file_says(car, lines, first, last)
    assert_good_rows_stay_closed(car, lines, first)


@pytest.mark.parametrize("chain", [False, True], ids=["16 cells", "87 cells on a chain"])
def test_the_emergency_opens_on_its_first_row_and_never_closes_again(data_dir: Path, chain: bool) -> None:
    car = car_of(data_dir, "car4", chain)
    lines = play(car, "car4", EMERGENCY - 30, car.time_s.size, chain=chain)
    by_row = {EMERGENCY - 30 + line.row: line for line in lines}
    assert by_row[EMERGENCY - 1].state == "closed"
    assert by_row[EMERGENCY].reaction in ("open", "second")
    assert {by_row[row].state for row in range(EMERGENCY, car.time_s.size)} <= {"fault", "latched"}


PARTS = 12


@pytest.mark.whole
@pytest.mark.parametrize("part", range(PARTS), ids=lambda part: f"part{part + 1:02d}")
@pytest.mark.parametrize("chain", [False, True], ids=["sixteen", "every"])
@pytest.mark.parametrize("name", list(WINDOWS))
def test_whole_files(data_dir: Path, name: str, chain: bool, part: int) -> None:
    """Twelve parts, so that a machine may be switched off in between."""
    car = car_of(data_dir, name, chain)
    first, last = (int(row) for row in np.linspace(0, car.time_s.size, PARTS + 1)[part : part + 2])
    with Progress(f"{name}, part {part + 1} of {PARTS}", last - first, sys.stderr) as progress:
        lines = play(car, name, first, last, progress.at, chain)
    assert_as_the_file_says(car, lines, first, last)
    assert_good_rows_stay_closed(car, lines, first)
