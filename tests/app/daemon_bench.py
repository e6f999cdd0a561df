"""A whole daemon with its emulators on manual time, wired by the composition root; tests assert on the coil's trace."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import can
from helpers.j1850 import j1850

from bms_daemon.app import load_settings
from bms_daemon.app.build import Installation, build
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section
from bms_daemon.model import PackState, Snapshot
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble

DEMO = Path(__file__).parents[2] / "config" / "demo.toml"
T = TypeVar("T")


def changed(section: Section, values: Mapping[str, Any]) -> Any:
    """A copy of a settings section with other values, by dotted key."""
    for key, value in values.items():
        head, _, rest = key.partition(".")
        inner = changed(getattr(section, head), {rest: value}) if rest else value
        section = section.model_copy(update={head: inner})
    return section


def settings_in(folder: Path, **values: Any) -> Settings:
    """The demo's configuration with its files in a folder, a bus of its own and quick closings."""
    own = {
        "journal.path": folder / "journal",
        "link.socket": folder / "link",
        "can.channel": uuid.uuid4().hex,
        "contactor.close_interval_s": 0.1,
        "contactor.precharge_rest_s": 0.5,
        "sim.manager": False,
    }
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    settings: Settings = changed(load_settings(DEMO), own | dotted)
    return settings


def commission(settings: Settings) -> None:
    commission_afresh(settings)


class Daemon:
    """One running core. ``seen`` holds every snapshot, ``frames`` what its bus carried with the time of its arrival."""

    def __init__(self, settings: Settings, linked: bool) -> None:
        self.settings = settings
        self.parts: Assembly = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
        hardware = Hardware(self.parts.afe_bus, self.parts.shunt_port, self.parts.lines, self.parts.world)
        self.installation: Installation = build(settings, hardware, linked=linked)
        self.core = self.installation.core
        self.orders = self.core.parts.orders
        self.seen: list[Snapshot] = []
        self.core.watchers.append(self.seen.append)
        self.run: asyncio.Future[None] = asyncio.ensure_future(self.core.run())

    @property
    def state(self) -> PackState:
        return self.seen[-1].control.state if self.seen else PackState.SAFE

    @property
    def codes(self) -> set[str]:
        return {fault.code for fault in self.seen[-1].faults.active}

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def coils(self) -> tuple[bool, bool]:
        """Main and precharge coil at this instant."""
        return self.parts.gate.coil(self.now_s)[:2]

    async def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 time is manual: a sleep costs nothing
                await asyncio.sleep(0.005)

    async def close_pack(self) -> None:
        await self.until(lambda: self.state is PackState.STANDBY)
        self.orders.ask("open")
        await asyncio.sleep(0.1)
        self.orders.ask("close")
        await self.until(lambda: self.state is PackState.CLOSED)
        await asyncio.sleep(0.3)
        assert self.coils()[0]

    async def end(self) -> None:
        """The run's exception, if it has one, has been looked at by the test."""
        self.run.cancel()
        with suppress(BaseException):
            await self.run
        self.installation.close()


@asynccontextmanager
async def daemon(settings: Settings, linked: bool = False, fresh: bool = True) -> AsyncIterator[Daemon]:
    """A daemon on a commissioned pack, unless told otherwise, ended at the exit."""
    if fresh:
        commission(settings)
    here = Daemon(settings, linked)
    try:
        yield here
    finally:
        await here.end()


def manual(scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return run_manual(scene())


class Vcu:
    """A controller that sends VCU_Request by hand-made bytes."""

    def __init__(self, channel: str) -> None:
        self._bus = can.Bus(interface="virtual", channel=channel, ignore_config=True)
        self._counter = 0

    def say(self, request: int, moving: int = 0) -> None:
        """0 none, 1 open, 2 close, 3 recovery charge."""
        body = bytes([request << 4 | self._counter, moving, 0, 0, 0, 0, 0])
        self._counter = (self._counter + 1) % 15
        data = bytes([j1850((0xB102).to_bytes(2, "little") + body)]) + body
        self._bus.send(can.Message(arbitration_id=0x102, data=data, is_extended_id=False))

    def close(self) -> None:
        self._bus.shutdown()
