"""``bms-daemon estimate`` as a user calls it: lines in, lines out, whatever stands in them."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from bms_daemon.__main__ import main

ROOT = Path(__file__).parents[2]
CELL = ROOT / "config/cells/lg-hg2.toml"
HEADER = (
    "time_s,soc,soc_sigma,soc_published,voltage_model_v,capacity_ah,capacity_sigma_ah,r0_ohm,current_bias_a,"
    "discharge_power_10s_w,charge_power_10s_w"
)
GOOD = [f"{second},-0.3,{3.70 - 1e-5 * second:.5f},25.0" for second in range(60)]


def run(tmp_path: Path, lines: list[str], *options: str, name: str = "in.csv") -> list[dict[str, str]]:
    """The lines behind the header that come out; checks exit code 0."""
    recording, out = tmp_path / name, tmp_path / "out.csv"
    text = "\n".join(lines) + "\n"
    recording.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert main(["estimate", str(CELL), str(recording), "-o", str(out), *options]) == 0
    assert out.read_text().splitlines()[0] == HEADER
    with out.open() as file:
        return list(csv.DictReader(file))


OWN = "time_s,current_a,voltage_v,temperature_c"


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
def test_every_line_gives_a_line_of_numbers(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(tmp_path, [OWN, *GOOD], "--initial-soc", "0.6", name=name)
    assert [float(row["time_s"]) for row in rows] == list(range(60))
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    assert capsys.readouterr().out == "60 rows, 0 bad\n"


BAD = ["x,-0.3,3.7,25", "61", "", "62,,3.7,25", "63,-0.3,nan,25", "64,-0.3,99,25", "62,-0.3,3.7,25", "65,1e9,3.7,25"]


def test_bad_lines_are_counted_and_still_give_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(tmp_path, [OWN, *GOOD, *BAD, "66,-0.3,3.7,25"])
    assert len(rows) == len(GOOD) + len(BAD) + 1
    assert all(np.isfinite(float(row["soc"])) for row in rows)
    told = capsys.readouterr().out
    assert "69 rows, 8 bad" in told
    for reason in ("no time", "no current", "no voltage", "time does not advance", "impossible current or voltage"):
        assert reason in told


def test_the_recording_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "in.csv"
    recording.write_text("\n".join([OWN, *GOOD]))
    kept = recording.read_bytes()
    assert main(["estimate", str(CELL), str(recording), "-o", str(tmp_path / "." / "in.csv")]) == 2
    assert recording.read_bytes() == kept
    assert "another name" in capsys.readouterr().err


def test_foreign_columns_and_signs_are_mapped_and_temperature_may_be_missing(tmp_path: Path) -> None:
    own = run(tmp_path, ["time_s,current_a,voltage_v", *(line.rpartition(",")[0] for line in GOOD)])
    mapping = tmp_path / "map.toml"
    mapping.write_text('schema = 1\ntime = { column = "t" }\ncurrent = { column = "I", sign = -1 }\n'
                       'voltage = { column = "mV", scale = 0.001 }\n')  # fmt: skip
    foreign = ["t,I,mV"]
    for line in GOOD:
        second, amps, volts, _ = line.split(",")
        foreign.append(f"{second},{-float(amps)},{1000 * float(volts)}")
    mapped = run(tmp_path, foreign, "--columns", str(mapping))
    assert [float(row["soc"]) for row in mapped] == pytest.approx([float(row["soc"]) for row in own])


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([str(CELL), "cut.csv.gz"], 2, "cut.csv.gz: Compressed file ended"),
        (["none.toml", "in.csv"], 78, "none.toml: does not exist"),
        ([str(CELL), "none.csv"], 1, "none.csv: No such file"),
        ([str(CELL), "foreign.csv"], 2, "no column time_s, current_a, voltage_v; there are a, b; --columns"),
        ([str(CELL), "in.csv", "--columns", "none.toml"], 2, "none.toml"),
        ([str(CELL), "in.csv", "--columns", "cold.toml"], 2, "no column cell_temp"),
    ],
)
def test_what_cannot_be_read_is_named(
    arguments: list[str], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(OWN + "\n")
    Path("out.csv").write_text("of yesterday")
    Path("cold.toml").write_text('schema = 1\ntemperature = { column = "cell_temp" }\n')
    Path("foreign.csv").write_text("a,b\n1,2\n")
    Path("cut.csv.gz").write_bytes(gzip.compress("\n".join([OWN, *GOOD]).encode())[:-20])
    assert main(["estimate", *arguments, "-o", "out.csv"]) == code
    assert text in capsys.readouterr().err
    assert Path("out.csv").read_text() == "of yesterday"
    assert not list(tmp_path.glob("*.part"))


def test_a_device_is_written_directly(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("\n".join([OWN, *GOOD]) + "\n")
    assert main(["estimate", str(CELL), str(tmp_path / "in.csv"), "-o", "/dev/null"]) == 0


@pytest.mark.parametrize("value", ["1.5", "-0.1", "full"])
def test_a_start_that_is_no_fraction_is_wrong_usage(value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["estimate", str(CELL), "in.csv", "-o", "out.csv", "--initial-soc", value])
    assert caught.value.code == 2


HELD_OUT = {"0degC/590_Mixed8": (1.0, 3.0), "10degC/571_Mixed8": (0.8, 2.5), "25degC/552_Mixed8": (0.9, 2.5)}


@pytest.mark.data
@pytest.mark.parametrize("cycle", HELD_OUT)
def test_a_real_cycle_that_the_fit_never_saw_is_followed_from_a_wrong_start(
    cycle: str, data_dir: Path, tmp_path: Path
) -> None:
    """LG 18650HG2, mixed cycles at three temperatures; truth is the cycler's counter over 2.780 Ah."""
    mapping = tmp_path / "map.toml"
    mapping.write_text('schema = 1\ncurrent = { column = "current_A" }\nvoltage = { column = "voltage_V" }\n'
                       'temperature = { column = "temp_C" }\n')  # fmt: skip
    recording = data_dir / "lg_hg2" / f"{cycle}.csv.gz"
    lines = gzip.decompress(recording.read_bytes()).decode().splitlines()
    rows = run(tmp_path, lines, "--columns", str(mapping), "--initial-soc", "0.8")
    true = np.array([1.0 + float(line.split(",")[4]) / 2.780 for line in lines[1:]])
    time_s = np.array([float(row["time_s"]) for row in rows])
    error = 100.0 * (np.array([float(row["soc"]) for row in rows]) - true)[time_s >= 600.0]
    rms, worst = HELD_OUT[cycle]
    assert np.sqrt(np.mean(error**2)) < rms
    assert np.abs(error).max() < worst
