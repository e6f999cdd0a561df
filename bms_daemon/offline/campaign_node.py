"""A second node on the campaign's CAN bus: speaks as a vehicle controller, listens as a charger.

Written from the comments in dbc/bms.dbc alone: it shares no table, CRC or counter with the daemon's own CAN part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import can

STATE_ID, LIMITS_ID, REQUEST_ID = 0x100, 0x101, 0x102
DATA_IDS = {STATE_ID: 0xB100, LIMITS_ID: 0xB101, REQUEST_ID: 0xB102}
PERIOD_S = 0.1
NONE, OPEN, CLOSE = 0, 1, 2
BUS_OFF = 0x40  # error class of linux/can/error.h


def crc8(data: bytes) -> int:
    """CRC-8 SAE J1850, bit by bit: polynomial 0x1D, initial value and final XOR 0xFF."""
    crc = 0xFF
    for byte in data:
        for bit in range(7, -1, -1):
            out = crc >> 7 ^ byte >> bit & 1
            crc = crc << 1 & 0xFF
            if out:
                crc ^= 0x1D
    return crc ^ 0xFF


def sealed(frame_id: int, counter: int, payload: bytes) -> bytes:
    """Eight bytes: CRC, counter in the low half of byte 1, and seven bytes of payload or-ed in from byte 1."""
    body = bytes([payload[0] | counter, *payload[1:]])
    return bytes([crc8(DATA_IDS[frame_id].to_bytes(2, "little") + body)]) + body


@dataclass(frozen=True, slots=True)
class Heard:
    """One pair of limits, or a state, with the time at which it was on the bus. NaN: not in this frame."""

    time_s: float
    charge_a: float = float("nan")
    discharge_a: float = float("nan")
    open_pending: bool = False
    main_closed: bool = False


class Node:
    """``speak`` every 100 ms; ``listen`` takes what is on the bus now. ``obey`` is told every pair of limits."""

    def __init__(self, channel: str) -> None:
        self.request, self.moving = NONE, False
        self.silent, self.wrong_crc = False, False
        self.limits: list[Heard] = []
        self.states: list[Heard] = []
        self.refused = 0
        self.obey: Callable[[float, float], None] | None = None
        self._bus = can.Bus(interface="virtual", channel=channel, ignore_config=True)
        self._counter = 0

    def speak(self) -> None:
        """One VCU_Request: counter 0 to 14, request in the high half of byte 1, moving in the low bits of byte 2."""
        payload = bytes([self.request << 4, int(self.moving), 0, 0, 0, 0, 0])
        data = bytearray(sealed(REQUEST_ID, self._counter, payload))
        data[0] ^= 0xFF if self.wrong_crc else 0
        self._counter = (self._counter + 1) % 15
        self._bus.send(can.Message(arbitration_id=REQUEST_ID, data=data, is_extended_id=False))

    async def run(self, start_s: float = 0.0) -> None:
        """Speak for ever, unless told to be silent."""
        await asyncio.sleep(start_s)
        while True:
            if not self.silent:
                self.speak()
            await asyncio.sleep(PERIOD_S)

    def bus_off(self) -> None:
        """The controllers' error frame: this bus is off."""
        self._bus.send(can.Message(arbitration_id=BUS_OFF, data=bytes(8), is_error_frame=True, is_extended_id=False))

    def listen(self, now_s: float) -> None:
        """Take every frame that is on the bus now; those with a wrong CRC are counted and dropped."""
        while (message := self._bus.recv(0)) is not None:
            if message.arbitration_id in (STATE_ID, LIMITS_ID):
                self._take(message.arbitration_id, bytes(message.data), now_s)

    def _take(self, frame_id: int, data: bytes, now_s: float) -> None:
        if data[0] != crc8(DATA_IDS[frame_id].to_bytes(2, "little") + data[1:]):
            self.refused += 1
        elif frame_id == STATE_ID:
            self.states.append(Heard(now_s, open_pending=bool(data[4] & 1), main_closed=data[3] & 3 == 1))
        else:
            charge_a, discharge_a = (int.from_bytes(data[at : at + 2], "little") * 0.1 for at in (3, 5))
            self.limits.append(Heard(now_s, charge_a, discharge_a))
            if self.obey is not None:
                self.obey(charge_a, discharge_a)

    def close(self) -> None:
        self._bus.shutdown()
