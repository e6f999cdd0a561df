"""A sensor's frames through a socket, as linux/can.h has them: a pair of sockets stands for the interface."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from bms_daemon.sim.can_port import SimCanPort
from bms_daemon.sim.rig.can_node import CanNode


def frame(frame_id: int, data: bytes) -> bytes:
    return struct.pack("=IB3x8s", frame_id, len(data), data)


class Beat:
    """Says 0x521 every 5 ms, and once what it has heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.next_event_s = 0.0

    def advance(self, now_s: float) -> list[tuple[int, bytes]]:
        due, self.next_event_s = now_s >= self.next_event_s, max(self.next_event_s, now_s + 0.005)
        return [(0x521, b"\x00\x01\x02")] if due else []

    def hear(self, frame_id: int, data: bytes) -> None:
        self.heard.append((frame_id, data))


async def heard(wire: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(wire, 64), 5.0)


@pytest.mark.parametrize("size", [0, 8])
def test_frames_go_both_ways_and_come_back_with_the_interface(size: int) -> None:
    async def main() -> None:
        talker = Beat()
        port = SimCanPort(talker, lambda now_s: None)
        raw, wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with raw, wire:
            raw.setblocking(False)
            wire.setblocking(False)
            node = asyncio.ensure_future(CanNode(port, "can1").carry(raw))
            assert await heard(wire) == frame(0x521, b"\x00\x01\x02")
            for frame_id in (0x80000411, 0x40000411, 0x20000004, 0x411):
                wire.send(frame(frame_id, bytes(range(size))))
            while not talker.heard:
                await heard(wire)
            assert talker.heard == [(0x411, bytes(range(size)))]
            port.unplug()
            wire.send(frame(0x412, b""))
            await asyncio.sleep(0.02)
            port.plug()
            while await heard(wire) != frame(0x521, b"\x00\x01\x02"):
                pass
            assert len(talker.heard) == 1
            node.cancel()
            await asyncio.gather(node, return_exceptions=True)

    asyncio.run(main())
