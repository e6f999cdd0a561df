"""Recorded cells: what is fitted to some recordings predicts others; so does the shipped file."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from bms_daemon.__main__ import main
from bms_daemon.config.cellfile import load_cell
from bms_daemon.estimation.cell import Cell
from bms_daemon.offline.cellfit.charge import count
from bms_daemon.offline.cellfit.columns import load_cell_map
from bms_daemon.offline.cellfit.predict import Quality, quality
from bms_daemon.offline.cellfit.reading import Possible, Source, read_log
from bms_daemon.offline.cellfit.trace import make_trace

pytestmark = pytest.mark.data

SHIPPED = Path(__file__).parents[2] / "config/cells/lg-hg2.toml"
COLUMNS = """schema = 1
current = { column = "current_A" }
voltage = { column = "voltage_V" }
temperature = { column = "temp_C" }
charge = { column = "ah" }
"""


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    path = tmp_path / "columns.toml"
    path.write_text(COLUMNS)
    return path


def from_full(cell: Cell, recording: Path, columns: Path) -> Quality:
    """How well a cell predicts a recording that starts full."""
    capacity_ah = cell.capacity_ah
    log = read_log(Source(recording, "cycles"), load_cell_map(columns), Possible.of(2.5, 4.2, 3.0), 25.0)
    charge = count(log, capacity_ah)
    soc = 1.0 + charge.ah / capacity_ah
    return quality(cell, make_trace(recording.stem, "cycles", log, charge, soc, 0.004, capacity_ah))


def fitted(out: Path, columns: Path, capacity_ah: float, ocv: Path, pulses: Path) -> Cell:
    words = ["-o", out, "--capacity-ah", capacity_ah, "--columns", columns, "--min-v", 2.5]
    assert main([str(word) for word in ("fit-cell", *words, "--ocv", ocv, "--pulses", pulses)]) == 0
    return Cell(load_cell(out))


@pytest.mark.parametrize(
    ("recording", "most_v"),
    [("25degC/552_Mixed8", 0.008), ("10degC/571_Mixed8", 0.012), ("0degC/590_Mixed8", 0.018)],
)
def test_the_shipped_cell_predicts_cycles_that_it_was_not_fitted_to(
    recording: str, most_v: float, data_dir: Path, columns: Path
) -> None:
    assert Path(recording).name not in SHIPPED.read_text()
    found = from_full(Cell(load_cell(SHIPPED)), data_dir / "lg_hg2" / f"{recording}.csv.gz", columns)
    assert found.mean_rms_v < most_v


def test_pulses_and_a_slow_discharge_predict_a_drive_of_an_nmc_cell(
    data_dir: Path, columns: Path, tmp_path: Path
) -> None:
    folder = data_dir / "lg_hg2" / "25degC"
    cell = fitted(
        tmp_path / "cell.toml", columns, 2.780, folder / "549_C20DisCh.csv.gz", folder / "549_HPPC.csv.gz"
    )
    assert from_full(cell, folder / "551_Mixed1.csv.gz", columns).mean_rms_v < 0.020


@pytest.mark.slow
def test_pulses_and_a_slow_discharge_predict_a_drive_of_an_nca_cell(
    data_dir: Path, columns: Path, tmp_path: Path
) -> None:
    """The slow recording ends in another chamber: rows above 20 degC are those of the test."""
    folder = data_dir / "panasonic_18650pf" / "25degC"
    with gzip.open(folder / "C20_OCV_Test_C20_25dC.csv.gz", "rt") as file:
        header, *rows = csv.reader(file)
    warm = [row for row in rows if float(row[header.index("temp_C")]) > 20.0]
    with (tmp_path / "slow.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *warm])
    cell = fitted(
        tmp_path / "cell.toml", columns, 2.997, tmp_path / "slow.csv", folder / "25degC_5Pulse_HPPC.csv.gz"
    )
    assert from_full(cell, folder / "25degC_Cycle_1.csv.gz", columns).mean_rms_v < 0.015
