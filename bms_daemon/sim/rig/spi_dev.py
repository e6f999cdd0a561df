"""The ioctls of linux/spi/spidev.h in front of a simulated chip: full-duplex transfers and the bus's settings."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Protocol

import structlog

from bms_daemon.sim.rig.cuse import Answer, Fetch, Ioctl

log = structlog.get_logger()

MOST_BYTES = 4096  # spidev's bufsiz
_TRANSFER = struct.Struct("<QQIIHBBBBBx")  # tx, rx, length, speed, delay, bits, cs_change, and what is not used here
_MESSAGE, _MESSAGE_MASK = 0x40006B00, 0xC000FFFF
_SETTINGS = {1: "<B", 2: "<B", 3: "<B", 4: "<I", 5: "<I"}  # mode, lsb_first, bits, speed, mode32: by number
_WRITE, _READ = 0x40000000, 0x80000000
_DEFAULTS = {1: 0, 2: 0, 3: 8, 4: 1_000_000, 5: 0}


class SpiChip(Protocol):
    """A target: ``select`` when chip select falls, ``exchange`` while it is low, ``deselect`` when it rises."""

    def select(self) -> None: ...

    def exchange(self, data: bytes) -> bytes:
        """As many bytes as were clocked in."""
        ...

    def deselect(self) -> None: ...


class Loopback:
    """MISO tied to MOSI: what spidev_test expects where no chip is fitted."""

    def select(self) -> None:
        """A wire has nothing to do."""

    def exchange(self, data: bytes) -> bytes:
        return data

    def deselect(self) -> None:
        """A wire has nothing to do."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One part of a message. ``change``: chip select rises after it."""

    tx: int
    rx: int
    length: int
    change: bool


class SpiDev:
    """One chip select. Settings are kept and read back; the wire has no speed."""

    def __init__(self, chip: SpiChip) -> None:
        self._chip = chip
        self._settings = dict(_DEFAULTS)

    def released(self, handle: int) -> None:
        """Settings belong to the chip select, not to a descriptor."""

    def ioctl(self, call: Ioctl) -> Fetch | Answer:
        """Raises OSError; a command that spidev does not have is ENOTTY."""
        if call.command & _MESSAGE_MASK == _MESSAGE:
            return self._message(call, call.command >> 16 & 0x3FFF)
        kind, number = call.command & 0xFF00, call.command & 0xFF
        if kind != 0x6B00 or number not in _SETTINGS:
            log.warning("an ioctl that spidev does not have", code="spi_ioctl", command=hex(call.command))
            raise OSError(errno.ENOTTY, "no such ioctl")
        return self._setting(call, number, _SETTINGS[number])

    def _setting(self, call: Ioctl, number: int, layout: str) -> Fetch | Answer:
        place = ((call.argument, struct.calcsize(layout)),)
        if call.command & _READ:
            value = struct.pack(layout, self._settings[number])
            return Answer(0, value) if call.room else Fetch(write=place)
        if not call.data:
            return Fetch(read=place)
        self._settings[number] = struct.unpack(layout, call.data)[0]
        return Answer()

    def _message(self, call: Ioctl, size: int) -> Fetch | Answer:
        """Two rounds: the table of transfers, then the bytes of each."""
        if size == 0 or size % _TRANSFER.size:
            raise OSError(errno.EINVAL, "size of the message")
        table = ((call.argument, size),)
        if len(call.data) < size:
            return Fetch(table)
        transfers = [_transfer(call.data[at : at + _TRANSFER.size]) for at in range(0, size, _TRANSFER.size)]
        if sum(t.length for t in transfers) > MOST_BYTES:
            raise OSError(errno.EMSGSIZE, "longer than spidev's buffer")
        sent = tuple((t.tx, t.length) for t in transfers if t.tx and t.length)
        received = tuple((t.rx, t.length) for t in transfers if t.rx and t.length)
        if len(call.data) - size < sum(n for _, n in sent) or call.room < sum(n for _, n in received):
            return Fetch((*table, *sent), received)
        return Answer(sum(t.length for t in transfers), self._clock(transfers, call.data[size:]))

    def _clock(self, transfers: list[Transfer], data: bytes) -> bytes:
        found = b""
        self._chip.select()
        for transfer in transfers:
            out = data[: transfer.length] if transfer.tx else bytes(transfer.length)
            data = data[transfer.length :] if transfer.tx else data
            answer = self._chip.exchange(out)
            found += answer if transfer.rx else b""
            if transfer.change and transfer is not transfers[-1]:
                self._chip.deselect()
                self._chip.select()
        self._chip.deselect()
        return found


def _transfer(raw: bytes) -> Transfer:
    tx, rx, length, _, _, _, change, *_ = _TRANSFER.unpack(raw)
    return Transfer(tx, rx, length, bool(change))
