"""Serial ports by pyserial, read when the loop says that bytes are there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable

import serial

from bms_daemon.model import BusFault

_CHUNK = 4096
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0)
_DENIED = ("denied", "add the daemon's user to the group dialout, or allow the device in the unit (DeviceAllow)")
_HELD = ("busy", "another program holds the port")
_OPEN_KINDS = {errno.EACCES: _DENIED, errno.EPERM: _DENIED, errno.EAGAIN: _HELD, errno.EBUSY: _HELD}
_ABSENT = ("gone", "name it by /dev/serial/by-id/…, and see that it is plugged in")


class SerialBus:
    """A port by its path, 8N1. Implements ``ports.SerialPort``; name it by id, so that it comes back after a replug."""

    def __init__(self, path: str, baud: int) -> None:
        self._path = path
        self._baud = baud
        self._attempts = 0
        self._port: serial.Serial | None = self._open()

    async def read(self) -> bytes:
        """From 1 to 4096 bytes. A lost port raises BusFault("gone"); each later call waits and tries to reopen."""
        port = self._port or await self._reopen()
        try:
            await _ready(port.fileno(), "reader")
            data = os.read(port.fileno(), _CHUNK)
        except OSError as error:
            raise self._lost(error.strerror or "read error") from error
        if not data:
            raise self._lost("unplugged")
        return data

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken everything. Raises BusFault("gone")."""
        if self._port is None:
            raise BusFault("gone", self._path)
        fd = self._port.fileno()
        try:
            while data:
                await _ready(fd, "writer")
                data = data[os.write(fd, data) :]
        except OSError as error:
            raise self._lost(error.strerror or "write error") from error

    def close(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):
                self._port.close()
        self._port = None

    def _open(self) -> serial.Serial:
        try:
            return serial.Serial(self._path, self._baud, timeout=0, exclusive=True)
        except serial.SerialException as error:
            kind, hint = _OPEN_KINDS.get(error.errno or 0, _ABSENT)
            raise BusFault(kind, f"{self._path}: cannot be opened; {hint}") from error

    async def _reopen(self) -> serial.Serial:
        await asyncio.sleep(_BACKOFF_S[min(self._attempts, len(_BACKOFF_S) - 1)])
        self._attempts += 1
        self._port = self._open()
        self._attempts = 0
        return self._port

    def _lost(self, why: str) -> BusFault:
        self.close()
        return BusFault("gone", f"{self._path}: {why}")


async def _ready(fd: int, what: str) -> None:
    """Wait until ``fd`` can be read or written; always through the loop, so that a flood starves nobody."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add: Callable[..., None] = getattr(loop, f"add_{what}")
    add(fd, _resolve, ready)
    try:
        await ready
    finally:
        getattr(loop, f"remove_{what}")(fd)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
