"""One run of one case: the fault comes in operation, or is there from the start; then the operator asks in vain."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from bms_daemon.config.schema import Settings
from bms_daemon.model import Reaction
from bms_daemon.offline.campaign_bench import DRAIN_S, Bench, commission, run_stalling, settings_for
from bms_daemon.offline.campaign_cases import Boot, Case, Origin
from bms_daemon.offline.campaign_result import Result, bound_of, measure, shows, with_problems

OPERATION, BOOT = "operation", "boot"
AFTER_S = 0.3  # what is waited beyond the bound
UNBOUND_S = 2.5  # how long a row without a number is watched
LASTING_S = 20.0  # how long A11 watches for a second closing
MENDED_S = 3.5  # until every source has settled again


def one(case: Case, mode: str, phase: int, base: Settings, folder: Path) -> Result:
    """Run one phase from power-up to its end, on manual time."""
    name = f"{case.name}-{mode}-{phase}".replace(" ", "_").replace(",", "")
    settings = settings_for(base, case.values, folder, name, phase)
    commission(settings)
    rng = random.Random(f"{case.name} {mode} {phase}")
    blank = Result(case.name, case.row, mode, phase, case.code, case.reaction)
    run = _operate if mode == OPERATION else _boot
    return run_stalling(run(case, settings, rng, blank))


# ------------------------------------------------------------------ in operation
async def _operate(case: Case, settings: Settings, rng: random.Random, blank: Result) -> Result:
    bench = Bench(settings, rng)
    case.prepare(bench)
    bench.start(case.speaks)
    try:
        if not await bench.close_pack():
            return with_problems(blank, ["the pack did not close before the fault came"])
        await asyncio.sleep(case.closed_s + rng.uniform(0.0, 1.0))
        return await _inject(case, bench, blank)
    finally:
        await bench.finish()


async def _inject(case: Case, bench: Bench, blank: Result) -> Result:
    """The fault comes now; then everything that must not happen is tried."""
    loop = asyncio.get_running_loop()
    true_s = loop.time()
    case.inject(bench)
    bound = bound_of(bench.settings, case.row, case.code, case.reaction)
    wait_s = UNBOUND_S if bound is None else bound.open_s or bound.announce_s
    if case.origin is Origin.RELEASE:
        wait_s += bench.settings.open_grace_s
    await asyncio.sleep(LASTING_S if case.row == "A11" else wait_s + AFTER_S)
    if case.origin is Origin.RELEASE:
        true_s = bench.released_s(true_s)
    found = measure(bench, blank, true_s)
    if case.origin is Origin.INJECTION:
        found = with_problems(found, _limits_were_zero(bench, true_s))
    if case.reaction < Reaction.STOP:
        return with_problems(found, _fired(bench))
    if case.asks:
        await asyncio.sleep(DRAIN_S)
        await bench.ask_to_close()
        await asyncio.sleep(0.5)
    found = with_problems(found, _closed_again(bench, true_s + found.open_s))
    if case.reaction is not Reaction.SECOND:
        found = with_problems(found, _fired(bench))
    return await _come_back(case, bench, found)


def _limits_were_zero(bench: Bench, true_s: float) -> list[str]:
    """An announcement of what was announced before proves nothing."""
    before = [heard for heard in bench.node.limits if heard.time_s < true_s]
    good = before and min(before[-1].charge_a, before[-1].discharge_a) > 0.0
    return [] if good else ["limits were 0 before the fault came"]


def _fired(bench: Bench) -> list[str]:
    """The second disconnect is for a pack that the first could not open; some do not come back."""
    fired_s = bench.first(0.0, lambda seen: seen.snapshot.command.second)
    return [f"the second disconnect was fired at {fired_s:.3f} s"] if fired_s < float("inf") else []


def _closed_again(bench: Bench, released_s: float) -> list[str]:
    return [f"a coil was energised again {t - released_s:.3f} s after" for t in bench.energised_after(released_s)[:1]]


async def _come_back(case: Case, bench: Bench, found: Result) -> Result:
    """In the first phase: when the cause is gone the pack closes again, a latched one only after it was cleared."""
    if case.mend is None or found.phase:
        return found
    case.mend(bench)
    await asyncio.sleep(MENDED_S)
    ended_s = asyncio.get_running_loop().time()
    problems = []
    if bench.seen[-1].snapshot.faults.latched:
        await bench.ask_to_close()
        await asyncio.sleep(0.5)
        problems = _closed_again(bench, ended_s)
        bench.ask("clear", "all")
        await asyncio.sleep(0.2)
    await bench.ask_to_close()
    await asyncio.sleep(1.0)
    if not bench.energised_after(ended_s):
        state = bench.seen[-1].snapshot
        problems.append(f"does not close after the cause is gone: {state.control.state.name} {state.faults.active}")
    return with_problems(found, problems)


# ------------------------------------------------------------------ at boot
async def _boot(case: Case, settings: Settings, rng: random.Random, blank: Result) -> Result:
    bench = Bench(settings, rng)
    case.prepare(bench)
    await asyncio.sleep(rng.uniform(0.0, 0.1))
    case.inject(bench)
    bench.start(case.speaks)
    try:
        await asyncio.sleep(case.first_ask_s + rng.uniform(0.0, 0.2))
        for _ in range(2):
            await bench.ask_to_close()
            await asyncio.sleep(1.2)
        return with_problems(blank, _boot_problems(case, bench, blank))
    finally:
        await bench.finish()


def _boot_problems(case: Case, bench: Bench, blank: Result) -> list[str]:
    energised = bench.energised_after(0.0)
    seen = any(shows(tick, case.code, case.reaction) for tick in bench.seen)
    if case.boot is Boot.STAYS_OPEN:
        inhibited = bench.seen[-1].snapshot.faults.inhibit
        problems = [f"a coil was energised at {energised[0]:.3f} s"] if energised else []
        return problems + ([] if inhibited else ["nothing forbids closing"])
    if not energised and case.boot is not Boot.BLOCKED:
        return [f"did not close: {bench.seen[-1].snapshot.faults.active}"]
    if case.boot is Boot.NOTHING:
        return [f"{case.code} without ever having been there"] if seen else []
    problems = [] if seen else [f"{case.code} never became {case.reaction.name}"]
    return problems + (_reacted(case, bench, blank) if case.boot is Boot.REACTS else [])


def _reacted(case: Case, bench: Bench, blank: Result) -> list[str]:
    """Counted from the main coil: before, the fault could not show."""
    closed_s = next((t for t, main, _ in bench.assembly.gate.trace if main), float("inf"))
    found = measure(bench, blank, closed_s)
    again = [] if not case.asks else _closed_again(bench, closed_s + found.open_s)
    return [*found.problems, *again]
