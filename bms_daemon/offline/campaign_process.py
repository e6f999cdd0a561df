"""Rows in which the process is what breaks: killed, hung, or ended by an exception; and what a restart makes of it.

The world has its own clock. After the kill nothing of the daemon runs any more, no cleanup either: only the world is
moved on, and what opens the coil is outside of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bms_daemon.config.schema import Settings
from bms_daemon.model import PackState, Reaction, Snapshot
from bms_daemon.offline.campaign_bench import Bench, commission, let_go, run_stalling, settings_for
from bms_daemon.offline.campaign_result import Result, bound_of, late, with_problems
from bms_daemon.offline.campaign_runs import BOOT
from bms_daemon.runtime.clock import ManualLoop
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.gpio import SimLines
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.serial import SimSerial
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.taps import Chip
from bms_daemon.sim.vedirect import VeDirectShunt
from bms_daemon.sim.world import World

STEP_S = 0.02
R = Reaction


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ends. ``dies``: the kernel takes its lines back, otherwise it hangs and holds them.

    ``stuck``: the dead-man's oscillator goes on by itself, so that only the chip's watchdog is left.
    """

    name: str
    row: str
    code: str
    dies: bool
    stuck: bool = False
    values: Mapping[str, object] = field(default_factory=dict)


BEAGLEBONE = {"sim.world.board": "beaglebone"}
ENDINGS = (
    Ending("P07 Raspberry Pi", "P07", "dead_man", dies=True),
    Ending("P07 BeagleBone", "P07", "dead_man", dies=True, values=BEAGLEBONE),
    Ending("P07 dead-man defeated", "P07", "afe_watchdog", dies=True, stuck=True),
    Ending("A16 Raspberry Pi", "A16", "dead_man", dies=False),
    Ending("A16 BeagleBone", "A16", "dead_man", dies=False, values=BEAGLEBONE),
    Ending("A16 dead-man defeated", "A16", "afe_watchdog", dies=False, stuck=True),
)


