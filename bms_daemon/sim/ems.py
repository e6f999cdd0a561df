"""An energy manager on the other end of the bus, written from dbc/bms.dbc alone: it closes the pack and obeys limits.

It shares no code with the daemon's CAN part, so that the two can contradict each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import can
import cantools
from cantools.database.can import Database

PERIOD_S = 0.1
SILENT_S = 0.3  # without limit frames for this long: 0 A
ASK_AFTER_S = 1.0
COUNTERS = 15


def j1850(data: bytes) -> int:
    """CRC-8 SAE J1850, bit by bit: polynomial 0x1D, initial value and final XOR 0xFF."""
    register = 0xFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register << 1) ^ 0x1D if register & 0x80 else register << 1
            register &= 0xFF
    return register ^ 0xFF


class EnergyManager:
    """Asks for "open" until the pack stands by, then for "close"; after a fault it starts again."""

    def __init__(self, interface: str, channel: str, id_offset: int = 0) -> None:
        text = files("bms_daemon").joinpath("data", "dbc", "bms.dbc").read_text(encoding="utf-8")
        database = cantools.database.load_string(text, "dbc")
        assert isinstance(database, Database)
        self._bus = can.Bus(interface=interface, channel=channel, ignore_config=True)
        self._offset = id_offset
        self._messages = {message.frame_id + id_offset: message for message in database.messages}
        self._request = database.get_message_by_name("VCU_Request")
        self.on_limits: Callable[[float, float], None] = lambda charge_a, discharge_a: None
        self.state = "SAFE"
        self.refused = 0
        self._counter = 0
        self._limits_s = float("-inf")
        self._standby_s = float("inf")

    async def run(self) -> None:
        """One look and one frame every 100 ms."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._listen(loop.time())
                self._speak(loop.time())
                await asyncio.sleep(PERIOD_S)
        finally:
            self._bus.shutdown()

    def _listen(self, now_s: float) -> None:
        while (frame := self._bus.recv(0)) is not None:
            message = self._messages.get(frame.arbitration_id)
            if message is not None and message.name in ("BMS_State", "BMS_Limits"):
                self._take(message, bytes(frame.data), now_s)
        if now_s - self._limits_s > SILENT_S:
            self.on_limits(0.0, 0.0)

    def _take(self, message: Any, data: bytes, now_s: float) -> None:
        if data[0] != j1850(self._data_id(message) + data[1:]):
            self.refused += 1
            return
        signals = message.decode(data)
        if message.name == "BMS_Limits":
            self._limits_s = now_s
            self.on_limits(_number(signals["ChargeCurrent"]), _number(signals["DischargeCurrent"]))
        elif str(signals["PackState"]) != self.state:
            self.state = str(signals["PackState"])
            self._standby_s = now_s if self.state.upper() == "STANDBY" else float("inf")

    def _speak(self, now_s: float) -> None:
        running = self.state.upper() in ("PRECHARGE", "CLOSED")
        close = running or now_s - self._standby_s >= ASK_AFTER_S
        fields = {"Crc": 0, "Counter": self._counter, "Request": 2 if close else 1, "Moving": 0, "ChargerPresent": 0}
        data = bytearray(self._request.encode(fields))
        data[0] = j1850(self._data_id(self._request) + bytes(data[1:]))
        self._counter = (self._counter + 1) % COUNTERS
        identifier = self._request.frame_id + self._offset
        self._bus.send(can.Message(arbitration_id=identifier, data=data, is_extended_id=False))

    def _data_id(self, message: Any) -> bytes:
        """Low byte, then high byte of the message's data id, raised by the node's offset."""
        number = int(message.dbc.attributes["E2EDataId"].value) + self._offset
        return number.to_bytes(2, "little")


def _number(value: Any) -> float:
    """A signal that is not available allows nothing."""
    return float(value) if isinstance(value, (int, float)) else 0.0
