"""A progress line for what takes longer than two seconds: a bar on a terminal, a line now and then elsewhere."""

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
