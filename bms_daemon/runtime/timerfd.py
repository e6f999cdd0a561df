"""timerfd for every supported Python: os.timerfd_* from 3.13, the C library below. Source: timerfd_create(2)."""

from __future__ import annotations

import ctypes
import os
import sys
import time

_ABSTIME = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("it_interval", _TimeSpec), ("it_value", _TimeSpec))


def _spec(seconds: float) -> _TimeSpec:
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return _TimeSpec(whole, nanos)


def periodic(first_s: float, period_s: float) -> int:
    """A descriptor, readable at ``first_s`` (CLOCK_MONOTONIC) and every ``period_s`` after. Raises OSError."""
    if sys.version_info >= (3, 13):
        fd: int = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        os.timerfd_settime(fd, flags=os.TFD_TIMER_ABSTIME, initial=first_s, interval=period_s)
        return fd
    return _libc_periodic(first_s, period_s)


def _libc_periodic(first_s: float, period_s: float) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    spec = _TimerSpec(_spec(period_s), _spec(first_s))
    if libc.timerfd_settime(fd, _ABSTIME, ctypes.byref(spec), None) < 0:
        os.close(fd)
        raise OSError(ctypes.get_errno(), "timerfd_settime")
    return fd
