"""What emulated monitors on isoSPI have in common: a chain that sleeps, wakes, idles, hears and forgets.

Times of wake-up are the data sheets' longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from bms_daemon.sim.isospi_inputs import Inputs
from bms_daemon.sim.isospi_pec import pec

WAKE_LOW_S = 0.0002  # a pulse that wakes a sleeping device
IDLE_S, READY_S = 0.0055, 10e-6  # of silence until the ports idle, and a device's port to be ready again
WATCHDOG_S = 2.0
SLOT = 8


class IsoSpiChain:
    """Implements ``sim.taps.Chip`` and ``SpiTarget``. ``wake_s``: how long a device takes to wake.

    A family says in ``_new_registers`` what its devices hold when they get their supply, in ``_forget`` what those lose
    that fall asleep, and in ``_obey`` what a command does.
    """

    wake_s = 0.0004
    _registers: Inputs

    def __init__(self, devices: int, faults: Any) -> None:
        self.faults = faults
        self._devices = devices
        self._now_s = -inf
        self.power_on_reset()

    def power_on_reset(self) -> None:
        """Every device loses its supply: asleep, and registers as delivered."""
        self._registers = self._new_registers()
        self._awake = np.zeros(self._devices, dtype=bool)
        self._ready_s = np.full(self._devices, inf)
        self._valid_s = np.full(self._devices, -inf)
        self._heard_s = self._oldest_s = -inf  # any frame, and of the devices' last valid ones the oldest

    def _new_registers(self) -> Inputs:
        raise NotImplementedError

    def _forget(self, devices: np.ndarray) -> None:
        raise NotImplementedError

    def _obey(self, command: int, data: bytes, heard: int, now_s: float, answer: bytearray) -> None:
        raise NotImplementedError

    def forget(self, device: int) -> None:
        """One device loses its configuration and stays awake."""
        self._forget(np.arange(self._devices) == device)

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._registers.advance(now_s)
        self._now_s = max(self._now_s, now_s)
        if now_s - self._oldest_s > WATCHDOG_S:
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
        self._forget(tired)

    # ------------------------------------------------------------------ SpiTarget
    def frame(self, now_s: float, data: bytes, low_s: float) -> bytes:
        """Wakes who sleeps; who hears a command with the right code obeys it."""
        self.advance(now_s)
        heard = self._listeners(now_s - low_s, now_s, low_s)
        answer = bytearray(b"\xff" * len(data))
        if heard and len(data) >= 4 and data[2:4] == pec(data[:2]):
            self._valid_s[:heard] = now_s
            self._oldest_s = now_s if heard == self._devices else float(self._valid_s.min())
            self._obey(int.from_bytes(data[:2], "big"), data[4:], heard, now_s, answer)
        return bytes(answer)

    def _listeners(self, start_s: float, now_s: float, low_s: float) -> int:
        """How many devices, from the nearest, hear a frame that began at ``start_s``."""
        chain = self._devices if self.faults.mute is None else self.faults.mute
        idle = start_s - self._heard_s > IDLE_S
        self._heard_s = now_s
        ready = self._ready_s <= start_s
        if not idle and ready.all():
            return chain
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
            self._ready_s[first] = now_s + self.wake_s
            self._valid_s[first] = now_s

    # ------------------------------------------------------------------ groups
    def _groups(self, data: bytes, heard: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Device, group and code: they come with the farthest device's first."""
        slots = [data[at : at + SLOT] for at in range(0, len(data) - SLOT + 1, SLOT)]
        for device, slot in zip(range(heard), reversed(slots), strict=False):
            yield device, slot[:6], slot[6:]

    def _say(self, groups: np.ndarray, codes: np.ndarray, answer: bytearray) -> None:
        """Groups and codes of those devices that hear, the nearest first, as far as there is room."""
        said = min(len(groups), (len(answer) - 4) // SLOT)
        for device in range(said):
            if self.faults.spoilt.get(device, 0) > 0:
                self.faults.spoilt[device] -= 1
                codes[device, 0] ^= 0x10
        answer[4 : 4 + SLOT * said] = np.concatenate([groups[:said], codes[:said]], axis=1).tobytes()
