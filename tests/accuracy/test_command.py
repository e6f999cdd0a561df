"""The command as a whole: three recorded cycles within generous bounds, and words for what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bms_daemon.offline.accuracy.__main__ import main

BOUNDS = {"mean RMSE": 1.5, "worst": 4.0, "RMSE undisturbed": 1.2, "minutes to 3 points": 10.0}


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing from runs before, nothing left behind; and one thread a process, as scripts/accuracy has it."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bms-daemon" / "accuracy"


def figures(text: str) -> list[dict[str, float]]:
    """The first table's lines as numbers by column."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = rows[0]
    return [dict(zip(head[1:], map(first, row[1:]), strict=True)) for row in rows[2:5]]


def first(cell: str) -> float:
    return float(re.findall(r"[\d.]+", cell)[0])


@pytest.mark.data
@pytest.mark.slow
def test_three_recorded_cycles_are_within_generous_bounds(
    data_dir: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(data_dir), "--quick", "--jobs", "2"]) == 0
    lines = figures(capsys.readouterr().out)
    assert [line["runs"] for line in lines] == [10.0] * 3
    assert all(line[name] <= bound for line in lines for name, bound in BOUNDS.items())
    kept = {path.suffix for path in own_cache.iterdir()}
    assert kept == {".toml", ".json"}


def test_without_recordings_the_command_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BMS_TEST_DATA", raising=False)
    assert main([]) == 66
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "x.md")]) == 66
    errors = capsys.readouterr().err
    assert "BMS_TEST_DATA" in errors and "lg_hg2, panasonic_18650pf, plett_a123_lfp" in errors
    assert not (tmp_path / "x.md").exists()
