"""What people are told when what they ask for does not fit, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import DEMO, ROOT, placed

from bms_daemon.__main__ import main

NMC = ROOT / "config/replay-16s-nmc.toml"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", str(DEMO), "--for", "x"], "argument --for: x: wanted is a number of seconds above 0"),
        (["run", str(DEMO), "--for", "0"], "argument --for: 0: wanted is a number of seconds above 0"),
        (["events", str(DEMO), "--last", "many"], "argument --last: many: wanted is a number from 0 to 256"),
    ],
)
def test_a_wrong_number_is_told_with_what_is_wanted(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err


def test_a_wrong_speed_has_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(placed(DEMO, tmp_path)), "--speed", "0"]) == 2
    assert capsys.readouterr().err == "--speed 0: wanted is a number above 0, at most 1000\n"


def test_a_gateway_without_a_broker_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", str(DEMO)]) == 78
    assert capsys.readouterr().err == f"{DEMO}: there is no [gateway.mqtt] table, so there is nothing to serve\n"


def recorded(folder: Path, cells: int = 16, probes: int = 4) -> str:
    """A file of two rows."""
    names = ["time_s", "current_a", *(f"cell_{n}_v" for n in range(1, cells + 1))]
    names += [f"temp_{n}_degc" for n in range(1, probes + 1)]
    values = ["0", *["3.7"] * cells, *["25"] * probes]
    path = folder / "drive.csv"
    path.write_text("\n".join(",".join(row) for row in (names, ["0", *values], ["1", *values])) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("probes", "options", "told"),
    [
        (4, ["--cells", "1-8"], "8 cells are selected, pack.series is 16"),
        (2, [], "2 probes are mapped, afe.settings.probes names 4"),
    ],
)
def test_a_recording_that_does_not_fit_is_told_in_keys(
    probes: int, options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", recorded(tmp_path, probes=probes), str(NMC), *options]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_a_result_that_cannot_be_written_is_told_before_anything_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bms_daemon.offline.replay.replay", lambda *_: pytest.fail("it was played"))
    out = tmp_path / "nowhere" / "out.csv"
    assert main(["replay", recorded(tmp_path), str(NMC), "-o", str(out)]) == 1
    assert capsys.readouterr().err == f"-o {out}: No such file or directory\n"


def test_every_exit_code_is_in_the_help_and_in_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    codes = re.findall(r"^  (\d+) +\w", capsys.readouterr().out, re.M)
    assert codes == ["0", "1", "2", "69", "78", "130"]
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs/commands.md").read_text(), re.M)
    assert rows == codes
