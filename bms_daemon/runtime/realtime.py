"""What the kernel can do against late ticks: a real-time class, memory that stays, a garbage collector that rests.

Each is optional: a board that refuses one runs without it, and the caller hears which. Sources: sched(7), mlockall(2),
malloc_trim(3).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable

_MCL_CURRENT_AND_FUTURE = 1 | 2


def prepare(priority: int = 40) -> tuple[str, ...]:
    """Take everything that is to be had, once start-up is over; returns what was refused, one line each."""
    refused = (_attempt("SCHED_FIFO", lambda: _fifo(priority)), _attempt("mlockall", _lock_memory))
    freeze()
    return tuple(line for line in refused if line)


def freeze() -> None:
    """Collect once, keep what is alive out of every later collection, and give back what start-up no longer needs."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def demote(pid: int) -> None:
    """Put a child that was started by a real-time process back among ordinary ones: it inherits the class."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _attempt(name: str, action: Callable[[], None]) -> str:
    try:
        action()
    except OSError as error:
        return f"{name}: {error.strerror or error}"
    return ""


def _fifo(priority: int) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


def _lock_memory() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT_AND_FUTURE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
