"""VE.Direct text blocks out of a byte stream, without any I/O (Victron VE.Direct protocol).

A block is lines of ``\\r\\n`` label ``\\t`` value; its last line is ``Checksum`` and one raw byte, which makes the sum
of all its bytes 0 modulo 256. HEX frames (``:`` to ``\\n``) may come anywhere and count for nothing.
"""

from __future__ import annotations

import re

_END = b"\r\nChecksum\t"
_FIRST = b"\r\nPID\t"
_LINE = re.compile(rb"([A-Za-z][A-Za-z0-9#]{0,8})\t([\x20-\x7e]{0,64})")
_COLON, _TAB, _NEWLINE = 0x3A, 0x09, 0x0A
_HEX = frozenset(b"0123456789ABCDEF\r")


class Decoder:
    """Bytes in, checked blocks out. ``rejected`` counts blocks that were dropped, ``hex_frames`` what was stripped."""

    def __init__(self, max_block_bytes: int = 512) -> None:
        self._limit = max_block_bytes
        self._block = bytearray()
        self._in_hex = 0
        self._at_checksum = False
        self.rejected = 0
        self.hex_frames = 0

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """Labels and values of every block that these bytes complete, oldest first."""
        found = []
        for byte in data:
            if self._at_checksum:
                self._at_checksum = False
                block = self._finish(byte)
                if block is not None:
                    found.append(block)
            elif self._in_hex:
                self._strip(byte)
            elif byte == _COLON:
                self._in_hex = 1
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

    def _strip(self, byte: int) -> None:
        """One byte of a HEX frame. What cannot be in one was noise: the text goes on, and its sum will tell."""
        self._in_hex += 1
        if byte == _NEWLINE:
            self._in_hex = 0
            self.hex_frames += 1
        elif byte not in _HEX or self._in_hex > self._limit:
            self._in_hex = 0
            self._append(byte)

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
