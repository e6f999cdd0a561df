"""The terminal as a canvas: alternate buffer, only changed rows are written, and everything as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Sequence
from typing import TextIO

from bms_daemon.commands._text import Row, ansi, fit
from bms_daemon.runtime.sink import Sink

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l\x1b[2J", b"\x1b[0m\x1b[?25h\x1b[?1049l"
SMALLEST, USUAL = (20, 5), (80, 24)
WHOLE_EVERY = 20  # draws: what foreign output has spoilt is mended


def usable(out: TextIO) -> bool:
    """Whether ``out`` is a terminal that moves its cursor."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """A full screen on a terminal. A terminal that takes nothing (Ctrl-S) costs rows, never time."""

    def __init__(self, out: TextIO) -> None:
        self._fd = out.fileno()
        self._sink = Sink(self._fd)
        self._colour = not os.environ.get("NO_COLOR")
        self._unicode = out.encoding.lower().replace("-", "") == "utf8"
        self._shown: list[str] = []
        self._drawn = 0
        self._keyboard: list[int | list[bytes | int]] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows as they are now."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            columns, rows = USUAL
        if not columns or not rows:
            columns, rows = USUAL
        return max(columns, SMALLEST[0]), max(rows, SMALLEST[1])

    def enter(self) -> None:
        """Take the terminal: alternate buffer, no cursor, no echo of keys."""
        with contextlib.suppress(OSError, ValueError, termios.error):
            self._keyboard = termios.tcgetattr(sys.stdin.fileno())
            quiet = list(self._keyboard)
            quiet[3] = int(str(quiet[3])) & ~termios.ECHO
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, quiet)
        self._sink.write(ENTER)

    def draw(self, rows: Sequence[Row]) -> None:
        """Show rows from the top; what did not change since the last time is not sent again."""
        columns, height = self.size
        lines = [ansi(fit(row, columns), self._colour, self._unicode) for row in rows[:height]]
        lines += [""] * (height - len(lines))
        if len(lines) != len(self._shown) or self._drawn % WHOLE_EVERY == 0:
            self._shown = []
        changed = [at for at, line in enumerate(lines) if not self._shown or line != self._shown[at]]
        text = "".join(f"\x1b[{at + 1};1H{lines[at]}\x1b[K" for at in changed)
        lost = self._sink.lost
        self._sink.write(text.encode())
        self._drawn += 1
        self._shown = lines if self._sink.lost == lost else []

    def leave(self) -> None:
        """Give the terminal back as it was."""
        os.write(self._fd, LEAVE)
        if self._keyboard is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSAFLUSH, self._keyboard)
