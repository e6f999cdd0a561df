"""Rows that need a course of events of their own: a precharge that never ends (A05), a damaged journal (F03)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from bms_daemon.app.keeper import commissioned
from bms_daemon.config.load import config_hash
from bms_daemon.config.schema import Settings
from bms_daemon.model import PackState, Reaction, Survivor
from bms_daemon.offline.campaign_bench import DRAIN_S, Bench, commission, run_stalling, settings_for
from bms_daemon.offline.campaign_result import Result, bound_of, late, with_problems
from bms_daemon.offline.campaign_runs import BOOT
from bms_daemon.runtime.journal import Journal
from bms_daemon.sim import faults

R = Reaction
OLDER_SOC, NEWER_SOC = 0.40, 0.55
NEWER, BOTH = "F03 newer generation", "F03 both generations"


# ------------------------------------------------------------------ A05
def precharge(mode: str, phase: int, base: Settings, folder: Path) -> Result:
    """A load holds the link under 95 %, from the start or after a healthy closing; the operator asks four times."""
    name = f"A05-{mode}-{phase}"
    settings = settings_for(base, {}, folder, name, phase)
    commission(settings)
    blank = Result("A05", "A05", mode, phase, "precharge_failed", R.OPEN)
    return run_stalling(_precharge(settings, random.Random(name), blank))


async def _precharge(settings: Settings, rng: random.Random, blank: Result) -> Result:
    bench = Bench(settings, rng)
    if blank.mode == BOOT:
        faults.inject(bench.assembly, "precharge_load")
    bench.start()
    try:
        await asyncio.sleep(1.5 + rng.uniform(0.0, 0.2))
        if blank.mode != BOOT and not await _once_healthy(bench):
            return with_problems(blank, ["the pack did not close before the fault came"])
        true_s = asyncio.get_running_loop().time()
        for _ in range(settings.contactor.precharge_tries + 1):
            await bench.ask_to_close()
            await asyncio.sleep(settings.contactor.precharge_s + DRAIN_S)
        return _tried(bench, blank, true_s)
    finally:
        await bench.finish()


async def _once_healthy(bench: Bench) -> bool:
    closed = await bench.close_pack()
    bench.ask("open")
    await asyncio.sleep(bench.settings.open_grace_s + DRAIN_S)
    faults.inject(bench.assembly, "precharge_load")
    return closed


def _tried(bench: Bench, blank: Result, true_s: float) -> Result:
    """The longest try counts."""
    bound = bound_of(bench.settings, blank.row, blank.code, blank.reaction)
    assert bound is not None and bound.open_s is not None
    trace = [entry for entry in bench.assembly.gate.trace if entry[0] > true_s]
    begun = [t for t, _, coil in trace if coil]
    longest_s = max((bench.released_s(t) - t for t in begun), default=float("nan"))
    found = replace(blank, open_s=longest_s, open_bound_s=bound.open_s)
    problems = late(replace(found, decide_s=0.0))
    if len(begun) != bench.settings.contactor.precharge_tries:
        problems.append(f"{len(begun)} tries, {bench.settings.contactor.precharge_tries} are allowed")
    if any(main for _, main, _ in trace):
        problems.append("the main coil was energised onto a link that is not up")
    if "precharge_failed" not in bench.seen[-1].snapshot.faults.latched:
        problems.append("precharge_failed is not latched")
    return with_problems(found, problems)


# ------------------------------------------------------------------ F03
def journal(case: str, mode: str, phase: int, base: Settings, folder: Path) -> Result:
    """Slots cut at any byte (even phases) or with any bit flipped (odd ones), before the start or while closed."""
    name = f"{case}-{mode}-{phase}".replace(" ", "_")
    settings = settings_for(base, {}, folder, name, phase)
    keep = Journal(settings.journal.path)
    for soc in (OLDER_SOC, NEWER_SOC):
        keep.save(commissioned(Survivor(soc=soc, soc_sigma=0.02), config_hash(settings)))
    rng = random.Random(name)
    blank = Result(case, "F03", mode, phase, "journal_missing", R.INHIBIT)
    if mode == BOOT:
        _damage_some(case, settings, rng, phase)
        return run_stalling(_started(settings, rng, blank))
    return run_stalling(_damaged_while_closed(settings, rng, blank))


def _slots(settings: Settings) -> tuple[Path, Path]:
    """Older and newer, as two saves into an empty folder leave them."""
    path = settings.journal.path
    return path.with_name(path.name + ".a"), path.with_name(path.name + ".b")


def _damage_some(case: str, settings: Settings, rng: random.Random, phase: int) -> None:
    for slot in _slots(settings)[case == NEWER :]:
        data = bytearray(slot.read_bytes())
        at = rng.randrange(len(data))
        if phase % 2:
            data[at] ^= 1 << rng.randrange(8)
        slot.write_bytes(data if phase % 2 else data[:at])


async def _started(settings: Settings, rng: random.Random, blank: Result) -> Result:
    """The older generation is used; where none is left the pack never closes, and no state of charge is vouched for."""
    bench = Bench(settings, rng)
    bench.start()
    try:
        closed = await bench.close_pack(3.0)
        first, last = bench.seen[0].snapshot, bench.seen[-1].snapshot
        if blank.case == NEWER:
            problems = [] if closed else [f"did not close: {last.faults.active}"]
            good = abs(first.estimate.soc - OLDER_SOC) < 0.01
            return with_problems(blank, problems + ([] if good else [f"started from soc {first.estimate.soc}"]))
        problems = ["closed without a journal"] if bench.energised_after(0.0) else []
        problems += [] if last.faults.inhibit else ["nothing forbids closing"]
        vouched = any(seen.snapshot.estimate.soc_valid for seen in bench.seen)
        return with_problems(blank, problems + (["soc_valid without a journal"] if vouched else []))
    finally:
        await bench.finish()


async def _damaged_while_closed(settings: Settings, rng: random.Random, blank: Result) -> Result:
    """INHIBIT leaves a closed pack alone; the damage is found at the next start. A power cut writes nothing more."""
    bench = Bench(settings, rng)
    bench.start()
    try:
        if not await bench.close_pack():
            return with_problems(blank, ["the pack did not close before the fault came"])
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        _damage_some(BOTH, settings, rng, blank.phase)
        left = [slot.read_bytes() for slot in _slots(settings)]
        await asyncio.sleep(1.0)
        still = bench.state is PackState.CLOSED
    finally:
        await bench.finish()
    for slot, data in zip(_slots(settings), left, strict=True):
        slot.write_bytes(data)
    problems = [] if still else ["opened a pack in operation"]
    restarted = await _started(settings, rng, blank)
    return with_problems(blank, [*problems, *restarted.problems])
