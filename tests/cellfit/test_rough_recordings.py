"""Loggers lose rows, mix them up and name them in their own ways: the cell stays nearly the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fitting import fit, total_ratio, voltage_error_v
from known_cell import CAPACITY_AH, KnownCell, Played, cycle, slow, write

from bms_daemon.config.cellfile import Identity
from bms_daemon.offline.cellfit.charge import count
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.job import Job, fit_cell
from bms_daemon.offline.cellfit.reading import Log, Possible, Source, read_log
from bms_daemon.offline.columns import Column

NAMES = ("time_s", "current_a", "voltage_v", "temperature_c", "ah")
COUNTED = CellColumns(charge=Column(column="ah"))


def read(path: Path, columns: CellColumns = COUNTED, degc: float | None = None) -> Log:
    return read_log(Source(path, "cycles", degc), columns, Possible.of(2.8, 4.2, 10.0), 25.0)


def spoilt(path: Path, out: Path) -> Path:
    """Rows swapped, doubled, emptied, impossible, and ten minutes lost in which the counter went on."""
    random = np.random.default_rng(5)
    header, *rows = path.read_text().splitlines()
    del rows[2000:2600]
    for row in random.integers(10, len(rows) - 10, 40):
        fields = rows[row].split(",")
        fields[random.integers(1, 5)] = ("", "nan", "inf", "broken")[random.integers(4)]
        rows[row] = ",".join(fields)
    rows[500] = rows[500].split(",")[0] + ",0.0,0.0003,25.0,0.0"
    rows[600] = rows[600].split(",")[0] + ",1e30,3.6,25.0,0.0"
    for row in random.integers(10, len(rows) - 10, 40):
        rows[row], rows[row + 1] = rows[row + 1], rows[row]
        rows.insert(row, rows[row])
    out.write_text("\n".join([header, *rows]) + "\n")
    return out


@pytest.fixture(scope="module")
def counted(known: KnownCell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("counted") / "cycle.csv", cycle(known, 1), NAMES)


def test_a_spoilt_file_gives_the_good_rows_in_order_and_says_what_it_left_out(counted: Path, tmp_path: Path) -> None:
    good, found = read(counted), read(spoilt(counted, tmp_path / "spoilt.csv"))
    assert (np.diff(found.time_s) > 0).all()
    place = np.searchsorted(good.time_s, found.time_s)
    assert good.voltage_v[place] == pytest.approx(found.voltage_v)
    assert good.time_s.size - 600 - 45 < found.time_s.size < good.time_s.size - 600
    told = "; ".join(found.notes)
    for words in ("times went backwards", "same time", "no current", "no voltage", "no counted charge", "not within"):
        assert words in told


def test_a_spoilt_file_gives_nearly_the_same_cell(
    files: dict[str, Path], known: KnownCell, counted: Path, tmp_path: Path
) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text('schema = 1\ncharge = { column = "ah" }\n')
    slow_too = write(tmp_path / "slow.csv", slow(known), NAMES)
    another = write(tmp_path / "another.csv", cycle(known, 4), NAMES)
    recordings = ["--ocv", slow_too, "--cycles", spoilt(counted, tmp_path / "spoilt.csv"), another]
    cell = fit(tmp_path / "cell.toml", "--columns", columns, *recordings)
    assert voltage_error_v(cell, known) < 0.003
    assert total_ratio(cell, known) == pytest.approx(1.0, abs=0.03)


def test_a_row_a_minute_foreign_names_the_other_sign_and_no_temperature(known: KnownCell, tmp_path: Path) -> None:
    """Milliamperes, discharge positive; a counter, for the current of a minute ago says little about the charge."""
    played = cycle(known, 4, hold=(300, 900)).rows(slice(None, None, 60))
    names = ("zeit", "strom", "volt", "grad", "ah")
    path = write(tmp_path / "cycle.csv", played.changed(current_a=-1000.0 * played.current_a), names)
    slow_too = write(tmp_path / "slow.csv", slow(known).changed(current_a=-1000.0 * slow(known).current_a), names)
    columns = tmp_path / "map.toml"
    columns.write_text(
        'schema = 1\ntime = { column = "zeit" }\ncurrent = { column = "strom", sign = -1, scale = 0.001 }\n'
        'voltage = { column = "volt" }\ncharge = { column = "ah" }\n'
    )
    cell = fit(tmp_path / "cell.toml", "--columns", columns, "--ocv", slow_too, "--cycles", path)
    assert cell.file.resistance.temperature_degc == (25.0,)
    assert voltage_error_v(cell, known) < 0.010
    assert total_ratio(cell, known) == pytest.approx(1.0, abs=0.15)


def test_charge_in_a_gap_is_that_of_the_counter(counted: Path, tmp_path: Path) -> None:
    good, found = read(counted), read(spoilt(counted, tmp_path / "spoilt.csv"))
    charge = count(found, CAPACITY_AH)
    assert charge.gap.sum() == 1 and not charge.lost.any()
    assert charge.ah[-1] == pytest.approx(good.counted_ah[-1] - good.counted_ah[0], abs=1e-4)  # type: ignore[index]


def test_a_counter_that_is_reset_is_bridged_by_the_current(counted: Path) -> None:
    log = read(counted)
    assert log.counted_ah is not None
    reset = np.where(np.arange(log.time_s.size) < 3000, log.counted_ah, log.counted_ah - log.counted_ah[3000])
    charge = count(Log(log.time_s, log.current_a, log.voltage_v, log.temperature_degc, reset), CAPACITY_AH)
    assert charge.ah == pytest.approx(log.counted_ah - log.counted_ah[0], abs=0.01)
    assert "jumped 1 times" in charge.notes[0]


def gapped(path: Path, soc_before: float, known: KnownCell) -> Path:
    """A cycle without a counter: two hours lost while it drove on, then a rest."""
    played = cycle(known, 1)
    at = int(np.argmin(np.abs(played.soc - soc_before)))
    time_s = np.concatenate([played.time_s[:at], played.time_s[at] + 7200.0 + np.arange(1000.0)])
    current_a = np.concatenate([played.current_a[:at], np.zeros(1000)])
    rest_v = float(known.open_circuit_v(np.array([0.4]), np.array([25.0]))[0])
    voltage_v = np.concatenate([played.voltage_v[:at], np.full(1000, rest_v)])
    return write(path, Played(time_s, current_a, voltage_v, np.full(time_s.size, 25.0), np.ones(time_s.size)))


def test_without_a_counter_the_state_after_a_gap_is_that_of_the_rest(
    files: dict[str, Path], known: KnownCell, tmp_path: Path
) -> None:
    path = gapped(tmp_path / "gap.csv", 0.7, known)
    identity = Identity(name="x", chemistry="nmc", source="x", capacity_ah=CAPACITY_AH, min_v=2.8, max_v=4.2)
    sources = (Source(files["slow"], "ocv"), Source(path, "cycles"))
    outcome = fit_cell(Job(sources, CellColumns(), identity, 25.0), lambda: None)
    trace = outcome.traces[1]
    assert trace.soc[~(trace.time_s < trace.time_s[trace.gap][0])] == pytest.approx(0.4, abs=0.01)
    assert any("found again" in note for note in trace.notes)


@pytest.mark.parametrize(("said", "expected"), [(None, 25.0), (0.0, 0.0)])
def test_a_temperature_said_with_the_file_counts_more_than_its_column(
    counted: Path, said: float | None, expected: float
) -> None:
    assert read(counted, degc=said).temperature_degc == pytest.approx(expected)
