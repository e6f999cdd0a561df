"""Messages of linux/i2c.h and SMBus transfers, taken apart into what goes over the wire and put together again."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, replace

import structlog

log = structlog.get_logger()

MESSAGE = struct.Struct("<HHH2xQ")  # address, flags, length, buffer
UNION = 34  # bytes of the data that an SMBus transfer points to
_READ = 0x0001


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a combined transfer."""

    address: int
    reads: bool
    length: int
    buffer: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """From one start to its stop: bytes out, then bytes in after a repeated start."""

    address: int
    write: bytes
    read_len: int


def joined(messages: list[Message], written: bytes) -> list[Transfer]:
    """A write and the read that follows it at the same address are one transfer with a repeated start."""
    found: list[Transfer] = []
    follows = False
    for message in messages:
        if not message.reads:
            found.append(Transfer(message.address, written[: message.length], 0))
            written = written[message.length :]
        elif follows and found[-1].address == message.address:
            found[-1] = replace(found[-1], read_len=message.length)
        else:
            found.append(Transfer(message.address, b"", message.length))
        follows = not message.reads
    return found


def parsed(data: bytes, count: int) -> list[Message]:
    """The messages of a combined transfer. Raises OSError for flags that no adapter here has."""
    found = []
    for k in range(count):
        address, flags, length, buffer = MESSAGE.unpack_from(data, k * MESSAGE.size)
        if flags & ~_READ:
            log.warning("message flags that this adapter does not have", code="i2c_flags", flags=hex(flags))
            raise OSError(errno.EOPNOTSUPP, "message flags")
        found.append(Message(address, bool(flags & _READ), length, buffer))
    return found


def filled(reads: bool, size: int, asked: bytes, found: bytes) -> bytes:
    """What an SMBus transfer leaves in the caller's union."""
    if size == 5 and reads:
        found = found[: 1 + min(found[0], 32)]
    elif size == 8 and reads:
        found = asked[:1] + found
    return found.ljust(UNION, b"\0")


def shape(reads: bool, command: int, size: int, union: bytes) -> tuple[bytes, bytes, int]:
    """Command bytes, data bytes and how many to read, for the sizes of linux/i2c.h."""
    named = bytes([command])
    if size == 0:
        return b"", b"", 0
    if size == 1:
        return (b"", b"", 1) if reads else (named, b"", 0)
    if size in (2, 3):
        return (named, b"", size - 1) if reads else (named, union[: size - 1], 0)
    if size == 5:
        return (named, b"", 33) if reads else (named, union[: 1 + union[0]], 0)
    if size == 8:
        return (named, b"", min(union[0], 32)) if reads else (named, union[1 : 1 + min(union[0], 32)], 0)
    log.warning("an SMBus transfer that this adapter does not have", code="i2c_smbus", size=size)
    raise OSError(errno.EOPNOTSUPP, "SMBus transfer")
