"""VE.Direct text blocks and HEX frames out of a byte stream, without any I/O (Victron VE.Direct protocol).

A block is lines of ``\\r\\n`` label ``\\t`` value; its last line is ``Checksum`` and one raw byte, which makes the sum
of all its bytes 0 modulo 256. HEX frames may come anywhere inside and count for nothing there: ``:``, a command as one
digit, bytes as two digits each, a byte that makes the sum of all 0x55, ``\\n``.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_END = b"\r\nChecksum\t"
_FIRST = b"\r\nPID\t"
_LINE = re.compile(rb"([A-Za-z][A-Za-z0-9#]{0,8})\t([\x20-\x7e]{0,64})")
_COLON, _TAB, _NEWLINE = 0x3A, 0x09, 0x0A
_DIGITS = frozenset(b"0123456789ABCDEF")
_HEX = _DIGITS | {0x0D}
_HEX_SUM = 0x55
_KEPT_FRAMES = 8


@dataclass(frozen=True, slots=True)
class HexFrame:
    """A command or an answer, 0..15, and what belongs to it."""

    command: int
    payload: bytes = b""


def encode_hex(frame: HexFrame) -> bytes:
    """As it goes onto the wire."""
    checksum = (_HEX_SUM - frame.command - sum(frame.payload)) & 0xFF
    return f":{frame.command:X}{frame.payload.hex().upper()}{checksum:02X}\n".encode("ascii")


def decode_hex(digits: bytes) -> HexFrame | None:
    """What stood between ``:`` and ``\\n``; None for other than digits, a half byte and a wrong sum."""
    text = digits.rstrip(b"\r")
    if len(text) % 2 == 0 or not _DIGITS.issuperset(text):
        return None
    command, tail = int(text[:1], 16), bytes.fromhex(text[1:].decode("ascii"))
    return HexFrame(command, tail[:-1]) if (command + sum(tail)) & 0xFF == _HEX_SUM else None


class Decoder:
    """Bytes in, checked blocks out. ``rejected`` counts blocks that were dropped, ``hex_frames`` what was stripped.

    ``heard`` has the newest sound ones of the latter, oldest first.
    """

    def __init__(self, max_block_bytes: int = 512) -> None:
        self._limit = max_block_bytes
        self._block = bytearray()
        self._hex: bytearray | None = None
        self._at_checksum = False
        self.rejected = 0
        self.hex_frames = 0
        self.heard: deque[HexFrame] = deque(maxlen=_KEPT_FRAMES)

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """Labels and values of every block that these bytes complete, oldest first."""
        found = []
        for byte in data:
            if self._at_checksum:
                self._at_checksum = False
                block = self._finish(byte)
                if block is not None:
                    found.append(block)
            elif self._hex is not None:
                self._strip(self._hex, byte)
            elif byte == _COLON:
                self._hex = bytearray()
            else:
                self._append(byte)
        return found

    def _append(self, byte: int) -> None:
        block = self._block
        block.append(byte)
        if byte == _TAB:
            self._at_checksum = block.endswith(_END)
            if block.endswith(_FIRST) and len(block) > len(_FIRST):
                self._restart(bytes(_FIRST))
        elif len(block) > self._limit:
            self._restart(b"")

    def _strip(self, digits: bytearray, byte: int) -> None:
        """One byte of a HEX frame. What cannot be in one was noise: the text goes on, and its sum will tell."""
        if byte == _NEWLINE:
            self._hex = None
            self.hex_frames += 1
            frame = decode_hex(bytes(digits))
            if frame is not None:
                self.heard.append(frame)
        elif byte not in _HEX or len(digits) >= self._limit:
            self._hex = None
            self._append(byte)
        else:
            digits.append(byte)

    def _restart(self, kept: bytes) -> None:
        self.rejected += 1
        self._block[:] = kept

    def _finish(self, checksum: int) -> dict[str, str] | None:
        block = bytes(self._block)
        self._block.clear()
        fields = _parse(block[: -len(_END)]) if (sum(block) + checksum) & 0xFF == 0 else None
        self.rejected += fields is None
        return fields


def _parse(block: bytes) -> dict[str, str] | None:
    """None for a block with a malformed line or the same label twice: its sum was right by chance."""
    head, *lines = block.split(b"\r\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    fields = {match[1].decode(): match[2].decode() for match in matches if match}
    if head or not fields or len(fields) < len(lines):
        return None
    return fields
