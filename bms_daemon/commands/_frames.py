"""A second node on the demo's CAN bus: listens, and shows the newest frame of every message, decoded by cantools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import can
from cantools.database import DecodeError
from cantools.database.can import Message

from bms_daemon.can.database import load
from bms_daemon.config.schema import Can

LISTEN_S = 1.05  # every cyclic frame comes once a second or more often
FIRST = ("BMS_Limits", "BMS_State", "BMS_Pack", "VCU_Request", "BMS_MinMax", "BMS_Soc", "BMS_Cells", "BMS_TempMinMax")
SIGNALS = {
    "BMS_State": ("PackState", "WorstReaction", "MainState", "PrechargeState"),
    "BMS_Limits": ("ChargeCurrent", "DischargeCurrent", "ChargeBinding", "DischargeBinding"),
    "BMS_Pack": ("PackVoltage", "LinkVoltage", "Current"),
    "BMS_MinMax": ("MinCellVoltage", "MinCellNumber", "MaxCellVoltage", "MaxCellNumber"),
    "BMS_Soc": ("Soc", "SocSigma", "ShuntCurrent"),
    "BMS_FaultList": ("Code", "Reaction", "Where", "Age"),
}
HIDDEN = frozenset({"Crc", "Counter", "Row", "Index"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """One frame: identifier, payload, name and its most telling signals as text."""

    frame_id: int
    data: bytes
    name: str
    text: str


class FrameTap:
    """Listens for ``LISTEN_S`` after each ``open``; away from the bus otherwise, so that a fast demo stays fast."""

    def __init__(self, settings: Can) -> None:
        self._settings = settings
        database = load(settings.id_offset)
        self._messages = {database.frame_id(name): message for name, message in database.messages.items()}
        self._newest: dict[int, bytes] = {}
        self._bus: can.BusABC | None = None
        self._until_s = self._heard_since_s = float("-inf")
        self._count = 0
        self.frames_per_s = 0.0

    def open(self, now_s: float) -> None:
        """Listen from now on, for a while."""
        if self._settings.interface == "none":
            return
        self._until_s = now_s + LISTEN_S
        if self._bus is None:
            self._bus = can.Bus(interface=self._settings.interface, channel=self._settings.channel, ignore_config=True)
            self._count, self._heard_since_s = 0, now_s

    def listen(self, now_s: float) -> None:
        """Take what has come; to be called every tick."""
        if self._bus is None:
            return
        while (frame := self._bus.recv(0)) is not None:
            self._count += 1
            if frame.arbitration_id in self._messages and not frame.is_error_frame:
                self._newest[frame.arbitration_id] = bytes(frame.data)
        if now_s - self._heard_since_s >= 1.0:
            self.frames_per_s = self._count / (now_s - self._heard_since_s)
            self._count, self._heard_since_s = 0, now_s
        if now_s >= self._until_s:
            self.close()

    def close(self) -> None:
        if self._bus is not None:
            self._bus.shutdown()
            self._bus = None

    def decoded(self, count: int) -> list[Decoded]:
        """The newest frame of up to ``count`` messages, the most telling messages first."""
        wanted = sorted(self._newest, key=lambda frame_id: _rank(self._messages[frame_id].name, frame_id))
        return [_decoded(frame_id, self._newest[frame_id], self._messages[frame_id]) for frame_id in wanted[:count]]


def _rank(name: str, frame_id: int) -> tuple[int, int]:
    return (FIRST.index(name) if name in FIRST else len(FIRST)), frame_id


def _decoded(frame_id: int, data: bytes, message: Message) -> Decoded:
    try:
        values = message.decode(data)
    except DecodeError as error:
        return Decoded(frame_id, data, message.name, f"not decoded: {error}")
    assert isinstance(values, dict)
    names = SIGNALS.get(message.name) or [name for name in values if name not in HIDDEN]
    shown = [_signal(message, name, values[name]) for name in names if name in values]
    return Decoded(frame_id, data, message.name, "  ".join(shown))


def _signal(message: Message, name: str, value: Any) -> str:
    unit = message.get_signal_by_name(name).unit or ""
    text = f"{value:g}" if isinstance(value, int | float) else str(value)
    return f"{name} {text}{' ' + unit if unit and isinstance(value, int | float) else ''}"
