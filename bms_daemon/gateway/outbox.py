"""What waits for a slow broker: the newest message of each topic, and the last events. Bounded, never waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

EVENTS_KEPT = 200
TOPICS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Letter:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Outbox:
    """``put`` replaces an unsent message of the same topic, ``queue`` keeps the last 200. ``lost`` counts both."""

    def __init__(self) -> None:
        self.lost = 0
        self._newest: dict[str, Letter] = {}
        self._queue: deque[Letter] = deque()
        self._news = asyncio.Event()

    def put(self, letter: Letter) -> None:
        if letter.topic in self._newest:
            self.lost += 1
        elif len(self._newest) >= TOPICS_KEPT:
            del self._newest[next(iter(self._newest))]
            self.lost += 1
        self._newest[letter.topic] = letter
        self._news.set()

    def queue(self, letter: Letter) -> None:
        if len(self._queue) >= EVENTS_KEPT:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(letter)
        self._news.set()

    def put_back(self, letter: Letter) -> None:
        """Return a letter that was taken and not sent, unless something newer or 200 others replaced it."""
        if letter.qos and len(self._queue) < EVENTS_KEPT:
            self._queue.appendleft(letter)
        elif not letter.qos and letter.topic not in self._newest:
            self._newest[letter.topic] = letter
        self._news.set()

    async def take(self) -> Letter:
        """The next letter to send: queued ones first, then the topic that has waited longest."""
        while not self._queue and not self._newest:
            self._news.clear()
            await self._news.wait()
        if self._queue:
            return self._queue.popleft()
        return self._newest.pop(next(iter(self._newest)))

    def forget(self, topics: set[str]) -> None:
        """Drop unsent messages of these topics: they are stale."""
        for topic in topics & self._newest.keys():
            del self._newest[topic]

    def __len__(self) -> int:
        return len(self._newest) + len(self._queue)
