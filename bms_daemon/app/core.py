"""The core: one task a source, the tick, and what follows each tick. Any exception releases the coils at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from bms_daemon.app.events import events_between
from bms_daemon.app.keeper import Keeper
from bms_daemon.app.lateness import LatenessRecord
from bms_daemon.app.orders import OrderBook
from bms_daemon.app.rig import LiveRig
from bms_daemon.buses.can import CanBus
from bms_daemon.can.transmit import Transmitter
from bms_daemon.config.schema import Settings
from bms_daemon.model import Event, Snapshot
from bms_daemon.runtime.link import LinkServer
from bms_daemon.runtime.notify import Notifier, UnitWatchdog
from bms_daemon.runtime.plain import plain, plain_event
from bms_daemon.runtime.ticker import Tick, Ticker
from bms_daemon.runtime.watchdog import HardwareWatchdog
from bms_daemon.stages.contactors import ENERGISED, why_not_close
from bms_daemon.stages.protect import why_not_clear
from bms_daemon.tick import Plan, State, tick

log = structlog.get_logger()
Source = Callable[[], Awaitable[None]]
Watcher = Callable[[Snapshot], None]


@dataclass(slots=True)
class Parts:
    """What the composition root hands to the core."""

    settings: Settings
    rig: LiveRig
    sources: tuple[Source, ...]
    orders: OrderBook
    keeper: Keeper
    transmitter: Transmitter
    bus: CanBus | None
    link: LinkServer | None
    notifier: Notifier
    watchdog: UnitWatchdog
    first: State
    identity: dict[str, Any]


class Core:
    """One string's core. ``watchers`` see every snapshot; they must be quick."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.plan = Plan.of(parts.settings)
        self.state = parts.first
        self.last: Snapshot | None = None
        self.late = LatenessRecord()
        self.watchers: list[Watcher] = []
        self.board_watchdog: HardwareWatchdog | None = None  # started last: only good ticks keep the board from a reset
        self._ticker: Ticker | None = None
        self._shown_s = float("-inf")
        self._ready = False
        self._tasks: list[asyncio.Future[None]] = []
        self._error: BaseException | None = None
        self._orderly = False

    async def run(self) -> None:
        """Run until a shutdown order has opened the pack. Raises what broke, after the coils were released."""
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(self._callback_failed)
        self._tasks = [asyncio.ensure_future(self._guarded(part)) for part in (self._ticks, *self.parts.sources)]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.parts.rig.safe_state()
            await _end(self._tasks)
            await self.parts.keeper.finish(self.state)
            loop.set_exception_handler(handler)
        if self._error is not None:
            raise self._error
        if not self._orderly:
            raise RuntimeError("a source ended by itself")
        if self.board_watchdog is not None:
            self.board_watchdog.close_clean()

    def shutdown(self) -> None:
        """Ask for an orderly end: announce, wait for low current, open, stop. Asking again changes nothing."""
        if self.parts.orders.shutdown:
            return
        self.parts.orders.shutdown = True
        self.parts.notifier.stopping()
        self.nudge()

    def nudge(self) -> None:
        """Run a tick at once: an edge, a request. Before the first tick there is nothing to hurry."""
        if self._ticker is not None:
            self._ticker.nudge()

    def refusal(self, action: str, code: str) -> str:
        """Why a request would not be followed, as of the last tick; empty when it would, or when orders decide."""
        if action not in ("close", "clear"):
            return ""
        if self.last is None:
            return "no tick yet"
        if action == "close":
            state, now_s = self.state.ctrl.contactors, self.last.now_s
            return why_not_close(self.last.measured, self.last.faults, state, self.parts.settings, now_s)
        return why_not_clear(code, self.state.prot)

    async def _guarded(self, part: Source) -> None:
        try:
            await part()
        except Exception as error:
            self._fail(error, getattr(part, "__qualname__", "?"))

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the loop has no task that could end with its exception."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        else:
            self._fail(error, str(context.get("message")))

    def _fail(self, error: BaseException, where: str) -> None:
        """Release the coils in this very call, let no further tick run, and have ``run`` end with the first error."""
        self.parts.rig.safe_state()
        for task in self._tasks:
            task.cancel()
        self._error = self._error or error
        log.error("the core failed", code="core_failed", where=where, exc_info=error)

    async def _ticks(self) -> None:
        self._ticker = Ticker(self.parts.settings.timing.tick_s)
        try:
            while self._turn(await self._ticker.wait()):
                pass
        finally:
            self._ticker.close()
        self._orderly = True

    def _turn(self, now: Tick) -> bool:
        """One tick and what follows it; False when the core may end."""
        rig = self.parts.rig
        rig.lateness_s, rig.edge = now.lateness_s, now.edge
        if not now.edge:
            self.late.add(now.lateness_s, now.missed)
        rig.journal_ok = self.parts.keeper.ok
        self.state, snapshot = tick(rig, self.state, self.plan, now.now_s)
        self._publish(snapshot)
        last, self.last = self.last, snapshot
        self._tell(last, snapshot)
        self.parts.keeper.watch(self.state, now.now_s)
        self._feed(snapshot)
        return not (self.parts.orders.shutdown and snapshot.control.state not in ENERGISED) or self._owes(snapshot)

    def _owes(self, snapshot: Snapshot) -> bool:
        """The last state is said, too, before the core ends."""
        return self.parts.bus is not None and self.parts.transmitter.owes(snapshot)

    def _publish(self, snapshot: Snapshot) -> None:
        parts, now_s = self.parts, snapshot.now_s
        if parts.bus is not None:
            parts.bus.send(parts.transmitter.due(snapshot, asyncio.get_running_loop().time()))
            parts.bus.poll()
        for watcher in self.watchers:
            watcher(snapshot)
        if parts.link is None or not parts.link.clients or now_s < self._shown_s + parts.settings.link.period_s:
            return
        self._shown_s = now_s
        parts.link.publish(plain(snapshot) | {"identity": parts.identity, "timing": self.late.plain()})

    def _tell(self, last: Snapshot | None, snapshot: Snapshot) -> None:
        if last is not None and last.faults is snapshot.faults and last.control.state is snapshot.control.state:
            return
        for event in events_between(last, snapshot):
            self._note(event)
        self.parts.notifier.status(snapshot.control.state.name.lower())

    def _note(self, event: Event) -> None:
        level = log.warning if event.kind == "fault" else log.info
        level(event.text, kind=event.kind, code=event.code, data=event.data)
        if self.parts.link is not None:
            self.parts.link.event(plain_event(event))

    def _feed(self, snapshot: Snapshot) -> None:
        """The unit's and the board's watchdogs live on good ticks alone: on time, and with outputs that obey."""
        on_time = snapshot.measured.lateness_s < 0.5
        if not (on_time and snapshot.actuated.ok):
            return
        if not self._ready:
            self._ready = True
            self.parts.notifier.ready("running")
        self.parts.watchdog.feed(snapshot.now_s)
        if self.board_watchdog is not None:
            self.board_watchdog.feed(snapshot.now_s)


async def _end(tasks: list[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
