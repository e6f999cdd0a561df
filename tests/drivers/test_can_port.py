"""A sensor's port on CAN: frames in order, a flood that is cut, an interface that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from bms_daemon.buses.can import CanBus, Frame
from bms_daemon.buses.can_port import MOST_FRAMES, SensorPort
from bms_daemon.model import BusFault


class FakeBus:
    """``CanBus`` at what the port uses of it."""

    def __init__(self) -> None:
        self.state = "active"
        self.sent: list[Frame] = []
        self.closed = False
        self.on_frame: Callable[[int, bytes, float], None] = lambda frame_id, data, now_s: None

    def start(self, on_frame: Callable[[int, bytes, float], None]) -> None:
        self.on_frame = on_frame

    def send(self, frames: Any) -> int:
        self.sent += frames
        return 1

    def close(self) -> None:
        self.closed = True


def test_frames_come_together_and_in_order_and_go_out() -> None:
    async def main() -> None:
        bus = FakeBus()
        port = SensorPort(cast(CanBus, bus), "can1")
        asyncio.get_running_loop().call_later(0.01, lambda: [bus.on_frame(n, bytes((n,)), 0.0) for n in (1, 2)])
        assert await port.receive() == [(1, b"\x01"), (2, b"\x02")]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(port.receive(), 0.02)
        await port.send(0x411, b"\x34")
        assert bus.sent == [(0x411, b"\x34")]
        port.close()
        assert bus.closed

    asyncio.run(main())


def test_a_flood_keeps_the_newest() -> None:
    async def main() -> None:
        bus = FakeBus()
        port = SensorPort(cast(CanBus, bus), "can1")
        for n in range(3 * MOST_FRAMES):
            bus.on_frame(1, n.to_bytes(2, "big"), 0.0)
        frames = await port.receive()
        assert len(frames) == MOST_FRAMES
        assert frames[-1] == (1, (3 * MOST_FRAMES - 1).to_bytes(2, "big"))

    asyncio.run(main())


def test_a_lost_interface_is_gone() -> None:
    async def main() -> None:
        bus = FakeBus()
        port = SensorPort(cast(CanBus, bus), "can1")
        bus.state = "gone"
        with pytest.raises(BusFault, match="can1"):
            await port.receive()
        with pytest.raises(BusFault, match="can1"):
            await port.send(1, b"")

    asyncio.run(main())
