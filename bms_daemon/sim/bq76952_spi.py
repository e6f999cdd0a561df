"""The bq76952 emulator behind SPI: a frame a byte, whose answer comes with the next one (TI SLUSE13B).

How long a chip works on a frame is not published: ``ready_s``, counted from its beginning, is a guess and a test's to
change. A frame that comes sooner is not taken.
"""

from __future__ import annotations

from typing import Any

from bms_daemon.sim.bq76952 import Bq76952, crc8
from bms_daemon.sim.taps import Taps

READY_S = 50e-6
NOT_READY, BAD_CRC = b"\xff\xff\x00", b"\xff\xff\xaa"
WORDS = frozenset((0x3E, 0x60, 0x62, 0x66))  # registers that are acted on when their upper byte has come


class Bq76952Spi(Bq76952):
    """Implements ``sim.taps.Chip`` and ``SpiTarget``."""

    def __init__(self, taps: Taps, seed: int = 0, crc: bool = True, **others: Any) -> None:
        super().__init__(taps, seed, False, **others)
        self.ready_s = READY_S
        self._checks = crc
        self._answer = bytes(3)
        self._ready_at_s = 0.0
        self._lower: dict[int, int] = {}

    def frame(self, now_s: float, data: bytes, low_s: float) -> bytes:
        """A period of chip select low; of another length than a frame's it is nobody's."""
        self.advance(now_s)
        size = 3 if self._checks else 2
        if not self._core.answers or len(data) != size:
            return b"\xff" * len(data)
        if now_s - low_s < self._ready_at_s:
            return NOT_READY[:size]
        answer, self._ready_at_s = self._answer, now_s - low_s + self.ready_s
        self._answer = self._taken(data)
        return answer[:size]

    def _taken(self, data: bytes) -> bytes:
        """What the next frame is told."""
        if self._checks and data[2] != crc8(data[:2]):
            return BAD_CRC
        self._core.heard()
        register = data[0] & 0x7F
        if data[0] & 0x80:
            self._write(register, data[1])
            said = data[:2]
        else:
            self._pointer = register
            said = data[:1] + self._fetch(1)
        return said + bytes((crc8(said),))

    def _write(self, register: int, value: int) -> None:
        if register in WORDS:
            self._lower[register] = value
        elif register - 1 in WORDS:
            self._store(register - 1, bytes((self._lower.get(register - 1, 0), value)))
        else:
            self._store(register, bytes((value,)))
