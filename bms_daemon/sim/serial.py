"""A simulated serial line: a talker behind ``ports.SerialPort`` in the loop's time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from bms_daemon.model import BusFault
from bms_daemon.sim.taps import Talker

LONGEST_WAIT_S = 1.0


@dataclass(slots=True)
class SerialFaults:
    """What the line does to bytes on their way to the reader."""

    silent: bool = False  # nothing arrives
    flip_rate: float = 0.0  # part of all bytes with one bit flipped


class SimSerial:
    """Implements ``ports.SerialPort``. ``sync(now_s)`` advances the world; the talker is advanced here."""

    def __init__(self, talker: Talker, sync: Callable[[float], None], seed: int = 0) -> None:
        self.faults = SerialFaults()
        self._talker = talker
        self._sync = sync
        self._random = random.Random(seed)
        self._gone = False
        self._waiting: asyncio.Future[None] | None = None

    def fall_silent(self, silent: bool) -> None:
        """Let nothing arrive any more, or everything again."""
        self.faults.silent = silent

    def unplug(self) -> None:
        """The device is lost: a waiting read ends at once, every later call fails."""
        self._gone = True
        self._wake()

    def plug(self) -> None:
        self._gone = False

    async def read(self) -> bytes:
        """See ``ports.SerialPort``. One reader at a time."""
        loop = asyncio.get_running_loop()
        while True:
            data = self._collect(loop.time())
            if data:
                return data
            await self._wait(loop)

    async def write(self, data: bytes) -> None:
        self._require_device()
        self._talker.hear(data)
        self._wake()

    def close(self) -> None:
        self.unplug()

    def _require_device(self) -> None:
        if self._gone:
            raise BusFault("gone")

    def _collect(self, now_s: float) -> bytes:
        self._require_device()
        self._sync(now_s)
        data = self._talker.advance(now_s)
        if self.faults.silent:
            return b""
        return self._flipped(data) if self.faults.flip_rate else data

    def _flipped(self, data: bytes) -> bytes:
        rng, rate = self._random, self.faults.flip_rate
        return bytes(byte ^ 1 << rng.randrange(8) if rng.random() < rate else byte for byte in data)

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = min(self._talker.next_event_s, loop.time() + LONGEST_WAIT_S)
        self._waiting = loop.create_future()
        timer = loop.call_at(due_s, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
