"""What systemd does for systemd/bms-core@.service, as far as the unit asks for it: a lab has no systemd of its own."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "bms-core@.service"
LIMITS = {"LimitRTPRIO": "--rtprio", "LimitMEMLOCK": "--memlock", "LimitCORE": "--core"}
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
NOTIFY = Path("/run/notify.sock")


def directives(path: Path = UNIT) -> dict[str, list[str]]:
    """Directive to its values in order, of all sections."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        if line and line[0] not in "#[":
            key, value = line.split("=", 1)
            found[key].append(value)
    return found


class Unit:
    """One start of bms-core@NAME: the unit's user, groups, limits, notification socket and watchdog.

    Times are the kernel's monotonic clock. ``said`` holds (time_s, line) of every notification.
    """

    def __init__(self, name: str, log: Path, environment: Mapping[str, str]) -> None:
        self._unit, self._name, self._log_path = directives(), name, log
        self.said: list[tuple[float, str]] = []
        self.timed_out_s = 0.0  # when the watchdog fired
        self.exit_s = 0.0
        self._fed_s = float("inf")
        self._ended = threading.Event()
        NOTIFY.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(NOTIFY))
        self._socket.settimeout(0.02)
        NOTIFY.chmod(0o666)
        self.start_s = time.monotonic()
        self.process = self._launch(self._command("ExecStart"), environment)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that was logged to standard error, by every start with this file."""
        return self._log_path.read_text()

    @property
    def ready_s(self) -> float:
        """When it said that it was ready; infinity before."""
        return next((at_s for at_s, line in self.said if line == "READY=1"), float("inf"))

    def kill(self, number: int) -> float:
        """Send a signal; returns when."""
        at_s = time.monotonic()
        self.process.send_signal(number)
        return at_s

    def wait(self, timeout_s: float = 15.0) -> int:
        """The exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        status = self.process.wait(timeout_s)
        self._end()
        return status

    def close(self) -> None:
        """End it, however far it has come; once more does no harm."""
        if self.process.poll() is None:
            self.kill(signal.SIGKILL)
            self.process.wait()
        self._end()

    def stop(self) -> int:
        """What ``systemctl stop`` does: SIGTERM, SIGKILL after TimeoutStopSec, then ExecStopPost."""
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
            try:
                self.process.wait(float(self._unit["TimeoutStopSec"][0]))
            except subprocess.TimeoutExpired:
                self.kill(signal.SIGKILL)
                self.process.wait()
        self._end()
        self.after()
        return self.process.returncode

    def after(self) -> subprocess.CompletedProcess[str]:
        """ExecStopPost, which runs however the core ended."""
        return self._run("ExecStopPost")

    def beside(self) -> subprocess.CompletedProcess[str]:
        """ExecStart once more while this one runs."""
        return self._run("ExecStart")

    def _run(self, key: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(key), capture_output=True, text=True, check=False, cwd="/", env={"PATH": PATH}, timeout=30.0
        )

    def _command(self, key: str) -> list[str]:
        """The unit's command as the unit's user, with its groups and limits, and no way to more."""
        unit = self._unit
        limits = [f"{option}={unit[key][0].replace('infinity', 'unlimited')}" for key, option in LIMITS.items()]
        groups = ",".join(unit["SupplementaryGroups"][0].split())
        identity = ["--reuid", unit["User"][0], "--regid", unit["Group"][0], "--groups", groups, "--no-new-privs"]
        command = shlex.split(unit[key][0].replace("%i", self._name))
        return ["prlimit", *limits, "setpriv", *identity, *command]

    def _launch(self, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        watchdog_us = int(float(self._unit["WatchdogSec"][0]) * 1e6)
        environment = {
            **environment, "PATH": PATH, "NOTIFY_SOCKET": str(NOTIFY), "WATCHDOG_USEC": str(watchdog_us)
        }  # fmt: skip
        umask = int(self._unit["UMask"][0], 8)
        with self._log_path.open("ab") as log:
            return subprocess.Popen(command, env=environment, stderr=log, stdout=log, cwd="/", umask=umask)

    def _listen(self) -> None:
        limit_s = float(self._unit["WatchdogSec"][0])
        while not self._ended.is_set():
            try:
                lines = self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                lines = []
            now_s = time.monotonic()
            self.said += [(now_s, line) for line in lines]
            if "READY=1" in lines or "WATCHDOG=1" in lines:
                self._fed_s = now_s
            if now_s - self._fed_s > limit_s and not self.timed_out_s:
                self.timed_out_s = now_s
                os.kill(self.pid, signal.SIGABRT)
                os.kill(self.pid, signal.SIGCONT)  # systemd wakes what was stopped, or the signal would wait

    def _end(self) -> None:
        self.exit_s = self.exit_s or time.monotonic()
        self._ended.set()
        self._listener.join()
        self._socket.close()