class OwnClock:
    """The world's time: the loop's while the daemon lives, then its own. ``ahead_s``: of a loop that began anew."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s: Callable[[], float] | None = now_s
        self._own_s = self.ahead_s = 0.0

    def now_s(self) -> float:
        return self._own_s if self._now_s is None else self._now_s() + self.ahead_s

    def take_over(self) -> None:
        self._own_s, self._now_s = self.now_s(), None

    def pass_s(self, seconds: float) -> float:
        self._own_s += seconds
        return self._own_s

    def hand_over(self, now_s: Callable[[], float]) -> None:
        self.ahead_s, self._now_s = self._own_s - now_s(), now_s


def end(ending: Ending, mode: str, phase: int, base: Settings, folder: Path) -> Result:
    """Run to operation, or into precharge, end the process at any instant, and start it again on the same pack."""
    name = f"{ending.name}-{mode}-{phase}".replace(" ", "_")
    settings = settings_for(base, ending.values, folder, name, phase)
    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    commission(settings)
    rng = random.Random(name)
    loop = ManualLoop()
    clock = OwnClock(loop.time)
    parts = assemble(settings.sim.world, clock.now_s)
    blank = Result(ending.name, ending.row, mode, phase, ending.code, R.OPEN)
    try:
        bench = loop.run_until_complete(_until(mode, settings, rng, parts))
        found = _killed(ending, bench, clock, blank)
    finally:
        let_go(loop)
    bench.installation.close()
    bench.node.close()
    return with_problems(found, _restarted(settings, rng, parts, clock))


async def _until(mode: str, settings: Settings, rng: random.Random, parts: Assembly) -> Bench:
    """A bench whose pack is closed, or in the midst of a precharge, up to an instant between two steps of the loop."""
    bench = Bench(settings, rng, parts)
    bench.start()
    if mode == BOOT:
        await asyncio.sleep(1.5)
        await bench.ask_to_close()
        await asyncio.sleep(rng.uniform(0.03, 0.12))
    else:
        await bench.close_pack()
        await asyncio.sleep(rng.uniform(0.0, 0.3))
    return bench


def _killed(ending: Ending, bench: Bench, clock: OwnClock, blank: Result) -> Result:
    """The loop is not run any more; the world is, by 20 ms at a time, past the bound."""
    parts, gate = bench.assembly, bench.assembly.gate
    coils = gate.coil(clock.now_s())
    clock.take_over()
    true_s = clock.now_s()
    if ending.dies:
        parts.world.process_died()
    bound = bound_of(bench.settings, "P07", ending.code, R.OPEN)
    assert bound is not None and bound.open_s is not None
    while clock.now_s() < true_s + bound.open_s + 0.5:
        now_s = clock.pass_s(STEP_S)
        parts.world.sync(now_s)
        if ending.stuck:
            gate.dead_man_edge(now_s)
    open_s = bench.released_s(true_s) - true_s
    found = replace(blank, open_s=open_s, open_bound_s=bound.open_s)
    problems = [] if any(coils) else ["no coil was energised when the process ended"]
    if ending.dies and ending.values == BEAGLEBONE and open_s > 0.0:
        problems.append(f"the board released its lines, yet the coil opened {open_s:.3f} s later")
    problems += late(replace(found, decide_s=0.0))
    problems += [f"energised again at {t:.3f}" for t in bench.energised_after(true_s + open_s)]
    return with_problems(found, problems)


# ------------------------------------------------------------------ the restart
def _restarted(settings: Settings, rng: random.Random, parts: Assembly, clock: OwnClock) -> list[str]:
    """A new process on the same pack, chip, gate and journal: it comes up SAFE and closes nothing by itself."""
    return run_stalling(_second_life(settings, rng, parts, clock))


async def _second_life(settings: Settings, rng: random.Random, old: Assembly, clock: OwnClock) -> list[str]:
    clock.hand_over(asyncio.get_running_loop().time)
    bench = Bench(settings, rng, _reconnected(settings, old, clock))
    bench.start()
    try:
        started_s = clock.now_s()
        await asyncio.sleep(1.5)
        bench.ask("close")
        await asyncio.sleep(1.0)
        first = bench.seen[0].snapshot.control.state
        problems = [] if first is PackState.SAFE else [f"the restart came up {first.name}"]
        again = bench.energised_after(started_s)
        return problems + ([f"the restart energised a coil at {again[0]:.3f} s"] if again else [])
    finally:
        await bench.finish()


def _reconnected(settings: Settings, old: Assembly, clock: OwnClock) -> Assembly:
    """The same plant, chip and gate behind lines that were requested anew, which drives outputs inactive."""
    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    sim = settings.sim.world
    lines = SimLines(sim.board)
    old.gate.drive(clock.now_s(), False, False)
    talker = VeDirectShunt(old.plant.taps, sim.seed, sim.capacity_ah, sim.initial_soc)
    effects: dict[str, Callable[[bool], None]] = {"fan": old.plant.set_fan, "second_disconnect": old.plant.trip}
    world = World(old.plant, old.chip, talker, lines, old.gate, effects, clock.now_s)
    i2c = SimI2cBus(lambda now_s: world.sync(now_s + clock.ahead_s))
    i2c.attach(0x08, old.chip)
    serial = SimSerial(talker, lambda now_s: world.sync(now_s + clock.ahead_s))
    return replace(old, world=world, lines=lines, talker=talker, afe_bus=i2c, shunt_port=serial)


# ------------------------------------------------------------------ P06
class Broken:
    """A chip whose emulator raises what no driver expects."""

    def __init__(self, chip: Chip, happened: Callable[[], None]) -> None:
        self._chip, self._happened = chip, happened

    def __getattr__(self, name: str) -> object:
        return getattr(self._chip, name)

    def i2c_write(self, data: bytes) -> bool:
        self._happened()
        raise ZeroDivisionError("a defect in a source")


def crash(mode: str, phase: int, base: Settings, folder: Path) -> Result:
    """P06: an exception in a source (even phases) or inside a tick (odd ones), in operation or before closing."""
    name = f"P06-{mode}-{phase}"
    settings = settings_for(base, {}, folder, name, phase)
    commission(settings)
    blank = Result("P06", "P06", mode, phase, "exception", R.OPEN)
    return run_stalling(_crash(mode, settings, random.Random(name), blank))


async def _crash(mode: str, settings: Settings, rng: random.Random, blank: Result) -> Result:
    loop = asyncio.get_running_loop()
    bench = Bench(settings, rng)
    run = bench.start()
    if mode != BOOT and not await bench.close_pack():
        return with_problems(blank, ["the pack did not close"])
    await asyncio.sleep(rng.uniform(0.0, 0.2))
    raised_s: list[float] = []

    def in_tick(_: Snapshot) -> None:
        raised_s.append(loop.time())
        raise ZeroDivisionError("a defect inside a tick")

    if blank.phase % 2:
        bench.core.watchers.append(in_tick)
    else:
        bench.assembly.afe_bus.attach(0x08, Broken(bench.assembly.chip, lambda: raised_s.append(loop.time())))
    with contextlib.suppress(ZeroDivisionError):
        await asyncio.wait_for(asyncio.shield(run), 1.0)
    problems = [] if run.done() and isinstance(run.exception(), ZeroDivisionError) else ["the core went on"]
    await bench.finish()
    return with_problems(_crashed(bench, blank, raised_s[0]), problems)


def _crashed(bench: Bench, blank: Result, true_s: float) -> Result:
    bound = bound_of(bench.settings, "P06", "exception", R.OPEN)
    assert bound is not None and bound.open_s is not None
    open_s = bench.released_s(true_s) - true_s
    found = replace(blank, detect_s=0.0, decide_s=0.0, actuate_s=open_s, open_s=open_s, open_bound_s=bound.open_s)
    again = bench.energised_after(true_s + open_s)
    return with_problems(found, late(found) + [f"energised again at {t:.3f}" for t in again])
