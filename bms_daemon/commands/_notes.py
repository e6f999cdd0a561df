"""The log's last lines, kept for a screen instead of being written over it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from bms_daemon.runtime.log import EventDict, Thin, escape, printable

KEPT = 200
LOUD = frozenset({"error", "critical", "exception"})


@dataclass(frozen=True, slots=True)
class Note:
    """One log line. ``time_s`` is the loop's; ``detail`` is a traceback, if it has one."""

    time_s: float
    level: str
    text: str
    detail: str = ""


class Notes(logging.Handler):
    """Takes structlog's lines, and those of libraries that use ``logging``. ``clock`` gives the time of a line."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[Note] = deque(maxlen=KEPT)
        self._clock = clock

    def listen(self) -> None:
        """From now on every log line comes here."""
        logging.getLogger().addHandler(self)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                Thin(),
                structlog.processors.format_exc_info,
                escape,
                self._take,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )

    def stop(self) -> None:
        """Libraries' lines go where they went before."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._add(record.levelname.lower(), printable(record.getMessage()))

    def loud(self) -> list[str]:
        """What must not be lost with the screen: errors, with their tracebacks."""
        return [f"{note.text}\n{note.detail}".rstrip() for note in self.lines if note.level in LOUD]

    def _take(self, logger: Any, method: str, line: EventDict) -> EventDict:
        detail = str(line.pop("exception", ""))
        known = {key: line.pop(key, "") for key in ("level", "event", "kind", "code", "data")}
        rest = " ".join(f"{key}={value}" for key, value in line.items())
        self._add(str(known["level"]), f"{known['event']} {rest}".rstrip(), detail)
        raise structlog.DropEvent

    def _add(self, level: str, text: str, detail: str = "") -> None:
        self.lines.append(Note(self._clock(), level, text, detail))
