"""systemd's notification socket: readiness, status, watchdog. Sources: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Datagrams to $NOTIFY_SOCKET, abstract ones (``@``) included; does nothing where systemd did not ask for them."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) if self._address else None

    def send(self, *lines: str) -> None:
        """Never blocks and never raises: a lost message is what the watchdog is for."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.sendto("\n".join(lines).encode(), self._address)

    def ready(self, status: str) -> None:
        self.send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, text: str) -> None:
        self.send(f"STATUS={_one_line(text)}")

    def stopping(self) -> None:
        self.send("STOPPING=1")

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class UnitWatchdog:
    """The unit's watchdog, fed only by a call after a good tick and at most every third of WATCHDOG_USEC."""

    def __init__(self, notifier: Notifier, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = notifier
        self._fed_s = float("-inf")
        self.period_s = _watchdog_s(environ) / 3.0

    def feed(self, now_s: float) -> None:
        if self.period_s > 0.0 and now_s - self._fed_s >= self.period_s:
            self._fed_s = now_s
            self._notifier.send("WATCHDOG=1")


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """The time-out that the unit sets for this process; 0 when it sets none."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0


def _one_line(text: str) -> str:
    return " ".join(text.split())
