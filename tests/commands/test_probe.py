"""``bms-daemon probe`` as a user calls it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from command_line import DEMO, PI, call, placed

from bms_daemon.app import load_settings
from bms_daemon.commands import probe
from bms_daemon.runtime.lock import InstanceLock


def test_a_good_pack_ends_with_0_and_a_line_a_finding(tmp_path: Path) -> None:
    done = call("probe", placed(PI, tmp_path), "--simulated", "--balance")
    assert done.returncode == 0, done.stderr
    assert "16 cells" in done.stdout and "WRONG" not in done.stdout
    assert "front end      ok    bq76952" in done.stdout


def test_a_configuration_with_a_world_of_its_own_needs_no_flag(tmp_path: Path) -> None:
    done = call("probe", placed(DEMO, tmp_path), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and {line["level"] for line in lines} <= {"ok", "note"}
    assert {"lines", "front end", "cells", "noise", "temperatures", "wiring order", "current", "CAN", "power path"} == {
        line["check"] for line in lines
    }


@pytest.mark.parametrize("held", [False, True], ids=["no such device", "a daemon that runs"])
def test_what_cannot_be_opened_is_69_with_what_to_do(tmp_path: Path, held: bool) -> None:
    lock = InstanceLock(tmp_path / "link")
    if held:
        lock.acquire()
    done = call("probe", placed(PI, tmp_path))
    lock.release()
    assert done.returncode == 69 and not done.stdout
    assert ("Stop the daemon first" in done.stderr) is held
    assert held or "enable" in done.stderr


ANSWERS = {"agreed": ("close\n", True, True), "not agreed": ("yes\n", True, False), "nobody": ("close\n", False, False)}


@pytest.mark.parametrize(("typed", "terminal", "agreed"), ANSWERS.values(), ids=ANSWERS)
def test_contactors_wait_for_a_person_who_types_close(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, terminal: bool, agreed: bool
) -> None:
    keyboard = io.StringIO(typed)
    monkeypatch.setattr(keyboard, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdin", keyboard)
    assert probe._agreed(load_settings(PI)) is agreed
    asked = capsys.readouterr().err
    assert "58 V" in asked and ("--yes" in asked) is not terminal


def test_a_socket_folder_that_cannot_be_made_is_not_taken_for_a_daemon(tmp_path: Path) -> None:
    path = placed(PI, tmp_path)
    (tmp_path / "file").touch()
    path.write_text(path.read_text().replace(str(tmp_path / "link"), str(tmp_path / "file/link")))
    done = call("probe", path)
    assert done.returncode == 69
    assert "change link.socket" in done.stderr and "Stop the daemon" not in done.stderr


def test_a_socket_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    path = placed(PI, tmp_path)
    path.write_text(path.read_text().replace(str(tmp_path / "link"), str(tmp_path / "new/link")))
    assert "enable" in call("probe", path).stderr, "it goes on to the devices"


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    path = placed(PI, tmp_path)
    path.write_text(path.read_text().replace("series = 16", "series = 17"))
    assert call("probe", path, "--simulated").returncode == 78


def test_a_configuration_of_real_hardware_runs_as_a_demo(tmp_path: Path) -> None:
    done = call("demo", placed(PI, tmp_path), "--speed", "20", "--for", "4")
    assert done.returncode == 0, done.stderr
    assert "precharge to closed" in done.stderr or '"to":"closed"' in done.stderr or "closed" in done.stdout
    assert not (tmp_path / "link").exists() and not (tmp_path / "journal").exists(), "its own files are elsewhere"
