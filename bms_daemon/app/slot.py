"""The newest sample of one source, and a bell that wakes a source before its time."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from bms_daemon.model import Sample

T = TypeVar("T")


class Slot(Generic[T]):
    """Where a source leaves its newest sample. A failed attempt takes the place of the last good one."""

    def __init__(self) -> None:
        self.newest: Sample[T] | None = None
        self._seq = 0

    def put(self, value: T, now_s: float) -> None:
        self._seq += 1
        self.newest = Sample(value, now_s, self._seq)

    def fail(self, reason: str, now_s: float) -> None:
        self._seq += 1
        self.newest = Sample(None, now_s, self._seq, reason)


class Bell:
    """Wait until a time or until rung, whichever comes first. One waiter."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._rung = False

    def ring(self) -> None:
        self._rung = True
        self._wake()

    async def until(self, time_s: float) -> bool:
        """True when it was rung, which is then forgotten."""
        if not self._rung:
            self._waiter = self._loop.create_future()
            handle = self._loop.call_at(time_s, self._wake)
            try:
                await self._waiter
            finally:
                handle.cancel()
                self._waiter = None
        rung, self._rung = self._rung, False
        return rung

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
