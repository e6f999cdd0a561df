"""Ticks at absolute deadlines. What was missed is counted and skipped, never run in a burst.

On a real loop a timerfd wakes the tick (asyncio's own timers are late by a millisecond: epoll rounds up); on a manual
loop the loop's timers do, exactly.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

from bms_daemon.runtime import timerfd
from bms_daemon.runtime.clock import ManualLoop

_EARLY_S = 1e-4  # a timer that fires this much before its deadline has fired for it


@dataclass(frozen=True, slots=True)
class Tick:
    """``lateness_s``: behind the first deadline not served; ``missed``: deadlines skipped; ``edge``: out of turn."""

    now_s: float
    lateness_s: float = 0.0
    missed: int = 0
    edge: bool = False


class Ticker:
    """Deadlines at start + n × ``period_s``. Needs a running loop; one waiter at a time.

    Time that the machine was suspended counts as lateness, although the monotonic clock stood still.
    """

    def __init__(self, period_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._period_s = period_s
        self._start_s = self._loop.time()
        self._served = 0
        self._due_s = self._start_s + period_s
        self._waiter: asyncio.Future[None] | None = None
        self._nudged = False
        self._fd = -1
        self._manual = isinstance(self._loop, ManualLoop)
        self._away_s = 0.0 if self._manual else _suspended_s()
        if not self._manual:
            self._fd = timerfd.periodic(self._due_s, period_s)
            self._loop.add_reader(self._fd, self._on_timer)

    async def wait(self) -> Tick:
        """Return at the next deadline, or at once when one has passed or an edge came."""
        if self._nudged or self._loop.time() >= self._due_s - _EARLY_S:
            await asyncio.sleep(0)
        else:
            await self._sleep()
        now_s = self._loop.time()
        if now_s >= self._due_s - _EARLY_S:
            self._nudged = False
            return self._serve(now_s)
        self._nudged = False
        return Tick(now_s, edge=True)

    def nudge(self) -> None:
        """Run a tick at once, between two deadlines; the deadlines stay where they are."""
        self._nudged = True
        self._wake()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    async def _sleep(self) -> None:
        self._waiter = waiter = self._loop.create_future()
        handle = self._loop.call_at(self._due_s, self._wake) if self._manual else None
        try:
            await waiter
        finally:
            self._waiter = None
            if handle is not None:
                handle.cancel()

    def _on_timer(self) -> None:
        os.read(self._fd, 8)
        if self._loop.time() >= self._due_s - _EARLY_S:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _serve(self, now_s: float) -> Tick:
        late_s = max(0.0, now_s - self._due_s)
        missed = int((late_s + _EARLY_S) / self._period_s)
        self._served += 1 + missed
        self._due_s = self._start_s + (self._served + 1) * self._period_s
        return Tick(now_s, late_s + self._suspension_s(), missed)

    def _suspension_s(self) -> float:
        if self._manual:
            return 0.0
        before_s, self._away_s = self._away_s, _suspended_s()
        gap_s = self._away_s - before_s
        return gap_s if gap_s > 0.05 else 0.0


def _suspended_s() -> float:
    """How long the machine has slept since it booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
