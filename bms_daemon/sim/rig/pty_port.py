"""The serial sensor on a real pty, whose path comes and goes with the plug."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from bms_daemon.model import BusFault
from bms_daemon.sim.serial import SimSerial

UNPLUGGED_S = 0.05
_CHUNK = 4096


class PtyPort:
    """Serves ``serial`` at ``path``, a symbolic link as udev makes them; ``hear`` gets what the reader writes.

    What the reader does not take in time is lost. ``owner`` prepares each new node, as udev would.
    """

    def __init__(
        self,
        serial: SimSerial,
        hear: Callable[[bytes], None],
        path: Path,
        owner: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._serial, self._hear, self._path, self._owner = serial, hear, path, owner

    async def run(self) -> None:
        """Until cancelled. While the line is unplugged there is no path, and its reader's descriptor is dead."""
        while True:
            with contextlib.suppress(BusFault):
                waiting = await self._serial.read()
                with self._plugged() as master:
                    while True:
                        _send(master, waiting)
                        waiting = await self._serial.read()
            await asyncio.sleep(UNPLUGGED_S)

    @contextlib.contextmanager
    def _plugged(self) -> Iterator[int]:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        loop = asyncio.get_running_loop()
        loop.add_reader(master, self._read, master)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            self._owner(Path(os.ttyname(slave)))
            self._path.symlink_to(os.ttyname(slave))
            yield master
        finally:
            loop.remove_reader(master)
            self._path.unlink(missing_ok=True)
            os.close(slave)
            os.close(master)

    def _read(self, master: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._hear(os.read(master, _CHUNK))


def _send(master: int, data: bytes) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(master, data)
