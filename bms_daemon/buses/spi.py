"""SPI by the kernel's spidev: frames with a chip select of their own, on a private worker thread.

Frames between two pauses are one message, so that nothing but the controller stands between them.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import re
import struct
from array import array
from collections.abc import Iterator, Sequence

import spidev

from bms_daemon.buses.worker import Worker
from bms_daemon.model import BusFault
from bms_daemon.ports import SpiFrame

_NODE = re.compile(r"/dev/spidev[0-9]+\.[0-9]+")
_TRANSFER = struct.Struct("<QQIIHBBBBBx")  # linux/spi/spidev.h: tx, rx, length, speed, delay_us, bits, cs_change, ...
_MESSAGE = 0x40006B00  # SPI_IOC_MESSAGE(0); the size of the table counts from bit 16 on
_MOST_BYTES = 4096  # of a message: spidev's bufsiz, as it is without a parameter
_ABSENT = ("gone", "enable the bus (Raspberry Pi: dtparam=spi=on in config.txt; BeagleBone: its overlay) and reboot")
_DENIED = ("denied", "add the daemon's user to the group spi, or allow the device in the unit (DeviceAllow)")
_REFUSED = ("refused", "the controller does not do this clock or SPI mode")
_KINDS = {errno.ENOENT: _ABSENT, errno.EACCES: _DENIED, errno.EPERM: _DENIED, errno.EINVAL: _REFUSED}
_OTHER = ("gone", "see that the bus is enabled and nothing else drives this chip select")


class SpiPort:
    """A chip select by its device node, such as /dev/spidev0.0. Implements ``ports.SpiBus``.

    Opening raises BusFault that says what to enable. ``timeout_s`` counts for the frames between two gaps. In ``mode``
    3 the clock idles high, in 0 low.
    """

    def __init__(self, path: str, clock_hz: int, timeout_s: float, mode: int = 3) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._spi = _open(path, clock_hz, mode)
        self._worker: Worker[list[bytes]] = Worker(f"spi {path}", self._spi.close)

    async def transfer(self, frames: Sequence[SpiFrame]) -> list[bytes]:
        """See ``ports.SpiBus``."""
        answers: list[bytes] = []
        for burst in _bursts(frames):
            answers += await self._send(burst)
            if burst[-1].gap_s:
                await asyncio.sleep(burst[-1].gap_s)
        return answers

    def close(self) -> None:
        """Close the device once the worker is through with what it has been given."""
        self._worker.close()

    async def _send(self, burst: list[SpiFrame]) -> list[bytes]:
        try:
            return await self._worker.run(lambda: self._exchange(burst), self._timeout_s, "frames")
        except OSError as error:
            kind, _ = _KINDS.get(error.errno or 0, _OTHER)
            raise BusFault(kind, f"{self._path}: {error.strerror}") from error

    def _exchange(self, burst: list[SpiFrame]) -> list[bytes]:
        """In the worker: one message; what comes back takes the place of what was sent."""
        data = array("B", b"".join(frame.data for frame in burst))
        table = _table(burst, data.buffer_info()[0])
        fcntl.ioctl(self._spi.fileno(), _MESSAGE + (len(table) << 16), table)
        answers, at = [], 0
        for frame in burst:
            answers.append(data[at : at + len(frame.data)].tobytes())
            at += len(frame.data)
        return answers


def _table(burst: Sequence[SpiFrame], at: int) -> bytes:
    """The transfers of a message with its data at an address. A delay holds chip select low; it rises behind each."""
    rows = []
    for k, frame in enumerate(burst, 1):
        rows.append(_TRANSFER.pack(at, at, len(frame.data), 0, round(frame.low_s * 1e6), 0, k < len(burst), 0, 0, 0))
        at += len(frame.data)
    return b"".join(rows)


def _bursts(frames: Sequence[SpiFrame]) -> Iterator[list[SpiFrame]]:
    """Frames up to each that has a gap behind it, as many as a message holds."""
    burst: list[SpiFrame] = []
    for frame in frames:
        if burst and sum(len(each.data) for each in (*burst, frame)) > _MOST_BYTES:
            yield burst
            burst = []
        burst.append(frame)
        if frame.gap_s:
            yield burst
            burst = []
    if burst:
        yield burst


def _open(path: str, clock_hz: int, mode: int) -> spidev.SpiDev:
    if not _NODE.fullmatch(path):
        raise BusFault("gone", f"{path}: is no SPI device; name it like /dev/spidev0.0")
    spi = spidev.SpiDev()
    try:
        spi.open_path(path)
        spi.mode, spi.max_speed_hz = mode, clock_hz
    except OSError as error:
        spi.close()
        kind, hint = _KINDS.get(error.errno or 0, _OTHER)
        raise BusFault(kind, f"{path}: {error.strerror}; {hint}") from error
    return spi
