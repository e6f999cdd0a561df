"""Saves off the loop: the latest survivor wins, a full, read-only or hanging disk is a state and never an exception."""

from __future__ import annotations

import asyncio
import threading
import time

from bms_daemon.model import Survivor
from bms_daemon.runtime.clock import ManualLoop
from bms_daemon.runtime.journal import Journal, JournalError

HANGING_S = 5.0
RETRY_S = 5.0


class JournalWriter:
    """One thread, at once woken; on a manual loop it saves synchronously instead. Needs a running loop.

    ``failures`` counts saves that failed; what failed is tried again every 5 s until something newer comes.
    """

    def __init__(self, journal: Journal) -> None:
        self.error = ""
        self.failures = 0
        self._journal = journal
        self._wanted: Survivor | None = None
        self._again: Survivor | None = None
        self._busy_since_s: float | None = None
        self._closing = False
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        if not isinstance(asyncio.get_running_loop(), ManualLoop):
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    @property
    def ok(self) -> bool:
        """The last save succeeded, and none hangs for longer than 5 s."""
        busy_since_s = self._busy_since_s
        hanging = busy_since_s is not None and time.monotonic() - busy_since_s > HANGING_S
        return not self.error and not hanging

    def put(self, survivor: Survivor) -> None:
        """Have this saved as soon as the disk allows, instead of whatever still waits."""
        if self._thread is None:
            self._save(survivor)
            return
        with self._wake:
            self._wanted = survivor
            self._wake.notify()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is on disk; False when it is not by then. Call it before ``close`` at shutdown."""
        deadline_s = time.monotonic() + timeout_s
        while self._wanted is not None or self._busy_since_s is not None:
            if time.monotonic() >= deadline_s:
                return False
            await asyncio.sleep(0.005)
        return not self.error

    def close(self) -> None:
        """Let the thread end. It is not waited for: its disk may hang."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _run(self) -> None:
        while (survivor := self._next()) is not None:
            saved = self._save(survivor)
            with self._wake:
                self._busy_since_s = None
                self._again = None if saved else survivor

    def _next(self) -> Survivor | None:
        """The next one to save, waited for; None at the end."""
        with self._wake:
            timeout_s = None if self._again is None else RETRY_S
            self._wake.wait_for(lambda: self._closing or self._wanted is not None, timeout_s)
            survivor = self._wanted or (None if self._closing else self._again)
            self._wanted = None
            self._busy_since_s = None if survivor is None else time.monotonic()
            return survivor

    def _save(self, survivor: Survivor) -> bool:
        try:
            self._journal.save(survivor)
        except (OSError, JournalError, TypeError, ValueError) as error:
            self.error = str(error)
            self.failures += 1
            return False
        self.error = ""
        return True
