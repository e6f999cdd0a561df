"""The I2C bus on a device that is not there: messages, time-outs, a call that hangs, errors by kind."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from smbus2 import i2c_msg

from bms_daemon.buses import i2c
from bms_daemon.model import BusFault


class FakeAdapter:
    """smbus2's SMBus at its API. ``gate`` holds transfers back as a stuck bus does; ``error`` fails them."""

    gate: threading.Event
    error: OSError | None
    ioctls: list[tuple[int, int]]

    def __init__(self, path: str) -> None:
        self.fd = 99
        self.path = path
        self.closed = threading.Event()
        self.messages: list[tuple[int, int, bytes]] = []
        self.thread_names: set[str] = set()
        FakeAdapter.last = self

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        self.thread_names.add(threading.current_thread().name)
        assert FakeAdapter.gate.wait(10.0)
        if FakeAdapter.error is not None:
            raise FakeAdapter.error
        for message in messages:
            if message.flags:
                for index in range(message.len):
                    message.buf[index] = bytes((0xA0 + index,))
            self.messages.append((message.addr, message.flags, bytes(message)))

    def close(self) -> None:
        self.closed.set()

    last: FakeAdapter


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeAdapter]]:
    FakeAdapter.gate, FakeAdapter.error, FakeAdapter.ioctls = threading.Event(), None, []
    FakeAdapter.gate.set()
    monkeypatch.setattr(i2c, "SMBus", FakeAdapter)
    monkeypatch.setattr(i2c.fcntl, "ioctl", lambda fd, code, value: FakeAdapter.ioctls.append((code, value)))
    yield FakeAdapter
    FakeAdapter.gate.set()


@pytest.mark.usefixtures("adapter")
class TestTransfers:
    @pytest.mark.parametrize(
        ("write", "read_len", "messages"),
        [
            (b"\x14", 3, [(8, 0, b"\x14"), (8, 1, b"\xa0\xa1\xa2")]),
            (b"\x3e\x01\x00", 0, [(8, 0, b"\x3e\x01\x00")]),
            (b"", 2, [(8, 1, b"\xa0\xa1")]),
        ],
    )
    def test_write_and_read_are_one_combined_message(
        self, write: bytes, read_len: int, messages: list[tuple[int, int, bytes]]
    ) -> None:
        async def main() -> bytes:
            bus = i2c.I2cBus("/dev/i2c-1", (8,), 0.5)
            try:
                return await bus.transfer(8, write, read_len)
            finally:
                bus.close()

        answer = asyncio.run(main())
        assert FakeAdapter.last.messages == messages
        assert answer == (messages[-1][2] if read_len else b"")

    def test_the_kernels_own_time_out_and_retries_are_set(self) -> None:
        i2c.I2cBus("/dev/i2c-1", (8,), 0.05).close()
        assert (0x0702, 5) in FakeAdapter.ioctls
        assert (0x0701, 0) in FakeAdapter.ioctls

    def test_transfers_of_several_tasks_are_one_at_a_time_in_a_thread_of_the_bus(self) -> None:
        async def main() -> None:
            bus = i2c.I2cBus("/dev/i2c-1", (8,), 0.5)
            await asyncio.gather(*(bus.transfer(8, bytes((register,)), 1) for register in range(20)))
            bus.close()

        asyncio.run(main())
        assert FakeAdapter.last.thread_names == {"i2c /dev/i2c-1"}
        assert [data[0] for _, flags, data in FakeAdapter.last.messages if not flags] == list(range(20))

    def test_a_call_that_hangs_leaves_the_loop_alive_and_the_bus_busy_until_it_is_back(self) -> None:
        kinds: list[str] = []

        async def attempt(bus: i2c.I2cBus) -> None:
            try:
                await bus.transfer(8, b"\x14", 1)
                kinds.append("ok")
            except BusFault as fault:
                kinds.append(fault.kind)

        async def main() -> int:
            loop, beats = asyncio.get_running_loop(), 0
            bus = i2c.I2cBus("/dev/i2c-1", (8,), 0.05)
            FakeAdapter.gate.clear()
            start_s = loop.time()
            hung = asyncio.create_task(attempt(bus))
            while not hung.done():
                await asyncio.sleep(0.005)
                beats += 1
            assert loop.time() - start_s < 0.5
            await attempt(bus)
            FakeAdapter.gate.set()
            while kinds[-1] != "ok":
                await asyncio.sleep(0.001)
                await attempt(bus)
            bus.close()
            return beats

        assert asyncio.run(main()) >= 4
        assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == ("timeout", {"busy"}, "ok")

    def test_a_cancelled_caller_does_not_spoil_the_next_transfer(self) -> None:
        async def main() -> bytes:
            bus = i2c.I2cBus("/dev/i2c-1", (8,), 0.5)
            FakeAdapter.gate.clear()
            first = asyncio.create_task(bus.transfer(8, b"\x14", 1))
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            FakeAdapter.gate.set()
            answer = await bus.transfer(8, b"\x20", 2)
            bus.close()
            return answer

        assert asyncio.run(main()) == b"\xa0\xa1"

    def test_closing_closes_the_device(self) -> None:
        i2c.I2cBus("/dev/i2c-1", (8,), 0.5).close()
        assert FakeAdapter.last.closed.wait(5.0)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENXIO, "nack"),
            (errno.EREMOTEIO, "nack"),
            (errno.ETIMEDOUT, "timeout"),
            (errno.EAGAIN, "busy"),
            (errno.EIO, "framing"),
            (errno.EBADMSG, "crc"),
            (errno.ENODEV, "gone"),
            (errno.EBUSY, "busy"),
        ],
    )
    def test_errors_of_the_kernel_become_kinds(self, number: int, kind: str) -> None:
        async def main() -> None:
            bus = i2c.I2cBus("/dev/i2c-1", (8,), 0.5)
            FakeAdapter.error = OSError(number, os.strerror(number))
            try:
                await bus.transfer(8, b"\x14", 1)
            finally:
                bus.close()

        with pytest.raises(BusFault) as raised:
            asyncio.run(main())
        assert raised.value.kind == kind


def test_an_address_that_a_kernel_driver_owns_is_refused(
    adapter: type[FakeAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    def owned(fd: int, code: int, value: int) -> None:
        if code == 0x0703:
            raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(i2c.fcntl, "ioctl", owned)

    with pytest.raises(BusFault, match=r"busy: /dev/i2c-1: address 0x08: .*kernel driver owns"):
        i2c.I2cBus("/dev/i2c-1", (8,), 0.5)
    assert adapter.last.closed.is_set()


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [(errno.ENOENT, "gone", "dtparam=i2c_arm=on"), (errno.EACCES, "denied", "group i2c")],
)
def test_a_bus_that_does_not_open_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: str, advice: str
) -> None:
    def refuse(path: str) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(i2c, "SMBus", refuse)
    with pytest.raises(BusFault, match=f"^{kind}: /dev/i2c-7: .*{advice}"):
        i2c.I2cBus("/dev/i2c-7", (8,), 0.05)
