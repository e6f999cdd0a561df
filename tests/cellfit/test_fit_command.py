"""The command: what it refuses and says, and what it leaves behind."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from fitting import fit
from known_cell import KnownCell, cycle, slow, write

from bms_daemon.__main__ import main
from bms_daemon.config.cellfile import load_cell

OK, FAILED, USAGE = 0, 1, 2


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: object, code: int = USAGE) -> str:
    """What the command says on standard error; it must not leave a file."""
    out = tmp_path / "cell.toml"
    typed = ["fit-cell", "-o", out, "--capacity-ah", "5", *words]
    assert main([str(word) for word in typed]) == code
    assert not out.exists()
    return capsys.readouterr().err


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    return tmp_path / "recording.csv"


def test_without_a_recording_it_says_what_to_give(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--ocv, --pulses or --cycles" in refused(capsys, tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ocv", "nowhere.csv"], "nowhere.csv: [Errno 2]"),
        (["--ocv", "a.csv", "--cycles", "a.csv"], "a.csv: given more than once"),
        (["--ocv", "a.csv", "--capacity-ah", "-3"], "--capacity-ah: Input should be greater than 0"),
        (["--ocv", "a.csv", "--capacity-ah", "nan"], "--capacity-ah:"),
        (["--ocv", "a.csv", "--min-v", "4.3"], "--min-v 4.3 must be below --max-v 4.2"),
        (["--ocv", "a.csv@400"], "not within -60 to 100 degC"),
        (["--ocv", "a.csv", "--temperature-c", "nan"], "not within -60 to 100 degC"),
        (["--ocv", "a.csv", "--columns", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_is_given_wrongly_is_named(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert told in refused(capsys, tmp_path, *words)


def test_a_map_with_unknown_keys_is_refused_with_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, Path]
) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text('schema = 1\ncurent = { column = "i" }\ninitial_soc = 2.0\n')
    said = refused(capsys, tmp_path, "--ocv", files["slow"], "--columns", columns)
    assert "curent" in said and "initial_soc" in said


@pytest.mark.parametrize("kind", ["voltage", "charge", "temperature"])
def test_a_column_that_the_map_names_has_to_be_there(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, Path]
) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text(f'schema = 1\n{kind} = {{ column = "missing" }}\n')
    said = refused(capsys, tmp_path, "--ocv", files["slow"], "--columns", columns)
    assert "no column 'missing'; there are current_a, temperature_c, time_s, voltage_v" in said


def test_a_recording_without_enough_rows_is_refused_with_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text_file: Path
) -> None:
    rows = "".join(f"{second},1.0,,25\n" for second in range(50))
    text_file.write_text("time_s,current_a,voltage_v,temperature_c\n" + rows)
    said = refused(capsys, tmp_path, "--ocv", text_file)
    assert "0 usable rows, 20 are wanted (50 rows dropped: no voltage)" in said


def test_a_cycle_that_starts_half_full_needs_a_curve_or_a_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, Path], known: KnownCell
) -> None:
    played = cycle(known, 1).rows(slice(2500, None))
    path = write(tmp_path / "half.csv", played.changed(time_s=played.time_s - 2500.0))
    said = refused(capsys, tmp_path, "--cycles", path)
    assert "half.csv: its state of charge at the start is not known" in said
    assert "--ocv" in said and "initial_soc" in said
    columns = tmp_path / "map.toml"
    columns.write_text(f"schema = 1\ninitial_soc = {played.soc[0]:.4f}\n")
    fit(tmp_path / "cell.toml", "--columns", columns, "--cycles", path)


def test_an_output_that_cannot_be_written_is_found_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, Path]
) -> None:
    there = tmp_path / "there"
    there.write_text("a file")
    assert main(["fit-cell", "-o", str(tmp_path), "--capacity-ah", "5", "--ocv", str(files["slow"])]) == FAILED
    assert main(["fit-cell", "-o", str(there / "x"), "--capacity-ah", "5", "--ocv", str(files["slow"])]) == FAILED
    assert "--report" in refused(capsys, tmp_path, "--ocv", files["slow"], "--report", there, code=FAILED)


def test_the_file_says_how_it_came_about_without_folders_of_the_machine(
    files: dict[str, Path], tmp_path: Path
) -> None:
    columns = tmp_path / "map.toml"
    columns.write_text("schema = 1\ninitial_soc = 1.0\n")
    out = tmp_path / "mine.toml"
    fit(out, "--columns", columns, "--ocv", f"{files['slow']}@10", "--source", "Me, 'here'", "--max-v", 4.25)
    text = out.read_text()
    comments = " ".join(line.lstrip("# ").rstrip("\\") for line in text.splitlines() if line.startswith("#"))
    assert "bms-daemon fit-cell -o mine.toml --capacity-ah 5.0 --ocv slow.csv@10" in comments
    assert "initial_soc = 1.0" in comments
    assert str(tmp_path) not in text
    cell = load_cell(out).cell
    assert (cell.name, cell.source, cell.max_v) == ("mine", "Me, 'here'", 4.25)
    assert load_cell(out).resistance.temperature_degc == (10.0,)
    assert all(len(line) <= 110 for line in text.splitlines())
    assert tomllib.loads(text)["schema"] == 1


def test_the_report_shows_residuals_gaps_of_knowledge_and_pictures(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    fit(tmp_path / "cell.toml", "--ocv", files["slow"], "--cycles", files["cycle"], "--report", folder)
    text = (folder / "report.md").read_text()
    shown = re.findall(r"\]\((.*?)\)", text)
    assert sorted(shown) == sorted(path.name for path in folder.glob("*.png"))
    assert len(shown) == 4
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in shown)
    assert re.search(r"recordings\d+/cycle +\| cycles \|   5405 \|    0\.\d", text)
    assert re.search(r"\| 0% to 10% \| +\*\*0\*\* \|", text)
    assert re.search(r"\| 50% to 60% \| +\d+ \|", text)


def test_a_wrong_capacity_is_noticed_in_the_report(known: KnownCell, tmp_path: Path) -> None:
    path = write(tmp_path / "slow.csv", slow(known))
    fit(tmp_path / "cell.toml", "--capacity-ah", "4.5", "--ocv", path, "--report", tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    assert "the capacity is wrong" in text


def test_parquet_is_read_like_csv(files: dict[str, Path], tmp_path: Path) -> None:
    import numpy as np
    import pyarrow
    from pyarrow import parquet

    table = np.genfromtxt(files["slow"], delimiter=",", names=True)
    columns = {name: table[name] for name in table.dtype.names}
    parquet.write_table(pyarrow.table(columns), tmp_path / "slow.parquet")
    fit(tmp_path / "one.toml", "--ocv", files["slow"])
    fit(tmp_path / "two.toml", "--ocv", tmp_path / "slow.parquet")
    assert load_cell(tmp_path / "one.toml").ocv == load_cell(tmp_path / "two.toml").ocv
