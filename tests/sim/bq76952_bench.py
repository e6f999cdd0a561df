"""A host on the bench for the bq76952 emulator's tests: frames and CRC written from the data sheet alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.bq76952 import Bq76952


@dataclass
class Pins:
    """Taps that a test sets by hand."""

    cell_v: FloatArray = field(default_factory=lambda: np.full(16, 3.3))
    stack_v: float = 52.8
    pack_v: float = 52.7
    link_v: float = 12.0
    current_a: float = 0.0
    probe_degc: FloatArray = field(default_factory=lambda: np.array([20.0, 30.0]))
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
    """The emulator, its pins and the time. Cells read without noise unless a test asks for it."""

    def __init__(self, shunt_mohm: float = 1.0, noise_v: float = 0.0, seed: int = 0, cells: int = 16) -> None:
        self.pins = Pins(cell_v=np.full(cells, 3.3))
        self.chip = Bq76952(self.pins, seed=seed, noise_v=noise_v, noise_sense_v=0.0, shunt_mohm=shunt_mohm)
        self.now_s = 0.0

    def wait(self, seconds: float, step_s: float = 0.02) -> None:
        """Advance as a world does: never past an event of the chip."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            event_s = self.chip.next_event_s
            due_s = event_s if event_s > self.now_s else end_s
            self.now_s = min(end_s, due_s, self.now_s + step_s)
            self.chip.advance(self.now_s)

    @property
    def bled(self) -> int:
        """Cells that are bled, bit 0: the first."""
        return sum(1 << int(cell) for cell in np.flatnonzero(self.chip.balancing_mask))

    def write(self, register: int, data: bytes) -> bool:
        frame = bytes([register])
        for k, byte in enumerate(data):
            frame += bytes([byte, crc8(bytes([0x10, register, byte]) if k == 0 else bytes([byte]))])
        return self.chip.i2c_write(frame)

    def read(self, register: int, count: int) -> bytes:
        assert self.chip.i2c_write(bytes([register]))
        wire = self.chip.i2c_read(2 * count)
        assert wire is not None
        data = wire[0::2]
        first = crc8(bytes([0x10, register, 0x11, data[0]]))
        assert wire[1::2] == bytes([first, *(crc8(bytes([byte])) for byte in data[1:])])
        return data

    def u8(self, register: int) -> int:
        return self.read(register, 1)[0]

    def u16(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), "little")

    def i16(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), "little", signed=True)

    def cells(self) -> list[int]:
        return list(struct.unpack("<16h", self.read(0x14, 32)))

    def command(self, subcommand: int, wait_s: float = 0.01) -> None:
        assert self.write(0x3E, subcommand.to_bytes(2, "little"))
        self.wait(wait_s)

    def ask(self, subcommand: int) -> bytes:
        """A subcommand's answer, its checksum and length checked."""
        self.command(subcommand)
        assert self.u16(0x3E) == subcommand
        length = self.u8(0x61)
        data = self.read(0x40, length - 4) if length > 4 else b""
        assert self.u8(0x60) == ~(sum(subcommand.to_bytes(2, "little")) + sum(data)) & 0xFF
        return data

    def send(self, address: int, data: bytes) -> None:
        """A data write: address, data, then checksum and length together."""
        head = address.to_bytes(2, "little")
        assert self.write(0x3E, head + data)
        assert self.write(0x60, bytes([~(sum(head) + sum(data)) & 0xFF, len(data) + 4]))
        self.wait(0.0005)

    def configure(self, settings: dict[int, bytes]) -> None:
        """Write data memory, inside CONFIG_UPDATE."""
        self.command(0x0090)
        for address, data in settings.items():
            self.send(address, data)
        self.command(0x0092)

    def drive(self, settings: dict[int, bytes] | None = None) -> None:
        """Both FETs on, outputs and ALERT on their pins, SLEEP off, no protection but those in ``settings``."""
        pins = {0x92FC: b"\x02", 0x9301: b"\x02", 0x9302: b"\x02", 0x9234: b"\x82\x28", 0x9261: b"\0\0\0"}
        self.configure(pins | (settings or {}))
        self.command(0x0022)
        self.command(0x0096)

    @property
    def allowed(self) -> tuple[bool, bool]:
        return self.chip.charge_allowed, self.chip.discharge_allowed

    def time_until(self, register: int, mask: int, limit_s: float = 20.0) -> float:
        """Seconds until a bit is set; 1 ms resolution."""
        start_s = self.now_s
        while not self.u8(register) & mask:
            self.wait(0.001)
            assert self.now_s - start_s < limit_s, "never set"
        return self.now_s - start_s
