"""The AFE's task: set-up while the pack is open, scans and temperatures at their periods, switch commands between them.

One bus, one task: nothing overlaps. An ALERT edge or a new switch command runs it before its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bms_daemon.app.slot import Bell, Slot
from bms_daemon.config.schema import Afe as AfeSettings
from bms_daemon.model import AfeScan, BusFault, TempScan
from bms_daemon.ports import Afe

SETUP_TIMEOUT_S = 2.0
SETUP_RETRY_S = 1.0
SWITCH_TIMEOUT_S = 0.1


class AfeSource:
    """Runs one AFE. ``accepted`` holds the hardware limits as read back, None until the chip has taken them."""

    def __init__(
        self, afe: Afe, settings: AfeSettings, is_open: Callable[[], bool], on_urgent: Callable[[], None]
    ) -> None:
        self.cells: Slot[AfeScan] = Slot()
        self.temps: Slot[TempScan] = Slot()
        self.accepted: Mapping[str, float] | None = None
        self.refusal = ""
        self._afe, self._settings = afe, settings
        self._is_open, self._on_urgent = is_open, on_urgent
        self._loop = asyncio.get_running_loop()
        self._bell = Bell()
        self._alerted = False
        self._wanted: tuple[bool, bool] = (False, False)
        self._applied: tuple[bool, bool] | None = None
        self._setup_s = float("-inf")

    def switch(self, charge: bool, discharge: bool) -> None:
        """Have the chip's outputs follow as soon as its bus is free; the newest command wins."""
        if (charge, discharge) != self._wanted:
            self._wanted = (charge, discharge)
            self._bell.ring()

    def alert(self) -> None:
        """The chip has something to say: scan at once."""
        self._alerted = True
        self._bell.ring()

    async def run(self) -> None:
        """Never ends by itself. What fails becomes a failed sample."""
        scan_s = temps_s = self._loop.time()
        while True:
            await self._set_up_when_needed()
            await self._switch_when_needed()
            now_s = self._loop.time()
            if now_s >= scan_s or self._alerted:
                await self._scan()
            if now_s >= scan_s:
                scan_s = _next(scan_s, self._settings.scan_period_s, self._loop.time())
            if now_s >= temps_s:
                await self._scan_temps()
                temps_s = _next(temps_s, self._settings.temp_period_s, self._loop.time())
            await self._bell.until(min(scan_s, temps_s))

    async def _set_up_when_needed(self) -> None:
        now_s = self._loop.time()
        if self.accepted is not None or not self._is_open() or now_s - self._setup_s < SETUP_RETRY_S:
            return
        self._setup_s = now_s
        try:
            async with asyncio.timeout(SETUP_TIMEOUT_S):
                self.accepted = await self._afe.setup()
            self._applied, self.refusal = (False, False), ""
        except (BusFault, TimeoutError) as error:
            self.refusal = str(error) or "the chip did not answer in time"
            self.cells.fail(self.refusal, self._loop.time())

    async def _switch_when_needed(self) -> None:
        if self.accepted is None or self._wanted == self._applied:
            return
        wanted = self._wanted
        self._applied = None
        try:
            async with asyncio.timeout(SWITCH_TIMEOUT_S):
                await self._afe.switch(*wanted)
            self._applied = wanted
        except (BusFault, TimeoutError) as error:
            self.refusal = str(error) or "the chip did not switch in time"

    async def _scan(self) -> None:
        urgent, self._alerted = self._alerted, False
        try:
            async with asyncio.timeout(self._settings.scan_period_s):
                scan = await self._afe.scan()
        except (BusFault, TimeoutError) as error:
            self.cells.fail(str(error) or "timeout", self._loop.time())
            return
        if scan.was_reset:
            self.accepted = None
        self.cells.put(scan, self._loop.time())
        if urgent:
            self._on_urgent()

    async def _scan_temps(self) -> None:
        try:
            async with asyncio.timeout(self._settings.scan_period_s):
                self.temps.put(await self._afe.scan_temps(), self._loop.time())
        except (BusFault, TimeoutError) as error:
            self.temps.fail(str(error) or "timeout", self._loop.time())


def _next(due_s: float, period_s: float, now_s: float) -> float:
    """The next deadline on the source's own grid; what was missed is skipped."""
    due_s += period_s
    if due_s > now_s:
        return due_s
    return due_s + (int((now_s - due_s) / period_s) + 1) * period_s
