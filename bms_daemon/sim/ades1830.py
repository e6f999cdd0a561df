"""Emulator of a daisy chain of ADES1830 at register level: commands that are counted, two converters a cell, flags.

Written from public tables alone and shared with no driver, so that it can find a driver's mistakes. What is not
published is said in ades1830_adc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bms_daemon.sim.ades1830_adc import AUX_S, BOTH_S, CELL_S, CELLS, CLEARED, AdesFaults, Registers
from bms_daemon.sim.ades1830_pec import behind, pec10
from bms_daemon.sim.isospi import IsoSpiChain
from bms_daemon.sim.isospi_inputs import Wiring
from bms_daemon.sim.taps import Taps

WORDS = {
    0x0004: ("first", 0), 0x0006: ("first", 3), 0x0008: ("first", 6), 0x000A: ("first", 9), 0x0009: ("first", 12),
    0x000B: ("first", 15),
    0x0003: ("second", 0), 0x0005: ("second", 3), 0x0007: ("second", 6), 0x000D: ("second", 9),
    0x000E: ("second", 12), 0x000F: ("second", 15),
    0x0019: ("pins", 0), 0x001A: ("pins", 3), 0x001B: ("pins", 6), 0x001F: ("pins", 9),
    0x0030: ("status", 0), 0x0031: ("status", 3),
}  # fmt: skip
"""Registers and their first word by command."""
WRITES = {0x0001: 0, 0x0024: 6}
PIN_LEVELS = 0x55  # what the pins' bits read, whatever was written
_Match = tuple[int, int, Callable[["Ades1830Chain", int, np.ndarray, float], None]]


class Ades1830Chain(IsoSpiChain):
    """A chain of ADES1830."""

    wake_s = 0.0005
    _registers: Registers

    def __init__(self, taps: Taps, wiring: Wiring) -> None:
        faults = AdesFaults()
        self._make = partial(Registers, taps, faults, wiring)
        super().__init__(len(wiring.cells), faults)

    def _new_registers(self) -> Registers:
        return self._make()

    def _forget(self, devices: np.ndarray) -> None:
        self._registers.forget(devices)

    # ------------------------------------------------------------------ commands
    def _obey(self, command: int, data: bytes, heard: int, now_s: float, answer: bytearray) -> None:
        group = self._group(command)
        if group is not None:
            self._say(group[:heard], behind(group[:heard], self._registers.counter[:heard]), answer)
            return
        listening = self._listening(heard)
        if command in WRITES or command == 0x0717:
            self._take(command, data, listening)
        elif command == 0x002E:
            self._registers.counter[listening] = 0
        else:
            self._count(listening)
            match = next((each for each in COMMANDS if command & each[0] == each[1]), None)
            if match is not None:
                match[2](self, command, listening, now_s)

    def _listening(self, heard: int) -> np.ndarray:
        """bool (devices,)."""
        listening = np.arange(self._devices) < heard
        for device, commands in self.faults.deaf.items():
            if commands > 0:
                self.faults.deaf[device] -= 1
                listening[device] = False
        return listening

    def _count(self, devices: np.ndarray) -> None:
        self._registers.counter[devices] = self._registers.counter[devices] % 63 + 1

    def _take(self, command: int, data: bytes, listening: np.ndarray) -> None:
        """A group with a wrong code is neither taken nor counted."""
        for device, group, code in self._groups(data, self._devices):
            if listening[device] and int.from_bytes(code, "big") == pec10(group):
                self._count(np.arange(self._devices) == device)
                self._store(command, device, np.frombuffer(group, dtype=np.uint8))

    def _store(self, command: int, device: int, group: np.ndarray) -> None:
        registers = self._registers
        if command in WRITES:
            at = WRITES[command]
            registers.configuration[device, at : at + 6] = group
            return
        registers.flags[device] &= ~(int(group[4]) | int(group[5]) << 8) & 0xFFFF
        registers.apart[device] &= np.unpackbits(group[:2], bitorder="little") == 0

    def _adcv(self, command: int, devices: np.ndarray, now_s: float) -> None:
        registers, both, permitted = self._registers, bool(command & 0x100), bool(command & 0x10)
        registers.start(
            now_s, BOTH_S if both else CELL_S, "cells", lambda: registers.convert_cells(devices, both, permitted)
        )

    def _adsv(self, command: int, devices: np.ndarray, now_s: float) -> None:
        registers = self._registers
        registers.start(now_s, BOTH_S, "second", lambda: registers.convert_second(devices, registers.cells_v()))

    def _adax(self, command: int, devices: np.ndarray, now_s: float) -> None:
        registers = self._registers
        registers.start(now_s, AUX_S, "pins", lambda: registers.convert_pins(devices))

    def _clear_cells(self, command: int, devices: np.ndarray, now_s: float) -> None:
        self._registers.first[devices] = CLEARED

    def _clear_pins(self, command: int, devices: np.ndarray, now_s: float) -> None:
        self._registers.pins[devices] = CLEARED

    # ------------------------------------------------------------------ groups
    def _group(self, command: int) -> np.ndarray | None:
        """uint8 (devices, 6); None for what is not read."""
        registers = self._registers
        if command in WORDS:
            name, first = WORDS[command]
            words = np.ascontiguousarray(getattr(registers, name)[:, first : first + 3])
            return words.astype("<i2").view(np.uint8)
        group = {0x0002: self._cfga, 0x0026: self._cfgb, 0x0032: self._statc, 0x0033: self._statd}.get(command)
        return None if group is None else group()

    def _cfga(self) -> np.ndarray:
        group = self._registers.configuration[:, :6].copy()
        group[:, 3], group[:, 4] = PIN_LEVELS, PIN_LEVELS & 0x03
        return group

    def _cfgb(self) -> np.ndarray:
        return self._registers.configuration[:, 6:]

    def _statc(self) -> np.ndarray:
        registers = self._registers
        flags = registers.flags.copy()
        for device, bits in self.faults.flags.items():
            flags[device] |= bits
        group = np.zeros((self._devices, 6), dtype=np.uint8)
        group[:, :2] = np.packbits(registers.apart, axis=1, bitorder="little")
        group[:, 4], group[:, 5] = flags & 0xFF, flags >> 8
        return group

    def _statd(self) -> np.ndarray:
        registers = self._registers
        bits = np.zeros((self._devices, 2 * CELLS), dtype=np.uint8)
        bits[:, 0::2], bits[:, 1::2] = registers.under, registers.over
        group = np.zeros((self._devices, 6), dtype=np.uint8)
        group[:, :4] = np.packbits(bits, axis=1, bitorder="little")
        group[:, 5] = 0x40
        return group


COMMANDS: tuple[_Match, ...] = (
    (0x7FF, 0x711, Ades1830Chain._clear_cells),
    (0x7FF, 0x712, Ades1830Chain._clear_pins),
    (0x668, 0x260, Ades1830Chain._adcv),
    (0x76C, 0x168, Ades1830Chain._adsv),
    (0x630, 0x410, Ades1830Chain._adax),
)
"""Bits that count, what they must be, and what follows."""
