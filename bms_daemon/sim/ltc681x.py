"""Emulator of a daisy chain of LTC681x at register level: wake-up, commands with their codes, registers, watchdog.

Written from public register descriptions alone and shared with no driver, so that it can find a driver's mistakes.
What is not published is said in ltc681x_parts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bms_daemon.sim.isospi import IsoSpiChain
from bms_daemon.sim.isospi_inputs import Wiring
from bms_daemon.sim.isospi_pec import pec, pecs
from bms_daemon.sim.ltc681x_adc import DIAGNOSE_S, EMPTY, ONE_PAIR, LtcFaults, Registers
from bms_daemon.sim.ltc681x_parts import CELL_S, PARTS, STAT_S
from bms_daemon.sim.taps import Taps

WRITES = {0x0001: 0, 0x0024: 6}
"""Where the groups stand in the configuration."""
_Match = tuple[int, int, Callable[["Ltc681xChain", int, float], None]]


class Ltc681xChain(IsoSpiChain):
    """A chain of devices of one part."""

    _registers: Registers

    def __init__(self, taps: Taps, wiring: Wiring, part: str = "ltc6811") -> None:
        faults = LtcFaults()
        self._part = PARTS[part]
        self._reads = self._part.reads
        self._pins_low = np.where(np.arange(self._part.delivered.size) == 0, 0xFD, 0xFF).astype(np.uint8)  # DTEN
        self._make = partial(Registers, self._part, taps, faults, wiring)
        super().__init__(len(wiring.cells), faults)

    def _new_registers(self) -> Registers:
        return self._make()

    def _forget(self, devices: np.ndarray) -> None:
        self._registers.configuration[devices] = self._part.delivered

    def switch_on(self, device: int, cell: int) -> None:
        """One of the first eight cells' switches turns itself on."""
        self._registers.configuration[device, 4] |= 1 << cell

    def _obey(self, command: int, data: bytes, heard: int, now_s: float, answer: bytearray) -> None:
        if command in self._reads:
            self._answer(command, heard, answer)
        elif command in WRITES:
            self._configure(WRITES[command], data, heard)
        elif command == 0x0714:
            answer[4:] = (b"\0" if self._registers.busy() else b"\xff") * (len(answer) - 4)
        else:
            match = next((each for each in COMMANDS if command & each[0] == each[1]), None)
            if match is not None:
                match[2](self, command, now_s)

    def _configure(self, at: int, data: bytes, heard: int) -> None:
        """A group with a wrong code is not taken."""
        held = self._registers.configuration[:, at : at + 6]
        if not held.size:
            return
        for device, group, code in self._groups(data, heard):
            if code == pec(group):
                held[device] = np.frombuffer(group, dtype=np.uint8)

    def _answer(self, command: int, heard: int, answer: bytearray) -> None:
        groups = self._group(command)[:heard]
        self._say(groups, pecs(groups), answer)

    def _group(self, command: int) -> np.ndarray:
        """uint8 (devices, 6)."""
        registers, (name, first) = self._registers, self._reads[command]
        if name == "configuration":
            return (registers.configuration & self._pins_low)[:, 2 * first : 2 * first + 6]
        if command == 0x0012:
            return self._flags()
        group = np.ascontiguousarray(getattr(registers, name)[:, first : first + 3]).astype("<u2").view(np.uint8)
        if command == 0x000F:
            group[:, 4:] = registers.flags()[:, 3:]
        return group

    def _flags(self) -> np.ndarray:
        registers = self._registers
        digital = np.ascontiguousarray(registers.status[:, 3:4]).astype("<u2").view(np.uint8)
        last = (0x10 | registers.mux_fail.astype(np.uint8) << 1 | registers.hot.astype(np.uint8))[:, None]
        registers.hot[:] = False
        return np.concatenate([digital, registers.flags()[:, :3], last], axis=1)

    # ------------------------------------------------------------------ commands
    def _adcv(self, command: int, now_s: float) -> None:
        mode, channel, permitted = command >> 7 & 3, command & 7, bool(command & 0x10)
        lasts_s = CELL_S[mode] * (ONE_PAIR if channel else 1.0)
        registers = self._registers
        registers.start(now_s, lasts_s, "cells", lambda: registers.convert_cells(permitted, channel))

    def _adow(self, command: int, now_s: float) -> None:
        registers, up = self._registers, bool(command & 0x40)
        registers.start(now_s, CELL_S[command >> 7 & 3], "cells", lambda: registers.convert_pulled(up))

    def _cvst(self, command: int, now_s: float) -> None:
        registers = self._registers
        self._pattern(command, now_s, CELL_S, "cells", registers.cells)

    def _axst(self, command: int, now_s: float) -> None:
        self._pattern(command, now_s, self._part.aux_s, "pins", self._registers.pins[:, : self._part.gpios + 1])

    def _statst(self, command: int, now_s: float) -> None:
        self._pattern(command, now_s, STAT_S, "status", self._registers.status)

    def _pattern(
        self, command: int, now_s: float, times_s: tuple[float, ...], converter: str, into: np.ndarray
    ) -> None:
        mode, test = command >> 7 & 3, command >> 5 & 3
        code = {1: (0x9555, 0x9565), 2: (0x6AAA, 0x6A9A)}[test][mode == 1]
        registers = self._registers
        registers.start(now_s, times_s[mode], converter, lambda: registers.pattern(into, code))

    def _adol(self, command: int, now_s: float) -> None:
        self._registers.start(now_s, CELL_S[command >> 7 & 3], "cells", self._registers.overlap)

    def _adax(self, command: int, now_s: float) -> None:
        self._registers.start(now_s, self._part.aux_s[command >> 7 & 3], "pins", self._registers.convert_pins)

    def _adaxd(self, command: int, now_s: float) -> None:
        lasts_s = 2.0 * self._part.aux_s[command >> 7 & 3]
        self._registers.start(now_s, lasts_s, "pins", self._registers.convert_pins_twice)

    def _adstat(self, command: int, now_s: float) -> None:
        self._registers.start(now_s, STAT_S[command >> 7 & 3], "status", self._registers.convert_status)

    def _diagn(self, command: int, now_s: float) -> None:
        self._registers.start(now_s, DIAGNOSE_S, "diagnosis", self._registers.diagnose)

    def _clear_cells(self, command: int, now_s: float) -> None:
        self._registers.cells[:] = EMPTY

    def _clear_pins(self, command: int, now_s: float) -> None:
        self._registers.pins[:] = EMPTY

    def _clear_status(self, command: int, now_s: float) -> None:
        registers = self._registers
        registers.status[:] = EMPTY
        registers.under[:] = registers.over[:] = True
        registers.mux_fail[:] = registers.hot[:] = True


COMMANDS: tuple[_Match, ...] = (
    (0x7FF, 0x711, Ltc681xChain._clear_cells),
    (0x7FF, 0x712, Ltc681xChain._clear_pins),
    (0x7FF, 0x713, Ltc681xChain._clear_status),
    (0x7FF, 0x715, Ltc681xChain._diagn),
    (0x668, 0x260, Ltc681xChain._adcv),
    (0x628, 0x228, Ltc681xChain._adow),
    (0x67F, 0x227, Ltc681xChain._cvst),
    (0x67F, 0x247, Ltc681xChain._cvst),
    (0x66F, 0x201, Ltc681xChain._adol),
    (0x678, 0x460, Ltc681xChain._adax),
    (0x678, 0x400, Ltc681xChain._adaxd),
    (0x67F, 0x427, Ltc681xChain._axst),
    (0x67F, 0x447, Ltc681xChain._axst),
    (0x678, 0x468, Ltc681xChain._adstat),
    (0x67F, 0x42F, Ltc681xChain._statst),
    (0x67F, 0x44F, Ltc681xChain._statst),
)
"""Bits that count, what they must be, and what follows."""
