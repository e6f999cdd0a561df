"""A defect on demand in a process that knows nothing of it: SIGUSR1 raises wherever it is, SIGUSR2 hangs it."""

from __future__ import annotations

import signal


def _raise(*_: object) -> None:
    raise ZeroDivisionError("a defect")


def _hang(*_: object) -> None:
    while True:
        pass


signal.signal(signal.SIGUSR1, _raise)
signal.signal(signal.SIGUSR2, _hang)
