"""A sensor's frames on a CAN bus: those that the filter lets through, one reader."""

from __future__ import annotations

import asyncio

from bms_daemon.buses.can import CanBus, Frame
from bms_daemon.model import BusFault

MOST_FRAMES = 256  # that wait for a reader; older ones say what is no longer true


class SensorPort:
    """Implements ``ports.CanPort`` on a bus of its own, which may share its interface with others."""

    def __init__(self, bus: CanBus, name: str) -> None:
        self._bus, self._name = bus, name
        self._frames: list[Frame] = []
        self._some = asyncio.Event()
        bus.start(self._take)

    async def receive(self) -> list[Frame]:
        """See ``ports.CanPort``."""
        self._require_bus()
        await self._some.wait()
        self._some.clear()
        frames, self._frames = self._frames, []
        return frames

    async def send(self, frame_id: int, data: bytes) -> None:
        """What finds no room goes out with the next one."""
        self._require_bus()
        self._bus.send([(frame_id, data)])

    def close(self) -> None:
        self._bus.close()

    def _take(self, frame_id: int, data: bytes, now_s: float) -> None:
        self._frames.append((frame_id, data))
        del self._frames[:-MOST_FRAMES]
        self._some.set()

    def _require_bus(self) -> None:
        if self._bus.state == "gone":
            raise BusFault("gone", f"{self._name}: no such interface, or it is down")
