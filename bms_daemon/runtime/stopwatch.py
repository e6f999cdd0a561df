"""What benchmarks measure with: processor time of this thread, and the monotonic clock that all processes share."""

from __future__ import annotations

import time


def cpu_s() -> float:
    """Processor time of the calling thread."""
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


def process_cpu_s() -> float:
    """Processor time of the whole process, all threads."""
    return time.process_time()


def monotonic_s() -> float:
    """The clock of every real event loop on this machine."""
    return time.monotonic()
