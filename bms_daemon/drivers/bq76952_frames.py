"""The bq76952's bytes on SPI: a register and a byte a frame, with or without a checksum (TI SLUSE13B)."""

from __future__ import annotations

from bms_daemon.drivers.bq76952_codec import crc8
from bms_daemon.model import BusFault

WRITES = 0x80
BAD_CRC = 0xAA


def read(register: int, crc: bool) -> bytes:
    """Ask for a byte; what stands in its place is ignored."""
    return _closed(bytes((register, 0xFF)), crc)


def write(register: int, value: int, crc: bool) -> bytes:
    return _closed(bytes((WRITES | register, value)), crc)


def not_ready(reply: bytes) -> bool:
    """FF FF 00, or FF FF of a chip that speaks without a checksum; FF FF FF is a line that nobody drives."""
    return reply[:2] == b"\xff\xff" and reply[2:] in (b"", b"\0")


def value(frame: bytes, reply: bytes, crc: bool) -> int:
    """The byte that ``reply`` brings for ``frame``. Raises BusFault."""
    what = f"register 0x{frame[0] & 0x7F:02X}"
    if len(reply) != len(frame):
        raise BusFault("framing", f"{what}: {len(reply)} bytes came, {len(frame)} were asked for")
    if set(reply) == {0xFF}:
        raise BusFault("nack", f"{what}: nobody drives the line")
    if crc and reply == bytes((0xFF, 0xFF, BAD_CRC)):
        raise BusFault("crc", f"{what}: the chip saw a wrong checksum")
    if crc and reply[2] != crc8(reply[:2]):
        raise BusFault("crc", what)
    if reply[0] != frame[0]:
        raise BusFault("crc", f"{what}: the answer is for 0x{reply[0] & 0x7F:02X}")
    if frame[0] & WRITES and reply[1] != frame[1]:
        raise BusFault("crc", f"{what}: 0x{reply[1]:02X} was written instead of 0x{frame[1]:02X}")
    return reply[1]


def _closed(frame: bytes, crc: bool) -> bytes:
    return frame + bytes((crc8(frame),)) if crc else frame
