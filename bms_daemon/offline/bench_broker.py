"""A real MQTT broker on a loopback port of its own, ended by its id alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
UP_S = 10.0


class Broker:
    """A mosquitto on a free loopback port. ``start`` after ``kill`` takes the same port again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port: int = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} {LOOPBACK}\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program() -> str | None:
        """Where mosquitto is; None where it is not installed."""
        return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

    async def start(self) -> None:
        """Start it and wait until it listens. Raises FileNotFoundError, TimeoutError."""
        self._launch()
        async with asyncio.timeout(UP_S):
            while not self._listens():  # noqa: ASYNC110 the broker is another process
                await asyncio.sleep(0.01)

    def _launch(self) -> None:
        program = self.program()
        if program is None:
            raise FileNotFoundError("mosquitto is not installed")
        command = [program, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 0.2):
            return True
        return False


@asynccontextmanager
async def brokered(folder: Path) -> AsyncIterator[Broker]:
    """A broker for the length of a block."""
    broker = Broker(folder)
    try:
        await broker.start()
        yield broker
    finally:
        broker.kill()
