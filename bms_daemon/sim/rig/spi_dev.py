"""The ioctls of linux/spi/spidev.h in front of a simulated bus: full-duplex messages and the bus's settings.

A message takes its time on the wire: bytes at the speed, and the delay behind each transfer. Chip select rises where
``cs_change`` says so, and at the end of the message.
"""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import structlog

from bms_daemon.model import BusFault
from bms_daemon.ports import SpiFrame
from bms_daemon.sim.rig.cuse import Answer, Fetch, Ioctl
from bms_daemon.sim.spi import BITS_A_BYTE, STUCK_S, SimSpiBus

log = structlog.get_logger()

MOST_BYTES = 4096  # spidev's bufsiz
_TRANSFER = struct.Struct("<QQIIHBBBBBx")  # tx, rx, length, speed, delay, bits, cs_change, and what is not used here
_MESSAGE, _MESSAGE_MASK = 0x40006B00, 0xC000FFFF
_MODE, _LSB_FIRST, _BITS, _SPEED, _MODE32 = 1, 2, 3, 4, 5
_SETTINGS = {_MODE: "<B", _LSB_FIRST: "<B", _BITS: "<B", _SPEED: "<I", _MODE32: "<I"}
_READ = 0x80000000
_DEFAULTS = {_MODE: 0, _LSB_FIRST: 0, _BITS: 8, _SPEED: 1_000_000}
_CLOCK_MASK = 0x3  # of a mode: the clock's polarity and phase
_US = 1e-6


@dataclass(frozen=True, slots=True)
class Transfer:
    """One part of a message. ``speed_hz`` 0: as it is set. ``change``: chip select rises after it."""

    tx: int
    rx: int
    length: int
    speed_hz: int
    delay_s: float
    change: bool


class SpiDev:
    """One chip select, with a chip that hears in the clock's ``mode`` alone. Settings are kept and read back."""

    def __init__(self, bus: SimSpiBus, mode: int = 3) -> None:
        self._bus, self._mode = bus, mode
        self._settings = dict(_DEFAULTS)
        self._line = asyncio.Lock()

    def released(self, handle: int) -> None:
        """Settings belong to the chip select, not to a descriptor."""

    def ioctl(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        """Raises OSError; a command that spidev does not have is ENOTTY."""
        if call.command & _MESSAGE_MASK == _MESSAGE:
            return self._message(call, call.command >> 16 & 0x3FFF)
        kind, number = call.command & 0xFF00, call.command & 0xFF
        if kind != 0x6B00 or number not in _SETTINGS:
            log.warning("an ioctl that spidev does not have", code="spi_ioctl", command=hex(call.command))
            raise OSError(errno.ENOTTY, "no such ioctl")
        return self._setting(call, _MODE if number == _MODE32 else number, _SETTINGS[number])

    def _setting(self, call: Ioctl, kept: int, layout: str) -> Fetch | Answer:
        place = ((call.argument, struct.calcsize(layout)),)
        if call.command & _READ:
            value = struct.pack(layout, self._settings[kept])
            return Answer(0, value) if call.room else Fetch(write=place)
        if not call.data:
            return Fetch(read=place)
        (value,) = struct.unpack(layout, call.data)
        if kept == _SPEED and not value:
            raise OSError(errno.EINVAL, "no speed")
        self._settings[kept] = value
        return Answer()

    def _message(self, call: Ioctl, size: int) -> Fetch | Awaitable[Answer]:
        """Two rounds: the table of transfers, then the bytes of each."""
        if size == 0 or size % _TRANSFER.size:
            raise OSError(errno.EINVAL, "size of the message")
        table = ((call.argument, size),)
        if len(call.data) < size:
            return Fetch(table)
        transfers = [_transfer(call.data[at : at + _TRANSFER.size]) for at in range(0, size, _TRANSFER.size)]
        if sum(t.length for t in transfers) > MOST_BYTES:
            raise OSError(errno.EMSGSIZE, "longer than spidev's buffer")
        if transfers[-1].change:
            log.warning("a message that leaves chip select low", code="spi_selected")
            raise OSError(errno.EOPNOTSUPP, "chip select low after a message")
        sent = tuple((t.tx, t.length) for t in transfers if t.tx and t.length)
        received = tuple((t.rx, t.length) for t in transfers if t.rx and t.length)
        if len(call.data) - size < sum(n for _, n in sent) or call.room < sum(n for _, n in received):
            return Fetch((*table, *sent), received)
        return self._clock(transfers, call.data[size:])

    async def _clock(self, transfers: Sequence[Transfer], data: bytes) -> Answer:
        found = await self._exchanged(self._frames(transfers, data))
        received, at = b"", 0
        for transfer in transfers:
            received += found[at : at + transfer.length] if transfer.rx else b""
            at += transfer.length
        return Answer(at, received)

    def _frames(self, transfers: Sequence[Transfer], data: bytes) -> list[SpiFrame]:
        """Periods of chip select low. A transfer without bytes of its own sends zeros."""
        frames, out, low_s = [], b"", 0.0
        for transfer in transfers:
            length = transfer.length
            out, data = (out + data[:length], data[length:]) if transfer.tx else (out + bytes(length), data)
            low_s += length * BITS_A_BYTE / (transfer.speed_hz or self._settings[_SPEED]) + transfer.delay_s
            if transfer.change or transfer is transfers[-1]:
                frames.append(SpiFrame(out, low_s))
                out, low_s = b"", 0.0
        return frames

    async def _exchanged(self, frames: Sequence[SpiFrame]) -> bytes:
        if self._settings[_MODE] & _CLOCK_MASK != self._mode:
            return b"".join(b"\xff" * len(frame.data) for frame in frames)
        """They end now: what the message takes longer than on the wire, it has waited for the wire."""
        loop, lasts_s = asyncio.get_running_loop(), sum(self._bus.lasts_s(frame) for frame in frames)
        async with self._line:
            await asyncio.sleep(STUCK_S if self._bus.faults.timeout else lasts_s)
            try:
                return b"".join(self._bus.finish(loop.time() - lasts_s, frames))
            except BusFault as fault:
                raise OSError(errno.ETIMEDOUT, str(fault)) from fault


def _transfer(raw: bytes) -> Transfer:
    tx, rx, length, speed_hz, delay_us, _, change, *_ = _TRANSFER.unpack(raw)
    return Transfer(tx, rx, length, speed_hz, delay_us * _US, bool(change))
