"""The rig as a test has it: its process, its back door, and waiting for what it shows."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RIG_SOCKET = Path("/run/rig.sock")
START_S, ANSWER_S = 20.0, 10.0  # of the rig


class Failed(Exception):
    """Something did not happen in time."""


def until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0, every_s: float = 0.02) -> Any:
    """The first true value of ``condition``. Raises Failed."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(every_s)
    raise Failed(f"not within {timeout_s:g} s: {what}")


class Rig:
    """The rig's process and its back door."""

    def __init__(self, log: Path, board: str, config: Path, current_a: float) -> None:
        command = [sys.executable, "-m", "bms_daemon.sim.rig", "serve", str(config), "--board", board]
        command += ["--current", str(current_a)]
        with contextlib.ExitStack() as self._stack:
            with log.open("ab") as file:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, cwd=ROOT)
            self._stack.enter_context(process)  # waits, and closes the pipe
            self._stack.callback(process.terminate)
            _await_ready(process, log)
            self._client = self._stack.enter_context(socket.socket(socket.AF_UNIX))
            self._client.settimeout(ANSWER_S)
            self._client.connect(str(RIG_SOCKET))
            self._answers = self._stack.enter_context(self._client.makefile())
            self._stack = self._stack.pop_all()

    def ask(self, do: str, **rest: Any) -> dict[str, Any]:
        """One request. Raises Failed where the rig refuses it."""
        self._client.sendall(json.dumps({"do": do, **rest}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._answers.readline())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def inject(self, fault: str, **args: Any) -> float:
        """Make a fault true; returns when, on the kernel's monotonic clock."""
        return float(self.ask("inject", fault=fault, args=args)["at_s"])

    def clear(self, fault: str) -> None:
        self.ask("clear", fault=fault)

    @property
    def closed(self) -> bool:
        """The main contactor's contact."""
        return bool(self.ask("state")["main_closed"])

    @property
    def lines(self) -> dict[str, bool]:
        """The daemon's outputs, by role."""
        return dict(self.ask("state")["lines"])

    @property
    def late_s(self) -> float:
        """By how much the rig has missed a look at the lines at worst; 0 when it does not answer any more."""
        with contextlib.suppress(OSError, ValueError, Failed):
            return float(self.ask("trace", after_s=time.monotonic()).get("late_s", 0.0))
        return 0.0

    def released_s(self, after_s: float) -> float:
        """When no coil was energised any more, of one that was at an instant; infinity while it is."""
        changes = self.ask("trace", after_s=after_s)["coils"]
        return next((float(at_s) for at_s, main, precharge in changes if not (main or precharge)), inf)

    def fell_s(self, role: str, after_s: float) -> float:
        """When an output line went off after an instant; infinity while it has not."""
        changes = self.ask("trace", after_s=after_s)["lines"]
        return next((float(at_s) for at_s, name, level in changes if name == role and not level), inf)

    def release_s(self, after_s: float, timeout_s: float = 15.0) -> float:
        """Wait until the coils are released: how long that took. Raises Failed."""
        until(lambda: self.released_s(after_s) < inf, "the coils released", timeout_s)
        return self.released_s(after_s) - after_s

    def fall_s(self, after_s: float, timeout_s: float = 15.0) -> float:
        """Wait until the main contactor's line is off: how long that took. Raises Failed."""
        until(lambda: self.fell_s("main", after_s) < inf, "the line off", timeout_s)
        return self.fell_s("main", after_s) - after_s

    def energised_since(self, after_s: float) -> bool:
        """Whether a coil was energised anew after an instant."""
        return any(main or precharge for at_s, main, precharge in self.ask("trace", after_s=after_s)["coils"])

    def close(self) -> None:
        self._stack.close()


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.stdout is not None
    answered, _, _ = select.select([process.stdout], [], [], START_S)
    if not answered or process.stdout.readline() != b"rig: ready\n":
        raise Failed(f"the rig did not start within {START_S:g} s: {log.read_text()[-2000:]}")
