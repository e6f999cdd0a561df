"""Emulator of TI's bq76952 at register level: its I2C target, with or without CRC, over the device in bq76952_core.

Written from the public register description alone and shared with no driver, so that it can find a driver's mistakes.
"""

from __future__ import annotations

import math

import numpy as np

from bms_daemon.sim.bq76952_adc import Adc, Faults
from bms_daemon.sim.bq76952_builds import BUILDS
from bms_daemon.sim.bq76952_core import Core
from bms_daemon.sim.bq76952_memory import BLOCK, DataMemory
from bms_daemon.sim.bq76952_status import ANSWERS, COMMANDS, WRITES, delay_s
from bms_daemon.sim.taps import Taps

WRITE_S = 200e-6  # after a checksum and length, the next subcommand is lost for so long
SUBCOMMAND, BUFFER, CHECKSUM, LENGTH = 0x3E, 0x40, 0x60, 0x61
_EDGE = 1e-9


def _crc_byte(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


_CRC = bytes(_crc_byte(value) for value in range(256))


def crc8(data: bytes) -> int:
    """Polynomial 0x07, initial value 0."""
    crc = 0
    for byte in data:
        crc = _CRC[crc ^ byte]
    return crc


class Bq76952:
    """Implements ``sim.taps.Chip``. ``faults`` spoils readings; ``trip``, ``power_on_reset``, ``power_down`` and
    ``power_up`` are the rest of the back door.

    ``shunt_mohm`` is the resistor on the board: a CC Gain that does not match it reads a wrong current. ``wiring``: bit
    mask of the cell inputs that the pack is soldered to (bit 0: VC1), by default the lowest ones. A chip is constructed
    freshly powered: POR is set and every setting at its default.
    """

    def __init__(
        self,
        taps: Taps,
        seed: int = 0,
        crc: bool = True,
        noise_v: float = 0.0004,
        noise_sense_v: float = 2e-6,
        shunt_mohm: float = 1.0,
        wiring: int | None = None,
        address: int = 0x08,
        fets: bool = False,
        part: str = "bq76952",
    ) -> None:
        build = BUILDS[part]
        adc = Adc(taps, build, shunt_mohm, noise_v, noise_sense_v, seed)
        adc.wire(wiring if wiring is not None else build.lowest(len(taps.cell_v)))
        adc.fets = fets
        self._taps = taps
        self._core = Core(taps, adc)
        self._crc = crc
        self._write_address = bytes([address << 1])
        self._read_address = bytes([address << 1 | 1])
        self._reset_wire()

    # ------------------------------------------------------------------ the back door
    @property
    def faults(self) -> Faults:
        return self._core.adc.faults

    def trip(self, a: int = 0, b: int = 0, c: int = 0, pf: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        """Hold these bits in Safety Status A, B, C and PF Status A..D until the next call; FETs follow."""
        self._core.trip((a, b, c), pf)

    def power_on_reset(self, watchdog: bool = False) -> None:
        """Reset now: configuration lost, silent for the boot time. ``watchdog`` sets WD as well."""
        self._core.power_on_reset(watchdog)
        self._reset_wire()

    def power_down(self) -> None:
        """Brown-out: no answer, nothing driven, until ``power_up``."""
        self._core.power_down()

    def power_up(self) -> None:
        self._core.power_up()
        self._reset_wire()

    @property
    def balancing_mask(self) -> np.ndarray:
        """Which cells are being bled, bool (n,), by the inputs that they are soldered to."""
        found: np.ndarray = (self._core.balancer.mask >> self._core.adc.pins & 1).astype(bool)
        return found

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._core.advance(now_s)
        if now_s + _EDGE >= self._done_s:
            self._finish()

    @property
    def next_event_s(self) -> float:
        return min(self._core.next_s, self._done_s)

    @property
    def alert(self) -> bool:
        return self._core.alert

    def hold_off(self, off: bool) -> None:
        """Level of its CFETOFF and DFETOFF pins, where they are configured as such."""
        self._core.hold_off(off)

    @property
    def charge_allowed(self) -> bool:
        return self._core.charge_allowed

    @property
    def discharge_allowed(self) -> bool:
        return self._core.discharge_allowed

    def i2c_write(self, data: bytes) -> bool:
        """Register, then data, each byte followed by its CRC if that is on. With a wrong CRC nothing is executed."""
        if not self._core.answers:
            return False
        if not data:
            return True
        payload = self._checked(data) if self._crc else data[1:]
        if payload is None:
            return False
        self._core.heard()
        self._pointer = data[0]
        self._addressed = len(data) == 1
        if payload:
            self._store(data[0], payload)
        return True

    def i2c_read(self, count: int) -> bytes | None:
        if not self._core.answers:
            return None
        self._core.heard()
        if not self._crc:
            return self._fetch(count)
        data = self._fetch((count + 1) // 2)
        wire = bytearray(2 * len(data))
        wire[0::2] = data
        wire[1::2] = data.translate(_CRC)
        if data:
            head = self._write_address + self._last_register if self._addressed else b""
            wire[1] = crc8(head + self._read_address + data[:1])
        self._addressed = False
        return bytes(wire[:count])

    # ------------------------------------------------------------------ bytes
    def _reset_wire(self) -> None:
        self._pointer = 0
        self._addressed = False
        self._last_register = b"\0"
        self._subcommand = 0
        self._done_s = math.inf
        self._busy = False
        self._deaf_until_s = -math.inf

    def _checked(self, data: bytes) -> bytes | None:
        """The data bytes of a write whose CRCs hold; a byte without its CRC is not executed."""
        payload, codes = data[1::2], data[2::2]
        payload = payload[: len(codes)]
        if not payload:
            return b""
        first = crc8(self._write_address + data[:2])
        if codes[0] != first or codes[1:] != payload[1:].translate(_CRC):
            return None
        return payload

    def _fetch(self, count: int) -> bytes:
        start = self._pointer
        end = start + count
        self._last_register = bytes([start])
        if start < 0x3C and end > 0x3A:
            self._core.refresh_current()
        data = bytes(self._core.registers[start:end])
        if self._busy and start < LENGTH + 1 and end > SUBCOMMAND:
            data = bytes(0xFF if SUBCOMMAND <= start + k <= LENGTH else byte for k, byte in enumerate(data))
        self._pointer = end & 0xFF
        return data.ljust(count, b"\0")

    def _store(self, register: int, payload: bytes) -> None:
        end = register + len(payload)
        self._pointer = end & 0xFF
        registers = self._core.registers

        def word(at: int) -> int | None:
            offset = at - register
            return int.from_bytes(payload[offset : offset + 2], "little") if register <= at and end >= at + 2 else None

        if (subcommand := word(SUBCOMMAND)) is not None:
            self._begin(subcommand)
        first, last = max(register, BUFFER), min(end, CHECKSUM)
        if first < last:
            self._done_s, self._busy = math.inf, False
            registers[first:last] = payload[first - register : last - register]
        if (seal := word(CHECKSUM)) is not None:
            self._commit(seal & 0xFF, seal >> 8)
        if (bits := word(0x62)) is not None:
            self._core.clear_alarms(bits)
        if (bits := word(0x66)) is not None:
            self._core.enable_alarms(bits)

    # ------------------------------------------------------------------ subcommands
    def _begin(self, subcommand: int) -> None:
        self._busy = True
        self._subcommand = subcommand
        lost = self._core.now_s + _EDGE < self._deaf_until_s
        self._done_s = math.inf if lost else self._core.now_s + delay_s(subcommand)

    def _finish(self) -> None:
        """The chip has done the subcommand: effect or answer first, then the echo."""
        self._done_s, self._busy = math.inf, False
        core, subcommand = self._core, self._subcommand
        if subcommand in COMMANDS:
            COMMANDS[subcommand](core)
            if not core.answers:
                return
        core.registers[SUBCOMMAND:BUFFER] = subcommand.to_bytes(2, "little")
        if DataMemory.holds(subcommand):
            self._offer(core.memory.block(subcommand))
        elif subcommand in ANSWERS:
            self._offer(ANSWERS[subcommand](core))
        else:
            self._offer(b"")

    def _offer(self, data: bytes) -> None:
        registers = self._core.registers
        registers[BUFFER:CHECKSUM] = data.ljust(BLOCK, b"\0")
        registers[CHECKSUM] = self._sum(data)
        registers[LENGTH] = len(data) + 4 if data else 0

    def _sum(self, data: bytes) -> int:
        return ~(sum(self._subcommand.to_bytes(2, "little")) + sum(data)) & 0xFF

    def _commit(self, checksum: int, length: int) -> None:
        """Checksum and length have arrived together: execute the write when they hold."""
        core = self._core
        data = bytes(core.registers[BUFFER : BUFFER + max(0, length - 4)])
        if not 0 < len(data) <= BLOCK or checksum != self._sum(data):
            return
        self._deaf_until_s = core.now_s + WRITE_S
        if self._subcommand in WRITES:
            WRITES[self._subcommand](core, data)
        elif DataMemory.holds(self._subcommand) and core.configuring:
            core.memory.write(self._subcommand, data)
