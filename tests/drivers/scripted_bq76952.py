"""A bq76952 as a script of registers: it keeps what is written, answers subcommands, and can be told to misbehave."""

from __future__ import annotations

import struct

from bms_daemon.model import BusFault

ADDRESS = 0x08


def crc8_bitwise(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


class ScriptedChip:
    """Implements ByteBus for one address. ``faults`` are raised one a transfer, None lets one pass."""

    def __init__(self, crc: bool = False) -> None:
        self.crc = crc
        self.registers = bytearray(256)
        self.memory = bytearray(0x10000)
        self.faults: list[BusFault | None] = []
        self.commands: list[int] = []
        self.stored: dict[int, bytes] = {}
        self.reads: list[tuple[int, int]] = []
        self.alarm_writes: list[bytes] = []
        self.stubborn: set[int] = set()
        self.device_numbers = [0x7695]
        self.fet_en = False
        self.obeys_fets = True
        self.registers[0x12] = 0x08  # POR

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        assert address == ADDRESS
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        register, data = write[0], write[1:]
        if data:
            self._write(register, self._stripped(register, data) if self.crc else data)
        return self._read(register, read_len)

    def close(self) -> None: ...

    def put_words(self, register: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}h", self.registers, register, *words)

    @property
    def in_config_update(self) -> bool:
        return bool(self.registers[0x12] & 0x01)

    def _stripped(self, register: int, data: bytes) -> bytes:
        assert data[1] == crc8_bitwise(bytes((ADDRESS << 1, register, data[0])))
        assert all(data[i + 1] == crc8_bitwise(data[i : i + 1]) for i in range(2, len(data), 2))
        return data[0::2]

    def _read(self, register: int, read_len: int) -> bytes:
        if not read_len:
            return b""
        if not self.crc:
            self.reads.append((register, read_len))
            return bytes(self.registers[register : register + read_len])
        data = self.registers[register : register + read_len // 2]
        out = bytearray()
        for index, byte in enumerate(data):
            covered = bytes((byte,))
            if index == 0:
                covered = bytes((ADDRESS << 1, register, ADDRESS << 1 | 1, byte))
            out += bytes((byte, crc8_bitwise(covered)))
        return bytes(out)

    def _write(self, register: int, data: bytes) -> None:
        if register == 0x62:
            self.alarm_writes.append(data)
            self.registers[0x62] &= ~data[0] & 0xFF
            self.registers[0x63] &= ~data[1] & 0xFF
        elif register == 0x60:
            self._commit(*data)
        else:
            self.registers[register : register + len(data)] = data
            if register == 0x3E and len(data) == 2:
                self._command(int.from_bytes(data, "little"))

    def _command(self, code: int) -> None:
        self.commands.append(code)
        if code == 0x0090:
            self.registers[0x12] |= 0x01
        elif code == 0x0092:
            self.registers[0x12] &= 0xF6
        elif code == 0x0022:
            self.fet_en = not self.fet_en
        elif code == 0x0001:
            number = self.device_numbers.pop(0) if len(self.device_numbers) > 1 else self.device_numbers[0]
            self._answer(code, number.to_bytes(2, "little"))
        elif code == 0x0057:
            self._answer(code, bytes((0x10 if self.fet_en else 0, 0)))
        elif code >= 0x9000:
            self._answer(code, bytes(self.memory[code : code + 32]))

    def _answer(self, code: int, data: bytes) -> None:
        frame = code.to_bytes(2, "little") + data
        self.registers[0x40:0x60] = data.ljust(32, b"\0")
        self.registers[0x60] = ~sum(frame) & 0xFF
        self.registers[0x61] = len(data) + 4

    def _commit(self, checksum: int, length: int) -> None:
        frame = bytes(self.registers[0x3E : 0x3E + length - 2])
        assert checksum == ~sum(frame) & 0xFF
        code, data = int.from_bytes(frame[:2], "little"), frame[2:]
        self.stored[code] = data
        if code == 0x0097:
            self._force_fets(data[0])
        elif self.in_config_update and code not in self.stubborn:
            self.memory[code : code + len(data)] = data

    def _force_fets(self, off: int) -> None:
        if self.obeys_fets:
            charge = 0x01 if self.fet_en and not off & 0x04 else 0
            discharge = 0x04 if self.fet_en and not off & 0x01 else 0
            self.registers[0x7F] = charge | discharge
