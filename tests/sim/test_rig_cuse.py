"""The kernel's side of a character device, with a socket in the place of /dev/cuse.

Numbers and layouts are those of linux/fuse.h.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bms_daemon.sim.rig.cuse import Answer, Fetch, Ioctl, Node

INIT, OPEN, RELEASE, FLUSH, INTERRUPT, IOCTL, READ = 4096, 14, 18, 25, 36, 39, 15
UNIQUE = 77
Served = Callable[[Ioctl], Fetch | Answer | Awaitable[Answer]]


class Device:
    def __init__(self, served: Served) -> None:
        self._served = served
        self.calls: list[Ioctl] = []
        self.released_handles: list[int] = []

    def ioctl(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        self.calls.append(call)
        return self._served(call)

    def released(self, handle: int) -> None:
        self.released_handles.append(handle)


class Kernel:
    """Sends requests to a node and takes its replies."""

    def __init__(self, served: Served, end: socket.socket) -> None:
        self.device, self._end = Device(served), end
        end.settimeout(0.0)

    async def call(self, opcode: int, body: bytes = b"") -> tuple[int, bytes] | None:
        """The errno and the bytes of the reply; None where none came."""
        self._end.send(struct.pack("<IIQQIIII", 40 + len(body), opcode, UNIQUE, 0, 0, 0, 0, 0) + body)
        for _ in range(20):
            await asyncio.sleep(0)
            with contextlib.suppress(BlockingIOError):
                reply = self._end.recv(1 << 17)
                size, error, unique = struct.unpack_from("<IiQ", reply)
                assert (size, unique) == (len(reply), UNIQUE)
                return -error, reply[16:]
        return None

    async def ioctl(self, command: int, argument: int, data: bytes = b"", room: int = 0) -> tuple[int, bytes] | None:
        return await self.call(IOCTL, struct.pack("<QIIQII", 5, 0, command, argument, len(data), room) + data)


@contextlib.contextmanager
def node(served: Served) -> Iterator[Kernel]:
    """Needs a running loop."""
    end, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kernel = Kernel(served, kernels)
    with pytest.MonkeyPatch.context() as patch, kernels:
        patch.setattr(os, "open", lambda path, flags: end.detach())
        end.setblocking(False)
        made = Node("i2c-1", kernel.device)
        patch.undo()
        yield kernel
        made.close()


def on_a_node(scene: Callable[[Kernel], Awaitable[None]], served: Served = lambda call: Answer()) -> None:
    """A scene in which the loop meets no error either."""

    async def main() -> None:
        unhandled: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
        with node(served) as kernel:
            await scene(kernel)
        assert unhandled == []

    asyncio.run(main())


def test_the_first_call_learns_the_name_and_that_ioctls_are_unrestricted() -> None:
    async def scene(kernel: Kernel) -> None:
        reply = await kernel.call(INIT)
        assert reply is not None
        error, body = reply
        major, minor, _, flags = struct.unpack_from("<4I", body)
        assert (error, major, minor, flags) == (0, 7, 12, 1)
        assert body[72:] == b"DEVNAME=i2c-1\0"

    on_a_node(scene)


def test_every_descriptor_has_a_handle_and_its_end_is_told() -> None:
    async def scene(kernel: Kernel) -> None:
        assert await kernel.call(OPEN) == (0, struct.pack("<QII", 1, 0, 0))
        assert await kernel.call(OPEN) == (0, struct.pack("<QII", 2, 0, 0))
        assert await kernel.call(FLUSH) == (0, b"")
        assert kernel.device.released_handles == []
        assert await kernel.call(RELEASE, struct.pack("<QIIQ", 2, 0, 0, 0)) == (0, b"")
        assert kernel.device.released_handles == [2]

    on_a_node(scene)


def test_an_unknown_call_is_enosys_and_logged_and_an_interrupt_has_no_answer() -> None:
    async def scene(kernel: Kernel) -> None:
        with capture_logs() as lines:
            assert await kernel.call(INTERRUPT) is None
            assert lines == []
            assert await kernel.call(READ) == (errno.ENOSYS, b"")
        assert [(line["code"], line["opcode"]) for line in lines] == [("cuse_opcode", READ)]

    on_a_node(scene)


def test_an_ioctl_arrives_with_the_callers_bytes() -> None:
    async def scene(kernel: Kernel) -> None:
        await kernel.ioctl(0x0707, 0x1234, b"abc", room=9)
        assert kernel.device.calls == [Ioctl(5, 0x0707, 0x1234, b"abc", 9)]

    on_a_node(scene)


def fails(error: Exception) -> Served:
    def served(call: Ioctl) -> Answer:
        raise error

    return served


def later(served: Served) -> Served:
    """The same by an awaitable."""

    async def wait(call: Ioctl) -> Any:
        await asyncio.sleep(0)
        return served(call)

    return wait


@pytest.mark.parametrize("when", [lambda served: served, later], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("served", "reply", "logged"),
    [
        (lambda call: Answer(3, b"xyz"), (0, struct.pack("<iIII", 3, 0, 0, 0) + b"xyz"), []),
        (fails(OSError(errno.EBUSY, "busy")), (errno.EBUSY, b""), []),
        (fails(OSError("no number")), (errno.EIO, b""), []),
        (fails(IndexError("a defect")), (errno.EIO, b""), ["cuse_device"]),
    ],
    ids=["answer", "errno", "no errno", "defect"],
)
def test_whatever_a_device_does_the_caller_has_an_answer(
    when: Callable[[Served], Served], served: Served, reply: tuple[int, bytes], logged: list[str]
) -> None:
    async def scene(kernel: Kernel) -> None:
        with capture_logs() as lines:
            assert await kernel.ioctl(0x0703, 8) == reply
        assert [line["code"] for line in lines] == logged

    on_a_node(scene, when(served))


def test_a_device_may_ask_for_the_callers_memory() -> None:
    async def scene(kernel: Kernel) -> None:
        ranges = struct.pack("<6Q", 16, 8, 64, 2, 96, 4)
        assert await kernel.ioctl(0x0707, 16) == (0, struct.pack("<iIII", 0, 4, 2, 1) + ranges)

    on_a_node(scene, lambda call: Fetch(read=((16, 8), (64, 2)), write=((96, 4),)))


def test_slow_calls_are_served_side_by_side_and_end_with_the_node() -> None:
    async def main() -> None:
        started: list[int] = []
        ended: list[int] = []

        async def hang(call: Ioctl) -> Answer:
            started.append(call.command)
            try:
                await asyncio.sleep(3600.0)
            finally:
                ended.append(call.command)
            return Answer()

        with node(hang) as kernel:
            assert await kernel.ioctl(1, 0) is None
            assert await kernel.ioctl(2, 0) is None
            assert started == [1, 2]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(ended) == [1, 2]

    asyncio.run(main())


def test_a_caller_that_was_killed_takes_no_answer() -> None:
    def gone(fd: int, data: bytes) -> int:
        raise FileNotFoundError

    async def scene(kernel: Kernel) -> None:
        with pytest.MonkeyPatch.context() as patch, capture_logs() as lines:
            patch.setattr(os, "write", gone)
            assert await kernel.ioctl(0x0703, 8) is None
        assert lines == []
        assert await kernel.ioctl(0x0703, 8) is not None

    on_a_node(scene)
