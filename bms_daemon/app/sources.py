"""The other sources: the shunt's task and the digital inputs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bms_daemon.app.slot import Slot
from bms_daemon.config.topology import CONTACTS
from bms_daemon.model import BusFault, Pins, ShuntReading
from bms_daemon.ports import CurrentSensor, Lines

T = TypeVar("T")
RETRY_S = 0.2
SILENT = 3.0  # periods
SETUP_TIMEOUT_S = 5.0
BOUNCE_S = 0.01  # a sound contact that moves comes to rest within this time
CHATTER_S = 1.0
LOOPS = frozenset({"emergency_stop", "interlock"})
INPUTS = ("emergency_stop", "interlock", *CONTACTS)


class ShuntSource:
    """Reads a sensor that speaks by itself; silence of three periods is a failed sample."""

    def __init__(self, sensor: CurrentSensor, period_s: float) -> None:
        self.slot: Slot[ShuntReading] = Slot()
        self._sensor, self._period_s = sensor, period_s
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Never ends by itself. What fails becomes a failed sample."""
        await self._set_up()
        while True:
            reading = await self._tried(self._sensor.read, SILENT * self._period_s)
            if reading is not None:
                self.slot.put(reading, self._loop.time())

    async def _set_up(self) -> None:
        done = False
        while not done:
            done = await self._tried(self._confirmed, SETUP_TIMEOUT_S) or False

    async def _confirmed(self) -> bool:
        await self._sensor.setup()
        return True

    async def _tried(self, call: Callable[[], Awaitable[T]], timeout_s: float) -> T | None:
        """What a call gives; None for one that failed, which is told."""
        try:
            async with asyncio.timeout(timeout_s):
                return await call()
        except TimeoutError:
            self.slot.fail("silent", self._loop.time())
        except BusFault as fault:
            self.slot.fail(str(fault), self._loop.time())
            await asyncio.sleep(RETRY_S)
        return None


class Chatter:
    """How often a contact has changed within the last second, once in the time of a bounce at most."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque(maxlen=100)

    def add(self, now_s: float) -> None:
        if not self._at_s or now_s - self._at_s[-1] >= BOUNCE_S:
            self._at_s.append(now_s)

    def count(self, now_s: float) -> int:
        while self._at_s and now_s - self._at_s[0] > CHATTER_S:
            self._at_s.popleft()
        return len(self._at_s)


class PinSource:
    """Digital inputs: read at their period and after every edge, together with the outputs' read-back."""

    def __init__(
        self, lines: Lines, fitted: frozenset[str], period_s: float, on_edge: Callable[[str, bool], None]
    ) -> None:
        self.slot: Slot[Pins] = Slot()
        self.written: dict[str, bool] = {}
        self.levels: dict[str, bool] = {}
        self._lines, self._fitted, self._period_s = lines, fitted, period_s
        self._on_edge = on_edge
        self._dirty = True
        self._tripped: set[str] = set()  # loops that were open since the last reading, however briefly
        self._chatter = {role: Chatter() for role in CONTACTS if role in fitted}
        self._moved: set[str] = set()  # contacts that changed since the last reading
        self._read_s = float("-inf")
        lines.on_edge(self._edge)

    def refresh(self, now_s: float) -> None:
        """Read the lines if an edge came or the period has passed. Synchronous: one ioctl."""
        if not self._dirty and now_s - self._read_s < self._period_s - 1e-6:
            return
        self._dirty, self._read_s = False, now_s
        while self._moved:
            self._chatter[self._moved.pop()].add(now_s)
        try:
            self.levels = self._lines.read()
        except BusFault as fault:
            self.slot.fail(str(fault), now_s)
            return
        self.slot.put(self._pins(self.levels | dict.fromkeys(self._tripped, False)), now_s)
        self._tripped.clear()

    def _pins(self, levels: dict[str, bool]) -> Pins:
        seen = {role: levels.get(role) for role in INPUTS if role in self._fitted}
        return Pins(
            emergency_stop_ok=seen.get("emergency_stop"),
            interlock_ok=seen.get("interlock"),
            main_aux_closed=seen.get("main_aux"),
            main_negative_aux_closed=seen.get("main_negative_aux"),
            precharge_aux_closed=seen.get("precharge_aux"),
            readback_ok=all(levels.get(role, level) == level for role, level in self.written.items()),
            aux_changes=max((each.count(self._read_s) for each in self._chatter.values()), default=0),
        )

    def _edge(self, role: str, level: bool) -> None:
        self._dirty = True
        if role in LOOPS and not level:
            self._tripped.add(role)
        if role in self._chatter:
            self._moved.add(role)
        self._on_edge(role, level)
