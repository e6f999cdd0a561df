"""Wall-clock time for people: a progress line for what takes longer than two seconds, and how often to show things."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

FIRST_S, TERMINAL_S, PLAIN_S = 2.0, 0.2, 30.0
WIDTH = 30


class Progress:
    """``at(step)`` says how far things are, of ``total`` steps."""

    def __init__(self, what: str, total: int, out: TextIO) -> None:
        self._what, self._total, self._out = what, max(1, total), out
        self._terminal = out.isatty()
        self._start_s = time.monotonic()
        self._shown_s = self._start_s + FIRST_S - (TERMINAL_S if self._terminal else PLAIN_S)
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            print(file=self._out)

    def at(self, step: int) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s < (TERMINAL_S if self._terminal else PLAIN_S):
            return
        self._shown_s, self._shown = now_s, True
        share = min(1.0, (step + 1) / self._total)
        left_s = (now_s - self._start_s) * (1.0 - share) / share
        bar = "#" * int(WIDTH * share)
        text = f"{self._what} [{bar:<{WIDTH}}] {100 * share:5.1f} %  {left_s:5.0f} s left"
        print(f"\r{text}" if self._terminal else text, end="" if self._terminal else "\n", file=self._out, flush=True)


class Stopwatch:
    """Seconds of the wall clock since it was made, whatever time the running loop keeps."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s


class Pace:
    """``due()`` is true at most once in ``period_s`` of the wall clock, and the first time."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = float("-inf")

    def due(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._period_s
        return True
