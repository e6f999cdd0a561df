"""Character devices served by this process through the kernel's CUSE: /dev/NAME appears, and its ioctls come here.

Layouts from linux/fuse.h, version 7.1 of the protocol as CUSE speaks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import struct
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger()

_IN = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_OUT = struct.Struct("<IiQ")  # length, negative errno, unique
_OPEN_OUT = struct.Struct("<QII")  # handle, flags, padding
_IOCTL_IN = struct.Struct("<QIIQII")  # handle, flags, command, argument, bytes in, room for bytes out
_IOCTL_OUT = struct.Struct("<iIII")  # result, flags, ranges in, ranges out
_RANGE = struct.Struct("<QQ")
_INIT_OUT = struct.Struct("<18I")
_INIT, _OPEN, _RELEASE, _FLUSH, _INTERRUPT, _IOCTL = 4096, 14, 18, 25, 36, 39
_UNRESTRICTED, _RETRY = 1, 4
_MOST = 1 << 17  # bytes of one request


@dataclass(frozen=True, slots=True)
class Ioctl:
    """One call. ``data`` is what was fetched from the caller's memory, ``room`` how many bytes the answer may have."""

    handle: int
    command: int
    argument: int
    data: bytes = b""
    room: int = 0


Range = tuple[int, int]  # address in the caller's memory, length


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask again with these ranges of the caller's memory: ``read`` joined into ``data``, ``write`` to be filled."""

    read: tuple[Range, ...] = ()
    write: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The call's result, and the bytes for the ranges that were to be written, joined."""

    result: int = 0
    data: bytes = b""


class Device(Protocol):
    """What stands behind a node."""

    def ioctl(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        """At once, or later by an awaitable. Either raises OSError with the errno that the caller shall see."""
        ...

    def released(self, handle: int) -> None:
        """A descriptor was closed for the last time."""
        ...


class Node:
    """``/dev/NAME`` for as long as this is open. Needs a running loop. Calls are served as they come, side by side."""

    def __init__(self, name: str, device: Device) -> None:
        self._name, self._device = name, device
        self._fd = os.open("/dev/cuse", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._handles = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._path = Path("/dev") / name
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    async def present(self) -> None:
        """Return when the node is there."""
        while not self._path.exists():  # noqa: ASYNC110 the kernel makes it
            await asyncio.sleep(0.005)

    def close(self) -> None:
        """Take the node away; calls that are still being served fail with ENODEV or EIO."""
        asyncio.get_running_loop().remove_reader(self._fd)
        for call in self._calls:
            call.cancel()
        os.close(self._fd)

    def _readable(self) -> None:
        try:
            request = os.read(self._fd, _MOST)
        except BlockingIOError:
            return
        _, opcode, unique, *_ = _IN.unpack_from(request)
        self._serve(opcode, unique, request[_IN.size :])

    def _serve(self, opcode: int, unique: int, body: bytes) -> None:
        if opcode == _INIT:
            self._reply(unique, _init(self._name))
        elif opcode == _OPEN:
            self._handles += 1
            self._reply(unique, _OPEN_OUT.pack(self._handles, 0, 0))
        elif opcode == _IOCTL:
            self._ioctl(unique, body)
        elif opcode == _RELEASE:
            self._device.released(struct.unpack_from("<Q", body)[0])
            self._reply(unique)
        elif opcode == _FLUSH:
            self._reply(unique)
        elif opcode != _INTERRUPT:
            log.warning("a call that no device here knows", code="cuse_opcode", device=self._name, opcode=opcode)
            self._reply(unique, error=errno.ENOSYS)

    def _ioctl(self, unique: int, body: bytes) -> None:
        handle, _, command, argument, size, room = _IOCTL_IN.unpack_from(body)
        data = body[_IOCTL_IN.size : _IOCTL_IN.size + size]
        with self._answering(unique):
            done = self._device.ioctl(Ioctl(handle, command, argument, data, room))
            if isinstance(done, Fetch | Answer):
                self._reply(unique, _packed(done))
            else:
                call = asyncio.ensure_future(self._later(unique, done))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def _later(self, unique: int, waiting: Awaitable[Answer]) -> None:
        with self._answering(unique):
            self._reply(unique, _packed(await waiting))

    @contextlib.contextmanager
    def _answering(self, unique: int) -> Iterator[None]:
        """Whatever happens, the caller gets an answer."""
        try:
            yield
        except OSError as error:
            self._reply(unique, error=error.errno or errno.EIO)
        except Exception:
            log.exception("a device failed", code="cuse_device", device=self._name)
            self._reply(unique, error=errno.EIO)

    def _reply(self, unique: int, body: bytes = b"", error: int = 0) -> None:
        with contextlib.suppress(FileNotFoundError):  # the caller was killed: nobody waits any more
            os.write(self._fd, _OUT.pack(_OUT.size + len(body), -error, unique) + body)


def _init(name: str) -> bytes:
    return _INIT_OUT.pack(7, 12, 0, _UNRESTRICTED, 65536, 65536, *[0] * 12) + b"DEVNAME=" + name.encode() + b"\0"


def _packed(done: Fetch | Answer) -> bytes:
    if isinstance(done, Answer):
        return _IOCTL_OUT.pack(done.result, 0, 0, 0) + done.data
    ranges = b"".join(_RANGE.pack(*each) for each in (*done.read, *done.write))
    return _IOCTL_OUT.pack(0, _RETRY, len(done.read), len(done.write)) + ranges
