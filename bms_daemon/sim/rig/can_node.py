"""A sensor's frames on a real CAN interface: what it says goes out there, and what others say it hears."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from bms_daemon.model import BusFault
from bms_daemon.sim.can_port import SimCanPort

UNPLUGGED_S = 0.05
_FRAME = struct.Struct("=IB3x8s")  # linux/can.h: identifier, length, data
_STANDARD = 0x7FF  # identifiers beyond have 29 bits, or are no data frames


class CanNode:
    """Serves ``port`` on the interface ``channel``. What finds no room there is lost, as without a mailbox."""

    def __init__(self, port: SimCanPort, channel: str) -> None:
        self._port, self._channel = port, channel

    async def run(self) -> None:
        """Until cancelled. Raises OSError where there is no such interface."""
        with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as raw:
            raw.bind((self._channel,))
            raw.setblocking(False)
            await self.carry(raw)

    async def carry(self, raw: socket.socket) -> None:
        """Both directions of an open socket, until cancelled."""
        await asyncio.gather(self._say(raw), self._hear(raw))

    async def _say(self, raw: socket.socket) -> None:
        while True:
            try:
                for frame_id, data in await self._port.receive():
                    with contextlib.suppress(OSError):
                        raw.send(_FRAME.pack(frame_id, len(data), data))
            except BusFault:
                await asyncio.sleep(UNPLUGGED_S)

    async def _hear(self, raw: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            frame_id, length, data = _FRAME.unpack(await loop.sock_recv(raw, _FRAME.size))
            if frame_id <= _STANDARD:
                with contextlib.suppress(BusFault):
                    await self._port.send(frame_id, data[:length])
