"""Standard error as a sink that never blocks: a stuck journald or a full pipe costs lines, not time."""

from __future__ import annotations

import os
import select

_CHUNK = 4096  # PIPE_BUF: a writable pipe takes this much without blocking; pipe(7)


class Sink:
    """A binary file for structlog's BytesLogger; ``lost`` counts writes that found no room."""

    def __init__(self, fd: int) -> None:
        self.lost = 0
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, data: bytes) -> int:
        for start in range(0, len(data), _CHUNK):
            if not self._put(data[start : start + _CHUNK]):
                self.lost += 1
                return start
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def _put(self, chunk: bytes) -> bool:
        ready = self._poll.poll(0)
        if not ready or not ready[0][1] & select.POLLOUT:
            return False
        try:
            return os.write(self._fd, chunk) == len(chunk)
        except OSError:
            return False
