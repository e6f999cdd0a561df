"""Clocks and the event loops that run on them.

The daemon's code knows one clock, the running loop's. ``ManualLoop`` gives it a time that jumps to the next timer, so
that a day runs in minutes and every run of the same trace is the same.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for descriptors as the real one does, but moves the manual time on instead of sleeping."""

    def __init__(self, speed: float | None) -> None:
        super().__init__()
        self._speed = speed
        self._origin_s = time.monotonic()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0.0:
            return super().select(timeout)
        events = super().select(self._pause_s(timeout))
        self._move(timeout, interrupted=bool(events))
        return events

    def _pause_s(self, timeout: float) -> float:
        if self._speed is None:
            return 0.0
        due_s = self._origin_s + (self.now_s + timeout) / self._speed
        return max(0.0, due_s - time.monotonic())

    def _move(self, timeout: float, interrupted: bool) -> None:
        if not interrupted:
            self.now_s += timeout
        elif self._speed is not None:
            reached_s = (time.monotonic() - self._origin_s) * self._speed
            self.now_s = min(self.now_s + timeout, max(self.now_s, reached_s))


class ManualLoop(asyncio.SelectorEventLoop):
    """An event loop on manual time, from 0 s. ``speed`` paces it (60: a minute a second); None runs free.

    Under pacing, time that the machine was too slow for is not skipped: the run lasts longer, no tick is missed.
    """

    def __init__(self, speed: float | None = None) -> None:
        self._jumping = _JumpingSelector(speed)
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now_s


def run_manual(main: Coroutine[Any, Any, T], speed: float | None = None) -> T:
    """Run a coroutine to its end on manual time."""
    with asyncio.Runner(loop_factory=lambda: ManualLoop(speed)) as runner:
        return runner.run(main)
