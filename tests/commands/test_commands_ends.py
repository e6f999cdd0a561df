"""Ends that are nobody's fault: an interrupt at any moment, and a reader that has seen enough."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import DEMO, placed, start, unread

from bms_daemon.__main__ import main


class Interrupting:
    """An importer during whose work the user presses Ctrl-C."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "bms_daemon.commands.check":
            raise KeyboardInterrupt


def test_an_interrupt_during_an_import_is_130_and_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "bms_daemon.commands.check", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main(["check", str(DEMO)]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.35])
def test_an_interrupt_at_any_moment_leaves_no_traceback(after_s: float) -> None:
    process = start("check", DEMO, "--timing")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=20.0)[1]
    begun = re.search(rb'bms_daemon/(?!__main__\.py", line \d, in <module>)', told)
    before_it_began = process.returncode in (1, -signal.SIGINT) and not begun
    swallowed = process.returncode == 0 and told.startswith(b"Exception ignored in: <function _get_module_lock")
    swallowed = swallowed and not begun
    assert before_it_began or swallowed or (process.returncode in (0, 130) and told == b""), told.decode()


def test_only_the_chosen_command_is_imported() -> None:
    code = (
        "import sys; from bms_daemon.__main__ import main; before = set(sys.modules); "
        f"main(['outputs-off', {str(DEMO)!r}]); "
        "print(*(n for n in sys.modules if n.startswith('bms_daemon.commands.') and '._' not in n)); "
        "print('argparse' in before)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-2:] == ["bms_daemon.commands.outputs_off", "False"]


@pytest.mark.parametrize("arguments", [["check", str(DEMO), "--timing"], ["--help"], ["check", "--help"]], ids=" ".join)
def test_a_closed_pipe_is_the_end_and_no_error(arguments: list[str]) -> None:
    assert unread(*arguments) == (0, b"")


def test_a_demo_that_nobody_reads_any_more_ends_in_good_order(tmp_path: Path) -> None:
    process = start("demo", placed(DEMO, tmp_path))
    assert process.stdout is not None and process.stderr is not None
    for _ in range(2):
        assert process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read().decode()
    assert process.wait(timeout=10.0) == 0, told
    process.stderr.close()
    assert {json.loads(line)["level"] for line in told.splitlines()} <= {"info", "warning"}
