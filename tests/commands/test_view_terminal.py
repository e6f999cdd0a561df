"""The live view on a real pseudo-terminal: what is on the screen, how it ends, and what is left behind."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, DEMO, Terminal, environment, placed


class Session:
    """A demo on a terminal of the given size."""

    def __init__(self, config: Path, width: int, height: int, *options: str, **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(self.master)
        given = environment(["NO_COLOR"], **{"TERM": "xterm", "PYTHONUTF8": "1"} | environ)
        command = [*COMMAND, "demo", str(config), *options]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=given)
        self._slave = slave
        self.terminal = Terminal(width, height)
        self.data = b""

    def run(self, until: Any = None, timeout_s: float = 20.0) -> None:
        """Read until the text is on the screen, or the process has ended."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if select.select([self.master], [], [], 0.05)[0]:
                self._read()
            elif self.process.poll() is not None:
                return
            if until is not None and until in self.terminal.text:
                return
        raise AssertionError(f"{until} never came:\n{self.terminal.text}")

    def _read(self) -> None:
        data = os.read(self.master, 65536)
        self.data += data
        whole = self.data[: len(self.data) - _unfinished(self.data)]
        self.terminal = Terminal(self.terminal.width, self.terminal.height)
        self.terminal.feed(whole)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


def _unfinished(data: bytes) -> int:
    """How many bytes at the end are a part of a character or of a sequence."""
    escape = data.rfind(b"\x1b")
    if escape >= len(data) - 12 and not any(65 <= byte <= 122 and byte != 91 for byte in data[escape + 1 :]):
        return len(data) - escape
    for back in range(1, min(4, len(data)) + 1):
        if data[-back] >= 0xC0:
            needed = 2 if data[-back] < 0xE0 else 3 if data[-back] < 0xF0 else 4
            return back if back < needed else 0
    return 0


@pytest.fixture
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made: list[Session] = []

    def make(width: int, height: int, *options: str, **environ: str) -> Session:
        made.append(Session(placed(DEMO, tmp_path), width, height, *options, **environ))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_screen_shows_the_pack_closed_and_ctrl_c_gives_the_terminal_back(session: Any) -> None:
    live = session(80, 24, "--speed", "30")
    live.run(until="CLOSED")
    live.run(until="PackState CLOSED")
    live.process.send_signal(signal.SIGINT)
    live.run()
    assert live.process.returncode == 0
    shown = live.terminal.pictures[-1].splitlines()
    assert "09:0" in shown[0] and "SOC" in shown[0]
    assert all(" V " in line and "A" in line for line in shown if line.startswith("pack "))
    text = "\n".join(shown)
    for part in (
        "charge    ≤",
        "main ",
        " 16 3.",
        "▼",
        "▲",
        "── faults",
        "── events",
        "101 BMS_Limits",
        "precharge to closed",
    ):
        assert part in text, part
    assert not live.terminal.alternate and live.terminal.cursor
    assert termios.tcgetattr(live.master) == live.before
    assert live.data.decode().rstrip().splitlines()[-1].split("\x1b[?1049l")[-1].startswith("demo: ended in standby")


def test_without_colour_nothing_is_styled_and_the_demo_ends_by_itself(session: Any) -> None:
    live = session(120, 40, "--for", "2", "--speed", "20", NO_COLOR="1")
    live.run()
    assert live.process.returncode == 0
    assert live.terminal.styled == 1, "only the reset at the end"
    assert "CLOSED" in live.terminal.pictures[-1]


def test_a_small_terminal_is_not_written_beyond_its_edge(session: Any) -> None:
    live = session(40, 10, "--for", "1", "--speed", "20")
    live.run()
    assert live.process.returncode == 0
    assert "pack " in live.terminal.pictures[-1]


def test_a_dumb_terminal_gets_lines(session: Any) -> None:
    live = session(80, 24, "--for", "0.5", "--speed", "5", "--can-log", os.devnull, TERM="dumb")
    live.run()
    assert b"\x1b[?1049h" not in live.data and b"demo: ended" in live.data
