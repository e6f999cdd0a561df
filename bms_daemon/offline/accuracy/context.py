"""What a table needs to be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bms_daemon.offline.accuracy.work import Workers


@dataclass(frozen=True, slots=True)
class Context:
    """``data``: folder of recordings; ``scratch``: of files in between; ``pictures``: without it none is drawn."""

    data: Path
    scratch: Path
    pictures: Path | None
    quick: bool
    each: Workers
