"""What happens beside the core does not move its tick: real processes, judged by the core's own lateness record.

A busy machine makes ticks late as well, so the margins are wide, every figure is held against a core alone on the same
machine, and a miss is measured once more: noise goes away, a core that waits for somebody does not.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import can
import pytest

from bms_daemon.app.build import build
from bms_daemon.config.schema import Settings
from bms_daemon.offline.bench_broker import LOOPBACK, Broker, brokered
from bms_daemon.offline.bench_flood import flooding
from bms_daemon.offline.bench_site import TOPIC, CoreProcess, Timing, demo_settings, place, running

ATTACK_S = 3.0
LATE_RATIO, FEW = 3.0, 5
FLOOD_MESSAGES = 200_000
BUSY_BUS_FRAMES_A_S = 4000  # about what 500 kbit/s can carry
Attack = Callable[[CoreProcess, Broker], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("mosquitto")


@dataclass(frozen=True)
class Window:
    """Ticks between two looks at the record: how many, how many missed, how many late by more than 5 ms."""

    ticks: int
    missed: int
    late: int

    @classmethod
    def between(cls, before: Timing, after: Timing) -> Window:
        late = after.over_5_ms - before.over_5_ms
        return cls(after.ticks - before.ticks, after.missed - before.missed, late)

    def worse_than(self, alone: Window) -> str:
        """What speaks against the core; empty when 99 % of its ticks, or nearly as many as alone, were in time."""
        allowed = FEW + max(0.01, LATE_RATIO * alone.late / alone.ticks) * self.ticks
        if self.ticks + self.missed < 0.9 * ATTACK_S * 50:
            return f"only {self}"
        if self.late > allowed:
            return f"{self}, allowed are {allowed:.1f} late ones"
        return f"{self}, alone {alone}" if self.missed > alone.missed + FEW else ""


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Window:
    """The record of a core beside which nothing happens."""

    async def main() -> Window:
        async with running(place(tmp_path_factory.mktemp("alone"), realtime=True)) as core:
            return await watched(core, asyncio.sleep(0.0))

    return asyncio.run(main())


async def watched(core: CoreProcess, attack: Awaitable[None]) -> Window:
    """The record while an attack lasts, and not shorter than the one alone."""
    before = await core.timing()
    await asyncio.gather(attack, asyncio.sleep(ATTACK_S))
    return Window.between(before, await core.timing())


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[CoreProcess, Broker]]:
    """A core whose gateway has published through a broker of its own."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(brokered(folder))
        core = await stack.enter_async_context(running(place(folder, broker.port, realtime=True)))
        await published(broker)
        yield core, broker


async def published(broker: Broker) -> None:
    """Wait for a snapshot that goes through the broker now."""
    async with asyncio.timeout(20.0), aiomqtt.Client(LOOPBACK, broker.port) as client:
        await client.subscribe(f"{TOPIC}/state")
        await anext(client.messages)


async def gateway_killed(core: CoreProcess, broker: Broker) -> None:
    before = await core.gateway()
    os.kill(before, signal.SIGKILL)
    assert await core.gateway(other_than=before) != before
    await published(broker)


async def broker_killed(core: CoreProcess, broker: Broker) -> None:
    broker.kill()
    await asyncio.sleep(1.5)
    await broker.start()
    await published(broker)


async def broker_flooded(core: CoreProcess, broker: Broker) -> None:
    async with flooding("mqtt", str(broker.port), FLOOD_MESSAGES, 2.0 * ATTACK_S):
        await asyncio.sleep(ATTACK_S)


async def link_flooded(core: CoreProcess, broker: Broker) -> None:
    async with flooding("link", str(core.socket), FLOOD_MESSAGES, 2.0 * ATTACK_S):
        await asyncio.sleep(ATTACK_S)


def attacked(folder: Path, attack: Attack) -> Window:
    async def main() -> Window:
        async with served(folder) as (core, broker):
            return await watched(core, attack(core, broker))

    folder.mkdir()
    return asyncio.run(main())


@pytest.mark.parametrize("attack", [gateway_killed, broker_killed, broker_flooded, link_flooded])
def test_the_tick_does_not_move_when(attack: Attack, alone: Window, tmp_path: Path) -> None:
    said = [attacked(tmp_path / "first", attack).worse_than(alone)]
    if said[0]:
        said.append(attacked(tmp_path / "again", attack).worse_than(alone))
    assert "" in said, said


async def busy_bus(frames_a_s: int) -> None:
    """A second node that fills the bus: rubbish under the identifier that the core listens to, and under others."""
    with can.Bus(interface="virtual", channel="demo", ignore_config=True) as bus:
        burst, sent = frames_a_s // 200, 0
        while True:
            for _ in range(burst):
                sent += 1
                identifier = 0x102 if sent % 2 else sent % 0x7FF
                bus.send(can.Message(arbitration_id=identifier, data=sent.to_bytes(8, "little"), is_extended_id=False))
            await asyncio.sleep(0.005)


async def in_process(settings: Settings, frames_a_s: int) -> tuple[Window, int]:
    """The record of a core in this process, on real time, and how many frames it refused."""
    installation = build(settings)
    core = installation.core
    run = asyncio.create_task(core.run())
    await asyncio.sleep(0.5)
    before = Timing(**core.late.plain())  # type: ignore[arg-type]
    flood = asyncio.create_task(busy_bus(frames_a_s))
    try:
        await asyncio.sleep(ATTACK_S)
        return Window.between(before, Timing(**core.late.plain())), core.parts.rig.receiver.rejected  # type: ignore[arg-type]
    finally:
        flood.cancel()
        core.shutdown()
        await asyncio.gather(run, flood, return_exceptions=True)
        installation.close()


def test_the_tick_does_not_move_when_the_can_bus_is_flooded(tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        quiet, refused_quiet = asyncio.run(in_process(demo_settings(tmp_path), 0))
        busy, refused = asyncio.run(in_process(demo_settings(tmp_path), BUSY_BUS_FRAMES_A_S))
        assert refused_quiet == 0
        assert refused > 1000, "the flood did not reach the core"
        said.append(busy.worse_than(quiet))
        if not said[-1]:
            break
    assert "" in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask for SCHED_FIFO here")
def test_the_gateway_of_a_real_time_core_is_an_ordinary_process(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        async with brokered(tmp_path) as broker, running(place(tmp_path, broker.port, realtime=True)) as core:
            gateway = await core.gateway()
            await core.snapshot()
            return os.sched_getscheduler(core.pid), os.sched_getscheduler(gateway)

    policies = asyncio.run(main())
    if policies[0] != os.SCHED_FIFO:
        pytest.skip("this machine does not grant SCHED_FIFO")
    assert policies[1] == os.SCHED_OTHER
