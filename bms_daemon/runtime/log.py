"""structlog, set up: JSON lines for journald, readable text on a terminal. Called once, before anything logs.

Wall time is a label. Foreign strings lose their control characters, and a code that repeats itself is thinned out,
with the number of lines that were dropped on the next one that is not.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, cast

import structlog

from bms_daemon.runtime.bucket import TokenBucket
from bms_daemon.runtime.messages import encode
from bms_daemon.runtime.sink import Sink

LINES_PER_S = 1.0
LINE_BURST = 20
_CODES_KEPT = 512
_MAX_CHARS = 1000
_PRIORITY = {"critical": b"<2>", "error": b"<3>", "warning": b"<4>", "info": b"<6>", "debug": b"<7>"}
EventDict = MutableMapping[str, Any]


class Thin:
    """Drops lines of a code (or of an event without one) beyond 20 at once and one a second; says how many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._codes: dict[str, TokenBucket] = {}
        self._dropped: dict[str, int] = {}

    def __call__(self, logger: Any, method: str, line: EventDict) -> EventDict:
        key = str(line.get("code") or line.get("event"))[:64]
        bucket = self._codes.get(key)
        if bucket is None:
            bucket = self._new(key)
        if not bucket.take(self._clock()):
            self._dropped[key] = self._dropped.get(key, 0) + 1
            raise structlog.DropEvent
        if key in self._dropped:
            line["dropped"] = self._dropped.pop(key)
        return line

    def _new(self, key: str) -> TokenBucket:
        if len(self._codes) >= _CODES_KEPT:
            oldest = next(iter(self._codes))
            del self._codes[oldest]
            self._dropped.pop(oldest, None)
        self._codes[key] = TokenBucket(LINES_PER_S, LINE_BURST)
        return self._codes[key]


def printable(text: str) -> str:
    """The text with everything that moves a cursor or ends a line written as an escape, and not too long."""
    shown = text[:_MAX_CHARS]
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def escape(logger: Any, method: str, line: EventDict) -> EventDict:
    """Every string of a line, made printable; a traceback keeps its lines."""
    for key, value in line.items():
        if isinstance(value, str) and key != "exception":
            line[key] = printable(value)
    return line


def _json(journald: bool) -> structlog.typing.Processor:
    def render(logger: Any, method: str, line: EventDict) -> bytes:
        priority = _PRIORITY.get(str(line.get("level")), b"<6>") if journald else b""
        return priority + encode(dict(line))

    return render


def _console(colors: bool) -> structlog.typing.Processor:
    renderer = structlog.dev.ConsoleRenderer(colors=colors)

    def render(logger: Any, method: str, line: EventDict) -> bytes:
        return str(renderer(logger, method, line)).encode()

    return render


def configure(fd: int = 2, environ: Mapping[str, str] = os.environ) -> Sink:
    """Send all log lines to ``fd``: text if it is a terminal, else JSON, with journald's priority under systemd."""
    sink = Sink(fd)
    terminal = os.isatty(fd)
    render = _console("NO_COLOR" not in environ) if terminal else _json("JOURNAL_STREAM" in environ)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            Thin(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            escape,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(cast(Any, sink)),
        cache_logger_on_first_use=True,
    )
    return sink
