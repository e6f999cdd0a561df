"""The kernel's own record of what is written to a GPIO line, exact where the rig only looks from time to time."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MAIN, DEAD_MAN = 17, 22  # GPIO lines of the shipped configuration
TRACING = Path("/sys/kernel/tracing")
ENABLE = TRACING / "events/gpio/gpio_value/enable"
EVENT = re.compile(r" (\d+\.\d+): gpio_value: (\d+) set (\d)")


class LineTrace:
    """Writes to one line; times are the kernel's monotonic clock."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._first: int | None = None  # the chip's first line, as the kernel numbers them

    def clear(self) -> None:
        (TRACING / "trace").write_text("")

    def writes(self, after_s: float) -> list[tuple[float, bool]]:
        """When the line was set later than an instant, and to what."""
        found = [(float(at_s), int(line), level == "1") for at_s, line, level in EVENT.findall(self._text())]
        self._first = self._first if self._first is not None else _first_line([line for _, line, _ in found])
        return [(at_s, level) for at_s, line, level in found if at_s > after_s and line - self._first == self._line]

    def falls(self, after_s: float) -> list[float]:
        """When the line was set to 0, later than an instant."""
        return [at_s for at_s, level in self.writes(after_s) if not level]

    def _text(self) -> str:
        return (TRACING / "trace").read_text()


def _first_line(lines: list[int]) -> int:
    """The dead-man's line is written most often."""
    return Counter(lines).most_common(1)[0][0] - DEAD_MAN if lines else 0


@contextlib.contextmanager
def tracing(line: int) -> Iterator[LineTrace]:
    """The record is kept for as long as this is open."""
    (TRACING / "trace_clock").write_text("mono")
    (TRACING / "trace").write_text("")
    ENABLE.write_text("1")
    try:
        yield LineTrace(line)
    finally:
        ENABLE.write_text("0")
