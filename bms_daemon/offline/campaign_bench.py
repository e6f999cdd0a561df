"""One daemon with its emulators on manual time, as the campaign runs it: what is watched, and how time can stall.

Faults go in through registers, bytes, pins and processes; the daemon's own variables are only looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bms_daemon.app.build import Installation, build
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section
from bms_daemon.model import BusFault, PackState, Snapshot
from bms_daemon.offline.campaign_node import Node
from bms_daemon.runtime.clock import ManualLoop
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import Constant, WorldSettings

T = TypeVar("T")
S = TypeVar("S", bound=Section)
CURRENTS_A = (20.0, -30.0)  # what flows when the fault comes, by turns
DRAIN_S = 3.7  # until the link of these settings is dead

# A pack whose waiting times do not hide what the fault itself forbids: closings at once, a link that drains in seconds,
# and no energy manager beside the campaign's own node.
QUICK: Mapping[str, object] = {
    "contactor.close_interval_s": 0.1,
    "contactor.closes_per_hour": 60,
    "contactor.precharge_rest_s": 0.5,
    "sim.manager": False,
    "sim.world.link.capacitance_f": 0.0015,
    "sim.world.link.precharge_ohm": 40.0,
    "sim.world.link.bleed_ohm": 1000.0,
}


def with_values(section: S, values: Mapping[str, object]) -> S:
    """A copy with other values, by dotted key."""
    for key, value in values.items():
        head, _, rest = key.partition(".")
        inner = with_values(getattr(section, head), {rest: value}) if rest else value
        section = section.model_copy(update={head: inner})
    return section


class StallingLoop(ManualLoop):
    """Manual time that can also pass without anything running, as in a blocked loop."""

    def __init__(self) -> None:
        super().__init__()
        self._stalled_s = 0.0

    def time(self) -> float:
        return super().time() + self._stalled_s

    def stall(self, seconds: float) -> None:
        self._stalled_s += seconds


def run_stalling(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on manual time that can stall."""
    with asyncio.Runner(loop_factory=StallingLoop) as runner:
        return runner.run(main)


@dataclass(frozen=True, slots=True)
class Seen:
    """One tick: its snapshot, the faults whose condition stood in it, and the second disconnect's line after it."""

    snapshot: Snapshot
    standing: frozenset[str]
    second: bool

    @property
    def now_s(self) -> float:
        return self.snapshot.now_s


class Bench:
    """A built daemon, its emulators, a second CAN node and the trace of its ticks. Needs a running loop."""

    def __init__(self, settings: Settings, rng: random.Random, assembly: Assembly | None = None) -> None:
        assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
        self.settings, self.rng = settings, rng
        self.assembly = parts = assembly or assemble(settings.sim.world)
        self.node = Node(settings.can.channel)
        self.seen: list[Seen] = []
        hardware = Hardware(parts.afe_bus, parts.shunt_port, parts.lines, parts.world)
        self.installation: Installation = build(settings, hardware, linked=False)
        self.core = self.installation.core
        self.core.watchers.append(self._watch)
        self._tasks: list[asyncio.Future[None]] = []

    def _watch(self, snapshot: Snapshot) -> None:
        standings = self.core.state.prot.standings
        standing = frozenset(code for code, _ in standings) if standings else frozenset()
        self.seen.append(Seen(snapshot, standing, self.assembly.lines.levels.get("second_disconnect", False)))
        self.node.listen(snapshot.now_s)

    # ------------------------------------------------------------------ doing
    def start(self, speaking: bool = False) -> asyncio.Future[None]:
        """The daemon begins to run, and the second node to speak if it is to."""
        run = asyncio.ensure_future(self.core.run())
        self._tasks.append(run)
        if speaking:
            self._tasks.append(asyncio.ensure_future(self.node.run(self.rng.uniform(0.0, 0.1))))
        return run

    def ask(self, action: str, code: str = "") -> None:
        """An operator's request, as it comes over the link."""
        self.core.parts.orders.ask(action, code)

    async def ask_to_close(self) -> None:
        """An open, then a close, as closing needs both."""
        self.ask("open")
        await asyncio.sleep(0.1)
        self.ask("close")

    async def close_pack(self, limit_s: float = 6.0) -> bool:
        """Bring the pack to CLOSED and let its limits rise; False when it does not get there."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + limit_s
        while loop.time() < end_s:
            if self.state is PackState.STANDBY:
                await self.ask_to_close()
                await asyncio.sleep(0.6)
            if self.state is PackState.CLOSED:
                await asyncio.sleep(0.5)
                return True
            await asyncio.sleep(0.05)
        return False

    async def finish(self) -> None:
        """End everything that runs, and let go of every device."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.installation.close()
        self.node.close()

    # ------------------------------------------------------------------ looking
    @property
    def state(self) -> PackState:
        return self.seen[-1].snapshot.control.state if self.seen else PackState.SAFE

    def released_s(self, after_s: float) -> float:
        """When the coils were released, from the gate's own trace."""
        return self.assembly.gate.released_at(after_s)

    def energised_after(self, after_s: float) -> list[float]:
        """When a coil was energised later than this."""
        return [t for t, main, precharge in self.assembly.gate.trace if t > after_s + 1e-9 and (main or precharge)]

    def first(self, after_s: float, holds: Callable[[Seen], bool]) -> float:
        """The first tick from ``after_s`` on of which this holds; infinity if none."""
        return next((seen.now_s for seen in self.seen if seen.now_s >= after_s and holds(seen)), float("inf"))


def settings_for(base: Settings, values: Mapping[str, object], folder: Path, name: str, phase: int) -> Settings:
    """The settings of one run: its own journal, bus and seed, and a current that flows."""
    assert base.sim is not None and isinstance(base.sim.world, WorldSettings)
    own = {
        "journal.path": folder / f"{name}.journal",
        "link.socket": folder / f"{name}.sock",
        "can.interface": "virtual",
        "can.channel": f"{folder.name}-{name}",
        "sim.world.seed": 1000 + phase,
        "sim.world.profile": Constant(current_a=CURRENTS_A[phase % 2]),
    }
    return with_values(base, {**QUICK, **own, **values})


def commission(settings: Settings) -> None:
    """What ``bms-daemon commission`` leaves behind: a journal that approves this configuration."""
    commission_afresh(settings)


def let_go(loop: asyncio.AbstractEventLoop) -> None:
    """End what a killed daemon left on its loop, after everything was measured."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(BusFault):
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
