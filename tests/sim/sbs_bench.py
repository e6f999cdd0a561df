"""A host on the bench for the smart battery emulator's tests: frames and PEC written from the standard alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.sbs import SmartBattery


@dataclass
class Pins:
    """Taps that a test sets by hand."""

    cell_v: FloatArray = field(default_factory=lambda: np.full(4, 3.0))
    stack_v: float = 12.0
    pack_v: float = 11.9
    link_v: float = 0.0
    current_a: float = -1.0
    probe_degc: FloatArray = field(default_factory=lambda: np.array([25.0]))
    die_degc: float = 40.0


def crc8(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107 if crc & 0x80 else crc << 1) & 0x1FF
    return crc


class Bench:
    """The battery, its pins and the time: 4 cells at 3.7 V, 5 Ah at 60 %, unless told otherwise."""

    def __init__(self, cell_v: float = 3.7, cells: int = 4, told: int | None = None, **settings: Any) -> None:
        self.pins = Pins(cell_v=np.full(cells, cell_v), stack_v=cells * cell_v)
        self.battery = SmartBattery(self.pins, 1, cells=told, **{"capacity_ah": 5.0, "soc": 0.6} | settings)
        self.pec = bool(settings.get("pec", True))
        self.now_s = 100.0
        self.battery.advance(self.now_s)

    def wait(self, seconds: float, step_s: float = 0.05) -> None:
        """Advance as a world does: never past an event of the battery."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            event_s = self.battery.next_event_s
            due_s = event_s if event_s > self.now_s else end_s
            self.now_s = min(end_s, due_s, self.now_s + step_s)
            self.battery.advance(self.now_s)

    def cells(self, *cell_v: float) -> None:
        """Other cell voltages, seen by the next measurement at the latest."""
        self.pins.cell_v = np.array(cell_v)
        self.wait(1.0)

    def read(self, command: int, size: int) -> bytes:
        """Data of an answer, its PEC checked."""
        assert self.battery.i2c_write(bytes([command]))
        raw = self.battery.i2c_read(size + self.pec)
        assert raw is not None
        if self.pec:
            assert raw[size] == crc8(bytes([0x16, command, 0x17]) + raw[:size])
        return raw[:size]

    def u16(self, command: int) -> int:
        return int.from_bytes(self.read(command, 2), "little")

    def i16(self, command: int) -> int:
        return int.from_bytes(self.read(command, 2), "little", signed=True)

    def block(self, command: int) -> bytes:
        """As a host reads it that does not know the length: the length first, then everything."""
        assert self.battery.i2c_write(bytes([command]))
        head = self.battery.i2c_read(1)
        assert head is not None
        return self.read(command, 1 + head[0])[1:]

    def write(self, command: int, word: int) -> bool:
        frame = bytes([command]) + (word & 0xFFFF).to_bytes(2, "little")
        return self.battery.i2c_write(frame + bytes([crc8(b"\x16" + frame)]) if self.pec else frame)

    @property
    def allowed(self) -> tuple[bool, bool]:
        return self.battery.conducts
