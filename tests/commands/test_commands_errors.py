"""Exit codes and what people are told, for every command."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import Path

import pytest
from command_line import DEMO, PI, call, placed

from bms_daemon.__main__ import COMMANDS, main


def parsers() -> list[tuple[str, argparse.ArgumentParser]]:
    """Every command's parser, those of the requests included."""
    root = argparse.ArgumentParser()
    top = root.add_subparsers()
    for name in COMMANDS:
        import_module(f"bms_daemon.commands.{name}").add_parser(top)
    found = list(top.choices.items())
    for name, parser in list(found):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [(f"{name} {verb}", child) for verb, child in action.choices.items()]
    return found


@pytest.mark.parametrize(("name", "parser"), parsers(), ids=[name for name, _ in parsers()])
def test_every_command_and_every_argument_says_what_it_is_for(name: str, parser: argparse.ArgumentParser) -> None:
    silent = [action.dest for action in parser._actions if not action.help and action.dest != "verb"]
    assert not silent, f"{name}: no help for {silent}"
    assert name == "gateway" or len(parser.description or "") > 20


TAKES_CONFIG = [
    ["run"],
    ["check"],
    ["commission"],
    ["status"],
    ["events"],
    ["request", "open"],
    ["demo"],
    ["outputs-off"],
    ["gateway"],
]


@pytest.mark.parametrize("command", TAKES_CONFIG, ids=" ".join)
def test_a_missing_file_is_named_and_refused_as_configuration(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / "nowhere.toml")]) == 78
    assert f"{tmp_path / 'nowhere.toml'}: 1 error\n  file: does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("command", TAKES_CONFIG, ids=" ".join)
def test_all_errors_are_listed_with_key_value_and_what_would_be_right(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = placed(DEMO, tmp_path)
    broken = config.read_text().replace("max_v = 3.65 ", "max_v = 3.95 ").replace("series = 16", "series = 1600", 1)
    config.write_text(broken.replace("[fan]", "[fan]\nspeed = 3"))
    assert main([*command, str(config)]) == 78
    told = capsys.readouterr().err
    assert f"{config}: 4 errors" in told
    assert "cell.max_v = 3.95: must be below cell.critical_max_v = 3.75" in told
    assert "cell.max_v = 3.95: is outside of what lfp cells bear: 3.3 to 3.65" in told
    assert re.search(r"pack\.series = 1600: .*400", told)
    assert "fan.speed = 3: there is no such key" in told


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "a.toml", "--for", "-1"],
        ["run", "a.toml", "--for", "inf"],
        ["demo", "a.toml", "--for", "soon"],
        ["events", "a.toml", "--last", "257"],
        ["request", "a.toml"],
        ["request", "jump", "a.toml"],
        ["request", "clear"],
        ["status", "a.toml", "--socket", "b"],
        ["replay", "a.csv"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_usage_is_2_and_says_what_is_wanted(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "1001", "nan"])
def test_demo_refuses_an_impossible_speed(speed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(placed(DEMO, tmp_path)), "--speed", speed]) == 2
    assert "at most 1000" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["events"], ["request", "close"]], ids=" ".join)
@pytest.mark.parametrize("by", ["configuration", "socket"])
def test_a_core_that_does_not_run_is_69_with_what_to_do(
    command: list[str], by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = [str(placed(DEMO, tmp_path))] if by == "configuration" else ["--socket", str(tmp_path / "link")]
    assert main([*command, *target]) == 69
    told = capsys.readouterr().err
    assert f"no core on {tmp_path / 'link'}: No such file" in told
    assert "bms-daemon run CONFIG" in told


def test_run_without_the_bus_is_69_and_names_it_and_what_to_enable(tmp_path: Path) -> None:
    if Path("/dev/i2c-1").exists():
        pytest.skip("this machine has /dev/i2c-1")
    done = call("run", placed(PI, tmp_path))
    assert done.returncode == 69
    last = done.stderr.splitlines()[-1]
    assert last.startswith("hardware unavailable: gone: ")
    assert "/dev/i2c-1" in last and "dtparam=i2c_arm=on" in last


def test_outputs_off_without_the_lines_is_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = placed(PI, tmp_path)
    config.write_text(config.read_text().replace("pinctrl-bcm2711", "no-such-chip"))
    assert main(["outputs-off", str(config)]) == 69
    told = capsys.readouterr().err
    assert told.startswith("outputs are not known to be off: ") and "no-such-chip" in told


def test_outputs_off_has_nothing_to_do_for_a_simulated_pack(tmp_path: Path) -> None:
    assert main(["outputs-off", str(placed(DEMO, tmp_path))]) == 0


@pytest.mark.parametrize("command", [["run", "--for", "0.1"], ["check"]], ids=["run", "check"])
def test_a_can_file_that_cannot_be_used_is_a_configuration_error(command: list[str], tmp_path: Path) -> None:
    config = placed(DEMO, tmp_path)
    config.write_text(
        config.read_text() + f'\n[can.user_dbc]\nfile = "{tmp_path / "own.dbc"}"\n'
        '[[can.user_dbc.messages]]\nmessage = "Own"\nsignals = { A = "estimate.soc" }\n'
    )
    done = call(*command, config)
    assert done.returncode == 78, done.stderr
    assert "own.dbc" in done.stderr


def test_check_accepts_good_files_and_lists_every_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DEMO), str(PI), "--timing"]) == 0
    told = capsys.readouterr().out
    assert told.count(": good. 16s LFP, 100 Ah") == 2
    over_current = re.findall(r"^S30 +over_current_discharge +OPEN +([\d.]+) s +([\d.]+) s", told, re.M)
    assert len(over_current) == 2
    assert all(float(opened_s) <= 0.5 for _, opened_s in over_current)


def test_check_goes_on_after_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nowhere.toml"), str(DEMO)]) == 78
    told = capsys.readouterr()
    assert "nowhere.toml: 1 error" in told.err and "demo.toml: good." in told.out


def test_commission_writes_the_journal_once_and_keeps_what_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = placed(DEMO, tmp_path)
    assert main(["commission", str(config)]) == 0
    assert "approved" in capsys.readouterr().out
    assert main(["commission", str(config)]) == 0
    assert list(tmp_path.glob("journal*"))


def test_commission_says_why_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = placed(DEMO, tmp_path)
    (tmp_path / "file").touch()
    config.write_text(config.read_text().replace(f"{tmp_path}/journal", f"{tmp_path}/file/journal"))
    assert main(["commission", str(config)]) == 1
    assert capsys.readouterr().err.startswith("not commissioned: ")
