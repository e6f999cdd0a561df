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

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def prepare(priority: int = 40) -> tuple[str, ...]:
    """Take everything that is to be had; returns what was refused, one line each.

    Only once start-up is over: seconds of parsing in a real-time class would starve the board.
    """
    refused = (_attempt("SCHED_FIFO", lambda: _fifo(priority)), _attempt("mlockall", _lock_memory))
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
    """Every thread: a bus's worker that waits behind a flood delays its samples as much as the loop would."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))


def _lock_memory() -> None:
    """What is in memory stays; what was never touched needs no room."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
