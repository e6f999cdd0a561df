"""A simulated CAN interface: a talker behind ``ports.CanPort`` in the loop's time.

Frames, the host's included, share one wire: each starts when the one before has ended, and arrives when its last bit
has left. Stuff bits and arbitration are left out.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bms_daemon.model import BusFault
from bms_daemon.sim.taps import CanTalker

LONGEST_WAIT_S = 1.0
LONGEST_QUEUE_S = 0.1  # a frame that would wait longer for the wire is lost, as in an overwritten mailbox
FRAME_BITS = 47  # 11-bit identifier, without data
FOREIGN_IDS = (0x0A0, 0x1F2, 0x351, 0x60F)
_EDGE = 1e-9


@dataclass(slots=True)
class CanFaults:
    """What happens to the talker's frames on their way to the reader. Counts go down with every use.

    A controller rejects frames with flipped bits by their CRC: ``flip``, ``short`` and ``repeat`` are faults of a
    gateway on the way, or of a sensor's own memory.
    """

    silent: bool = False  # nothing arrives
    drop: int = 0
    drop_rate: float = 0.0  # part of all frames that is lost
    repeat: int = 0  # in place of a frame, the previous one of its identifier
    flip: int = 0  # one bit of the data
    short: int = 0  # one byte less
    foreign: bool = False  # before every frame, one of another identifier


class SimCanPort:
    """Implements ``ports.CanPort``. ``sync(now_s)`` advances the world; the talker is advanced here."""

    def __init__(
        self, talker: CanTalker, sync: Callable[[float], None], bitrate: float = 500e3, seed: int = 0
    ) -> None:
        self.faults = CanFaults()
        self._talker = talker
        self._sync = sync
        self._bit_s = 1.0 / bitrate
        self._random = random.Random(seed)
        self._free_s = 0.0
        self._coming: deque[tuple[float, int, bytes]] = deque()
        self._previous: dict[int, bytes] = {}
        self._gone = self._missed = False
        self._waiting: asyncio.Future[None] | None = None

    def fall_silent(self, silent: bool) -> None:
        """Let nothing arrive any more, or everything again."""
        self.faults.silent = silent

    def unplug(self) -> None:
        """The interface is lost: a waiting receive ends at once, every later call fails."""
        self._gone = self._missed = True
        self._coming.clear()
        self._wake()

    def plug(self) -> None:
        """It is back. What was said meanwhile is lost."""
        self._gone = False

    async def receive(self) -> list[tuple[int, bytes]]:
        """See ``ports.CanPort``. One reader at a time."""
        loop = asyncio.get_running_loop()
        while True:
            self._require_device()
            self._listen(loop.time())
            frames = self._arrived(loop.time())
            if frames:
                return frames
            await self._wait(loop)

    async def send(self, frame_id: int, data: bytes) -> None:
        """See ``ports.CanPort``. The talker hears it at once; an answer leaves behind it."""
        self._require_device()
        if not 0 <= frame_id <= 0x7FF or len(data) > 8:
            raise ValueError(f"no frame: identifier 0x{frame_id:x}, {len(data)} bytes")
        now_s = asyncio.get_running_loop().time()
        self._listen(now_s)
        self._occupy(now_s, len(data))
        self._talker.hear(frame_id, data)
        self._wake()

    def close(self) -> None:
        self.unplug()

    def _require_device(self) -> None:
        if self._gone:
            raise BusFault("gone")

    # ------------------------------------------------------------------ the wire
    def _listen(self, now_s: float) -> None:
        """Bring everything to now and put what the talker has said on the wire, from when it began to speak."""
        self._sync(now_s)
        begun_s = min(self._talker.next_event_s, now_s)
        frames = self._talker.advance(now_s)
        if self._missed:
            self._missed = False
            return
        for frame_id, data in frames:
            if self._free_s <= now_s + LONGEST_QUEUE_S:
                self._carry(begun_s, frame_id, data)

    def _carry(self, begun_s: float, frame_id: int, data: bytes) -> None:
        if self.faults.foreign:
            foreign = self._foreign(frame_id)
            self._coming.append((self._occupy(begun_s, len(foreign[1])), *foreign))
        end_s = self._occupy(begun_s, len(data))
        received = self._spoilt(frame_id, data)
        if received is not None:
            self._coming.append((end_s, frame_id, received))

    def _occupy(self, begun_s: float, length: int) -> float:
        """Take the wire for one frame of ``length`` bytes; when its last bit has left."""
        self._free_s = max(self._free_s, begun_s) + (FRAME_BITS + 8 * length) * self._bit_s
        return self._free_s

    def _arrived(self, now_s: float) -> list[tuple[int, bytes]]:
        frames = []
        while self._coming and self._coming[0][0] <= now_s + _EDGE:
            _, frame_id, data = self._coming.popleft()
            frames.append((frame_id, data))
        return [] if self.faults.silent else frames

    # ------------------------------------------------------------------ faults
    def _foreign(self, frame_id: int) -> tuple[int, bytes]:
        """A frame of somebody else: never an identifier of the talker's."""
        others = [other for other in FOREIGN_IDS if other != frame_id and other not in self._previous]
        return self._random.choice(others), self._random.randbytes(8)

    def _spoilt(self, frame_id: int, data: bytes) -> bytes | None:
        """What the reader gets for this frame; None: nothing."""
        faults = self.faults
        previous = self._previous.get(frame_id)
        self._previous[frame_id] = data
        if faults.drop > 0:
            faults.drop -= 1
            return None
        if faults.drop_rate and self._random.random() < faults.drop_rate:
            return None
        if faults.repeat > 0 and previous is not None:
            faults.repeat -= 1
            self._previous[frame_id] = data = previous
        return self._damaged(data) if data else data

    def _damaged(self, data: bytes) -> bytes:
        faults = self.faults
        if faults.flip > 0:
            faults.flip -= 1
            bit = self._random.randrange(8 * len(data))
            data = (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
        if faults.short > 0:
            faults.short -= 1
            data = data[:-1]
        return data

    # ------------------------------------------------------------------ waiting
    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        arrival_s = self._coming[0][0] if self._coming else float("inf")
        due_s = min(arrival_s, self._talker.next_event_s, loop.time() + LONGEST_WAIT_S)
        self._waiting = loop.create_future()
        timer = loop.call_at(due_s, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
