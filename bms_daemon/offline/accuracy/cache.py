"""Results kept by what they were made from: contents of recordings and cells, and the code that made them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from bms_daemon.offline.cellfit.job import Job

PACKAGE = Path(__file__).parents[2]
FIT_CODE = (
    "offline/cellfit",
    "estimation/cell.py",
    "estimation/curve.py",
    "estimation/tables.py",
    "config/cellfile.py",
)


def cache_folder() -> Path:
    """The user's own, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "bms-daemon" / "accuracy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(parts: Iterable[str]) -> str:
    """One name for many texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def job_digest(job: Job) -> str:
    """Changes with every recording, with what is said of it, and with the code that fits."""
    sources = [f"{each.kind} {each.temperature_degc} {_contents([each.path])}" for each in job.sources]
    return digest([*sources, repr(job.columns), repr(job.identity), repr(job.usual_degc), code_digest(FIT_CODE)])


@cache
def code_digest(names: tuple[str, ...], libraries: tuple[str, ...] = ()) -> str:
    """Of modules, and folders of modules, of this package; and the versions of libraries.

    Read once: who edits a file in the midst of a run does not change what is running.
    """
    roots = [PACKAGE / name for name in names]
    files = [file for root in roots for file in (sorted(root.rglob("*.py")) if root.is_dir() else [root])]
    return digest([_contents(files), *(metadata.version(name) for name in ("numpy", *libraries))])


def _contents(files: Iterable[Path]) -> str:
    return digest(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
