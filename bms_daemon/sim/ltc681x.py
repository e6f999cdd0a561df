"""Emulator of a daisy chain of LTC681x at register level: wake-up, commands with their codes, registers, watchdog.

Written from public register descriptions alone and shared with no driver, so that it can find a driver's mistakes.
Times of wake-up are the data sheets' longest; what is not published is said in ltc681x_adc.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import numpy as np

from bms_daemon.sim.ltc681x_adc import DIAGNOSE_S, EMPTY, ONE_PAIR, Registers
from bms_daemon.sim.ltc681x_faults import Faults
from bms_daemon.sim.ltc681x_parts import CELL_S, PARTS, STAT_S
from bms_daemon.sim.ltc681x_pec import pec, pecs
from bms_daemon.sim.taps import Taps

WAKE_LOW_S, WAKE_S = 0.0002, 0.0004  # a pulse that wakes a sleeping device, and how long that takes
IDLE_S, READY_S = 0.0055, 10e-6  # of silence until the ports idle, and a device's port to be ready again
WATCHDOG_S = 2.0
SLOT = 8
WRITES = {0x0001: 0, 0x0024: 6}
"""Where the groups stand in the configuration."""
_Match = tuple[int, int, Callable[["Ltc681xChain", int, float], None]]


class Ltc681xChain:
    """Implements ``sim.taps.Chip`` and ``SpiTarget``. ``cells`` and ``probes`` of each device, the nearest first."""

    def __init__(
        self,
        taps: Taps,
        cells: Sequence[int],
        probes: Sequence[int],
        seed: int = 0,
        r25_ohm: float = 10_000.0,
        beta_k: float = 3435.0,
        series_ohm: float = 10_000.0,
        part: str = "ltc6811",
    ) -> None:
        self.faults = Faults()
        self._part = PARTS[part]
        self._reads = self._part.reads
        self._pins_low = np.where(np.arange(self._part.delivered.size) == 0, 0xFD, 0xFF).astype(np.uint8)  # DTEN
        self._make = partial(Registers, self._part, taps, self.faults, cells, probes, seed, r25_ohm, beta_k, series_ohm)
        self._devices = len(cells)
        self._now_s = -inf
        self.power_on_reset()

    def power_on_reset(self) -> None:
        """Every device loses its supply: asleep, and registers as delivered."""
        self._registers = self._make()
        self._awake = np.zeros(self._devices, dtype=bool)
        self._ready_s = np.full(self._devices, inf)
        self._valid_s = np.full(self._devices, -inf)
        self._heard_s = -inf

    def forget(self, device: int) -> None:
        """One device loses its configuration and stays awake."""
        self._registers.configuration[device] = self._part.delivered

    def switch_on(self, device: int, cell: int) -> None:
        """One of the first eight cells' switches turns itself on."""
        self._registers.configuration[device, 4] |= 1 << cell

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._registers.advance(now_s)
        self._now_s = max(self._now_s, now_s)
        if now_s - self._valid_s.min() > WATCHDOG_S:
            self._fall_asleep(now_s)

    @property
    def next_event_s(self) -> float:
        return self._registers.next_s

    @property
    def alert(self) -> bool:
        return False

    @property
    def charge_allowed(self) -> bool:
        """It has no such output."""
        return True

    @property
    def discharge_allowed(self) -> bool:
        return True

    @property
    def balancing_mask(self) -> np.ndarray:
        registers = self._registers
        on: np.ndarray = (registers.discharging() & self._awake[:, None])[registers.fitted]
        return on

    def _fall_asleep(self, now_s: float) -> None:
        """A device that heard nothing valid for two seconds loses its configuration."""
        tired = self._awake & (now_s - self._valid_s > WATCHDOG_S)
        self._awake &= ~tired
        self._ready_s[tired] = inf
        self._registers.configuration[tired] = self._part.delivered

    # ------------------------------------------------------------------ SpiTarget
    def frame(self, now_s: float, data: bytes, low_s: float) -> bytes:
        """Wakes who sleeps; who hears a command with the right code obeys it."""
        self.advance(now_s)
        heard = self._listeners(now_s - low_s, now_s, low_s)
        answer = bytearray(b"\xff" * len(data))
        if heard and len(data) >= 4 and data[2:4] == pec(data[:2]):
            self._valid_s[:heard] = now_s
            self._obey(int.from_bytes(data[:2], "big"), data[4:], heard, now_s, answer)
        return bytes(answer)

    def _listeners(self, start_s: float, now_s: float, low_s: float) -> int:
        """How many devices, from the nearest, hear a frame that began at ``start_s``."""
        chain = self._devices if self.faults.mute is None else self.faults.mute
        idle = start_s - self._heard_s > IDLE_S
        self._heard_s = now_s
        ready = self._awake & (self._ready_s <= start_s)
        if idle:
            woken = np.cumsum(self._awake) == np.arange(1, self._devices + 1)
            self._ready_s[woken] = np.maximum(start_s + READY_S * np.arange(1, self._devices + 1), 0.0)[woken]
            ready[:] = False
        self._wake_next(now_s, low_s, idle, start_s)
        prefix = int(np.argmin(ready)) if not ready.all() else self._devices
        return min(prefix, chain)

    def _wake_next(self, now_s: float, low_s: float, idle: bool, start_s: float) -> None:
        """A pulse reaches the first sleeping device through those that are awake already."""
        if self._awake.all() or low_s < WAKE_LOW_S:
            return
        first = int(np.argmin(self._awake))
        if first == 0 or idle or (self._ready_s[:first] <= start_s).all():
            self._awake[first] = True
            self._ready_s[first] = now_s + WAKE_S
            self._valid_s[first] = now_s

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
        """Groups come with the farthest device's first; one with a wrong code is not taken."""
        held = self._registers.configuration[:, at : at + 6]
        slots = [data[first : first + SLOT] for first in range(0, len(data) - SLOT + 1, SLOT)]
        for device, slot in zip(range(heard if held.size else 0), reversed(slots), strict=False):
            if slot[6:] == pec(slot[:6]):
                held[device] = np.frombuffer(slot[:6], dtype=np.uint8)

    def _answer(self, command: int, heard: int, answer: bytearray) -> None:
        groups = self._group(command)[: min(heard, (len(answer) - 4) // SLOT)]
        codes = pecs(groups)
        for device in range(len(groups)):
            if self.faults.spoilt.get(device, 0) > 0:
                self.faults.spoilt[device] -= 1
                codes[device, 0] ^= 0x10
        answer[4 : 4 + SLOT * len(groups)] = np.concatenate([groups, codes], axis=1).tobytes()

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
