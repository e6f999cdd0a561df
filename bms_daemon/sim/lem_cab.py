"""Emulator of a LEM CAB 300 or CAB 500 current sensor on CAN: one frame every 10 ms, stopped and started by command.

Taken from memory, not from a confirmed source: byte 4 with the error bit, bytes 5 and 6 with the sensor's name, byte 7
with its revision, and what stands in bytes 4 to 7 of the ``u24`` layout.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf
from typing import Literal

from bms_daemon.sim.taps import Taps

PERIOD_S = 0.01
LONGEST_S = 1.0  # frames that an advance makes up for
NOISE_A = 0.02
COMMAND_ID, STOP, START = 0x6F0, 0x28, 0x29
_EDGE = 1e-9


@dataclass(slots=True)
class Faults:
    """The test's back door."""

    silent: bool = False
    stuck: bool = False  # frames go on with the value they had
    error: bool = False  # error indication, bit 0
    error_info: int = 0  # the seven bits beside it
    raw: int | None = None  # the value's field reads this
    offset_a: float = 0.0
    gain: float = 1.0
    inverted: bool = False


class LemCab:
    """Implements ``sim.taps.CanTalker``. ``layout``: ``u32`` has the value in bytes 0..3 and the error in byte 4;
    ``u24`` the error in byte 0 and the value in bytes 1..3. Both count mA from the middle of their range.

    Speaks from the first ``advance`` on; a command acts as of the last ``advance`` before it was heard.
    """

    def __init__(
        self,
        taps: Taps,
        seed: int = 0,
        frame_id: int = 0x3C2,
        layout: Literal["u32", "u24"] = "u32",
        name: int = 300,
        revision: int = 1,
        noise_a: float = NOISE_A,
    ) -> None:
        self.faults = Faults()
        self._taps = taps
        self._random = random.Random(seed)
        self._frame_id = frame_id
        self._bytes = {"u32": 4, "u24": 3}[layout]
        self._tail = name.to_bytes(2, "big") + bytes([revision])
        self._noise_a = noise_a
        self._now_s = -inf
        self._due_s = -inf
        self._heard: list[int] = []
        self._raw: int | None = None

    # ------------------------------------------------------------------ CanTalker
    def advance(self, now_s: float) -> list[tuple[int, bytes]]:
        self._now_s = now_s if self._now_s == -inf else self._now_s
        if self._due_s == -inf:
            self._due_s = now_s + PERIOD_S
        for command in self._heard:
            self._obey(command)
        self._heard.clear()
        self._now_s = max(now_s, self._now_s)
        frames = [(self._frame_id, self._frame()) for _ in range(self._periods(now_s))]
        return [] if self.faults.silent else frames

    @property
    def next_event_s(self) -> float:
        return max(0.0, self._now_s if self._heard else self._due_s)

    def hear(self, frame_id: int, data: bytes) -> None:
        if frame_id == COMMAND_ID and data:
            self._heard.append(data[0])

    # ------------------------------------------------------------------ inside
    def _obey(self, command: int) -> None:
        if command == STOP:
            self._due_s = inf
        elif command == START and self._due_s == inf:
            self._due_s = self._now_s + PERIOD_S

    def _periods(self, now_s: float) -> int:
        """How many frames are due, at most ``LONGEST_S`` back."""
        missed = int((now_s - LONGEST_S - self._due_s) / PERIOD_S) if self._due_s < inf else 0
        self._due_s += max(0, missed) * PERIOD_S
        count = 0
        while self._due_s <= now_s + _EDGE:
            self._due_s += PERIOD_S
            count += 1
        return count

    def _measured_a(self) -> float:
        faults = self.faults
        side = -1.0 if faults.inverted else 1.0
        return side * faults.gain * self._taps.current_a + faults.offset_a

    def _value(self) -> int:
        """mA from the middle of the field, held at its ends."""
        middle, highest = 1 << 8 * self._bytes - 1, (1 << 8 * self._bytes) - 1
        if self.faults.raw is not None:
            return self.faults.raw & highest
        if self._raw is None or not self.faults.stuck:
            milliamps = 1000.0 * (self._measured_a() + self._random.gauss(0.0, self._noise_a))
            self._raw = round(min(highest, max(0, milliamps + middle)))
        return self._raw

    def _frame(self) -> bytes:
        error = bytes([(self.faults.error_info << 1 | self.faults.error) & 0xFF])
        value = self._value().to_bytes(self._bytes, "big")
        return value + error + self._tail if self._bytes == 4 else error + value + b"\0" + self._tail
