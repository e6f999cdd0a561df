"""Emulator of a smart battery (SBS 1.1) on SMBus: a gauge that measures, counts, asks of its charger and protects.

Written from public command lists alone and shared with no driver. Cell voltages at 0x3F downwards and the ship command
are usual extensions of gauges, not of SBS. Not confirmed on hardware: which error code follows which refusal, that
CHARGER_MODE and ALARM_MODE fall back after 60 s, every protection threshold. Stretching of the clock is not modelled.
"""

from __future__ import annotations

from math import inf

import numpy as np

from bms_daemon.sim.sbs_gauge import SLOW_S, Faults, Gauge
from bms_daemon.sim.sbs_words import CAPACITY_MODE, CELLS_TOLD, Words
from bms_daemon.sim.taps import Taps

ADDRESS = 0x0B
TIMEOUT_S = 0.035  # clock low between the halves of a read: its interface starts anew
OK, BUSY, UNSUPPORTED, ACCESS_DENIED, BAD_SIZE, UNKNOWN = 0, 1, 3, 4, 6, 7
STATUS = 0x16
BLOCKS = {0x20: b"Emulated", 0x21: b"SBS", 0x22: b"LION", 0x23: b"\x01\x02"}
SHIP = 0x0010


def pec(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0, over every byte on the bus."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register << 1 ^ (0x107 if register & 0x80 else 0)
    return register


class SmartBattery:
    """Implements ``sim.taps.Chip`` and ``I2cTarget``.

    ``cells``: how many it tells one by one, by default as many as it can; 0 for a battery without that extension. A
    pack too large for its words scales them. ``capacity_mode_10mw``: it starts in units of 10 mW. ``renewed_s``: how
    often it measures voltages and temperature; ``phase_s``: when, counted from the first ``advance``.
    """

    def __init__(
        self,
        taps: Taps,
        seed: int = 0,
        *,
        capacity_ah: float,
        soc: float,
        cells: int | None = None,
        pec: bool = True,
        capacity_mode_10mw: bool = False,
        address: int = ADDRESS,
        renewed_s: float = SLOW_S,
        phase_s: float = 0.0,
    ) -> None:
        self._taps, self._pec = taps, pec
        self._write_address, self._read_address = bytes((address << 1,)), bytes((address << 1 | 1,))
        self._gauge = Gauge(taps, seed, capacity_ah, soc, renewed_s, phase_s)
        series, mode = len(taps.cell_v), CAPACITY_MODE if capacity_mode_10mw else 0
        told = min(series, CELLS_TOLD) if cells is None else cells
        if not 0 <= told <= min(series, CELLS_TOLD):
            raise ValueError(f"{told} of {series} cells cannot be told one by one")
        self._words = Words(self._gauge, capacity_ah, series, told, pec, mode)
        self.power_on_reset()

    # ------------------------------------------------------------------ the back door
    @property
    def faults(self) -> Faults:
        return self._gauge.faults

    def power_on_reset(self) -> None:
        """It has measured nothing yet and forgets what was written; what it has counted stays. Wakes a shipped one."""
        self._gauge.reset()
        self._words.reset()
        self._command: int | None = None
        self._until_s = -inf
        self._error = OK
        self._shipped = False

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._gauge.advance(now_s)

    @property
    def next_event_s(self) -> float:
        return self._gauge.next_s

    @property
    def alert(self) -> bool:
        return False

    @property
    def charge_allowed(self) -> bool:
        """No coil hangs on its switches: they are inside the battery."""
        return True

    @property
    def discharge_allowed(self) -> bool:
        return True

    @property
    def conducts(self) -> tuple[bool, bool]:
        """Its own switches, for charging and for discharging."""
        guards = self._gauge.guards
        return guards.charge_on and not self._shipped, guards.discharge_on and not self._shipped

    @property
    def balancing_mask(self) -> np.ndarray:
        return np.zeros(len(self._taps.cell_v), dtype=bool)

    # ------------------------------------------------------------------ I2C
    def i2c_write(self, data: bytes) -> bool:
        """A command, with a word and its code where it is written."""
        self._command = None
        if not self._hears:
            return False
        if not data:
            return True
        if data[0] in self.faults.missing or not self._knows(data[0]):
            return self._refused(UNSUPPORTED)
        if len(data) == 1:
            self._command, self._until_s = data[0], self._gauge.now_s + TIMEOUT_S
            return True
        return self._written(data)

    def i2c_read(self, count: int) -> bytes | None:
        """The answer to the command just written; without one it does not know what it is asked."""
        command, self._command = self._command, None
        if command is None or not self._hears or self._gauge.now_s > self._until_s:
            return None
        data = self._answer(command)
        if self._pec:
            data += bytes((self._code(command, data, count > len(data)),))
        return data[:count].ljust(count, b"\xff")

    @property
    def _hears(self) -> bool:
        return not (self.faults.mute or self.faults.wrong_address or self._shipped)

    def _knows(self, command: int) -> bool:
        return command in BLOCKS or self._words.knows(command)

    def _refused(self, error: int) -> bool:
        self._error = error
        return False

    def _written(self, data: bytes) -> bool:
        """A word: nothing is done with too few bytes, with too many or with a wrong code."""
        if len(data) == 2:
            self._error = BAD_SIZE
            return True
        if len(data) > (4 if self._pec else 3):
            return self._refused(BAD_SIZE)
        if len(data) == 4 and data[3] != pec(self._write_address + data[:3]):
            return self._refused(UNKNOWN)
        return self._store(data[0], int.from_bytes(data[1:3], "little"))

    def _store(self, command: int, word: int) -> bool:
        self._shipped = command == 0 and word == SHIP == self._words.written.access
        if not self._words.write(command, word):
            return self._refused(ACCESS_DENIED)
        self._error = OK
        return True

    def _answer(self, command: int) -> bytes:
        error, self._error = self._error, OK
        if command in BLOCKS:
            return bytes((len(BLOCKS[command]),)) + BLOCKS[command]
        word = self._words.word(command)
        if command == STATUS:
            word |= self._status_error(error)
        return (self.faults.raw.get(command, word) & 0xFFFF).to_bytes(2, "little")

    def _status_error(self, error: int) -> int:
        """What became of the function before this one."""
        if self.faults.busy > 0:
            self.faults.busy -= 1
            return BUSY
        return error

    def _code(self, command: int, data: bytes, asked: bool) -> int:
        code = pec(self._write_address + bytes((command,)) + self._read_address + data)
        if asked and self.faults.pec_errors > 0:
            self.faults.pec_errors -= 1
            code ^= 0x01
        return code
