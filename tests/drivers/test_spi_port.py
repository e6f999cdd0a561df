"""The SPI port on a device that is not there: frames, gaps, a call that hangs, errors that say what to do.

Numbers and layouts are those of linux/spi/spidev.h.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import struct
import threading
from collections.abc import Iterator

import pytest

from bms_daemon.buses import spi
from bms_daemon.model import BusFault
from bms_daemon.ports import SpiFrame


class FakeSpi:
    """spidev's SpiDev at its API, and the kernel's side of its messages, which answers every bit turned round.

    ``gate`` holds messages back; ``opens`` and ``fails`` are raised. ``sent``: data, delay and cs_change by message.
    """

    gate: threading.Event
    opens: OSError | None
    fails: OSError | None
    last: FakeSpi

    def __init__(self) -> None:
        self.mode = self.max_speed_hz = -1
        self.sent: list[list[tuple[bytes, int, int]]] = []
        self.closed = threading.Event()
        FakeSpi.last = self

    def open_path(self, path: str) -> None:
        self.path = path
        if FakeSpi.opens is not None:
            raise FakeSpi.opens

    def fileno(self) -> int:
        return 42

    def ioctl(self, fd: int, command: int, table: bytes) -> int:
        assert FakeSpi.gate.wait(10.0)
        if FakeSpi.fails is not None:
            raise FakeSpi.fails
        assert (fd, command) == (42, 0x40006B00 | len(table) << 16)
        message = []
        for tx, rx, length, _, delay_us, _, change, *_ in struct.iter_unpack("<QQIIHBBBBBx", table):
            data = ctypes.string_at(tx, length)
            ctypes.memmove(rx, bytes(byte ^ 0xFF for byte in data), length)
            message.append((data, delay_us, change))
        self.sent.append(message)
        return sum(len(data) for data, _, _ in message)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    FakeSpi.gate, FakeSpi.opens, FakeSpi.fails = threading.Event(), None, None
    FakeSpi.gate.set()
    monkeypatch.setattr(spi.spidev, "SpiDev", FakeSpi)
    monkeypatch.setattr(spi.fcntl, "ioctl", lambda *call: FakeSpi.last.ioctl(*call))
    yield
    FakeSpi.gate.set()


def test_frames_go_out_in_order_and_chip_select_stays_low_as_long_as_asked() -> None:
    async def main() -> tuple[list[bytes], float]:
        port = spi.SpiPort("/dev/spidev1.0", 500_000, 1.0)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        frames = [SpiFrame(b"\0", 0.0003, 0.05), SpiFrame(b"\x01\x02"), SpiFrame(b"\x03")]
        answers = await port.transfer(frames)
        port.close()
        assert FakeSpi.last.closed.wait(5.0)
        return answers, loop.time() - begun_s

    answers, took_s = asyncio.run(main())
    assert answers == [b"\xff", b"\xfe\xfd", b"\xfc"]
    assert FakeSpi.last.sent == [[(b"\0", 300, 0)], [(b"\x01\x02", 0, 1), (b"\x03", 0, 0)]]
    assert (FakeSpi.last.mode, FakeSpi.last.max_speed_hz) == (3, 500_000)
    assert took_s >= 0.05


def test_a_message_holds_what_the_kernels_buffer_holds() -> None:
    async def main() -> list[bytes]:
        port = spi.SpiPort("/dev/spidev1.0", 500_000, 1.0)
        return await port.transfer([SpiFrame(bytes([k]) * 1500) for k in range(5)])

    assert [(answer[0], len(answer)) for answer in asyncio.run(main())] == [(255 - k, 1500) for k in range(5)]
    assert [[len(data) for data, _, _ in message] for message in FakeSpi.last.sent] == [[1500] * 2, [1500] * 2, [1500]]


def test_a_call_that_hangs_costs_its_caller_a_time_out_and_the_next_one_a_busy_bus() -> None:
    async def main() -> None:
        port = spi.SpiPort("/dev/spidev1.0", 500_000, 0.05)
        FakeSpi.gate.clear()
        with pytest.raises(BusFault, match="timeout"):
            await port.transfer([SpiFrame(b"\0")])
        with pytest.raises(BusFault, match="busy"):
            await port.transfer([SpiFrame(b"\0")])
        FakeSpi.gate.set()
        while True:
            try:
                assert await port.transfer([SpiFrame(b"\0")]) == [b"\xff"]
                break
            except BusFault:
                await asyncio.sleep(0.01)
        port.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(errno.ENOENT, "gone", "dtparam=spi=on"), (errno.EACCES, "denied", "group spi"),
     (errno.EINVAL, "refused", "SPI mode")],
)  # fmt: skip
def test_a_device_that_cannot_be_opened_says_what_to_do(number: int, kind: str, said: str) -> None:
    FakeSpi.opens = OSError(number, "no")
    with pytest.raises(BusFault, match=said) as found:
        spi.SpiPort("/dev/spidev1.0", 500_000, 1.0)
    assert found.value.kind == kind
    assert FakeSpi.last.closed.is_set()


@pytest.mark.parametrize("path", ["/dev/i2c-1", "spidev0.0", "/dev/spidev"])
def test_a_name_that_is_no_spi_device_is_refused(path: str) -> None:
    with pytest.raises(BusFault, match="name it like"):
        spi.SpiPort(path, 500_000, 1.0)


def test_a_transfer_that_fails_is_a_fault_of_the_bus() -> None:
    async def main() -> None:
        port = spi.SpiPort("/dev/spidev1.0", 500_000, 1.0)
        FakeSpi.fails = OSError(errno.EIO, "I/O error")
        with pytest.raises(BusFault, match="I/O error"):
            await port.transfer([SpiFrame(b"\0")])
        port.close()

    asyncio.run(main())
