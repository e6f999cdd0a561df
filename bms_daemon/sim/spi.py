"""A simulated SPI bus with one chip select: takes its wire time, brings the world to a transfer, exchanges its frames.

Byte-level faults live in ``SimSpiBus.faults``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bms_daemon.model import BusFault
from bms_daemon.ports import SpiFrame
from bms_daemon.sim.taps import SpiTarget

BITS_A_BYTE = 8
BETWEEN_S = 5e-6  # chip select high between two frames
STUCK_S = 3.0


@dataclass(slots=True)
class SpiFaults:
    """Counts go down with every use; ``math.inf`` is for ever."""

    timeout: float = 0.0  # transfers that hang for 3 s and fail
    unplugged: bool = False  # nobody hears, and the line reads as ones
    flip_bytes: float = 0.0  # read bytes from now on with one bit flipped
    flip_rate: float = 0.0  # part of all read bytes with one bit flipped
    repeat: float = 0.0  # frames that are answered as the one before them was


class SimSpiBus:
    """Implements ``ports.SpiBus``. ``sync(now_s)`` advances the world, its chips included; within
    a transfer the target keeps its own time.

    ``deaf``: so many bytes of an answer nobody reads, as they come while a command goes out.
    """

    def __init__(
        self, sync: Callable[[float], None], speed_hz: float, target: SpiTarget, seed: int = 0, deaf: int = 4
    ) -> None:
        self.faults = SpiFaults()
        self.transfers = 0
        self._sync, self._target = sync, target
        self._byte_s = BITS_A_BYTE / speed_hz
        self._deaf = deaf
        self._random = random.Random(seed)
        self._lock = asyncio.Lock()
        self._previous = b""

    async def transfer(self, frames: Sequence[SpiFrame]) -> list[bytes]:
        """See ``ports.SpiBus``. A cancelled transfer never reached the chip."""
        async with self._lock:
            begun_s = asyncio.get_running_loop().time()
            await asyncio.sleep(STUCK_S if self.faults.timeout else sum(self.lasts_s(frame) for frame in frames))
            return self.finish(begun_s, frames)

    def lasts_s(self, frame: SpiFrame) -> float:
        """From one frame's chip select to the next one's."""
        return self._low_s(frame) + BETWEEN_S + frame.gap_s

    def finish(self, begun_s: float, frames: Sequence[SpiFrame]) -> list[bytes]:
        """What a transfer does that began at ``begun_s``."""
        self.transfers += 1
        if self.faults.timeout:
            self.faults.timeout -= 1
            raise BusFault("timeout", "the transfer does not end")
        self._sync(begun_s)
        answers = []
        for frame in frames:
            ends_s = begun_s + self._low_s(frame)
            answers.append(self._exchange(ends_s, frame))
            begun_s += self.lasts_s(frame)
        return answers

    def fall_silent(self, silent: bool) -> None:
        """Break the line, or mend it."""
        self.faults.unplugged = silent

    def close(self) -> None:
        """Nothing is held open."""

    def _low_s(self, frame: SpiFrame) -> float:
        return max(len(frame.data) * self._byte_s, frame.low_s)

    def _exchange(self, ends_s: float, frame: SpiFrame) -> bytes:
        if self.faults.unplugged:
            return b"\xff" * len(frame.data)
        data = self._target.frame(ends_s, frame.data, self._low_s(frame))
        if self.faults.repeat > 0 and len(self._previous) == len(data):
            self.faults.repeat -= 1
            return self._previous
        self._previous = data
        return self._flipped(data) if self.faults.flip_bytes or self.faults.flip_rate else data

    def _flipped(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for k in range(self._deaf, len(spoilt)):
            if self.faults.flip_bytes > 0:
                self.faults.flip_bytes -= 1
            elif self._random.random() >= self.faults.flip_rate:
                continue
            spoilt[k] ^= 1 << self._random.randrange(8)
        return bytes(spoilt)


