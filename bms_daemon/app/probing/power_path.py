"""The power path, only when asked for: the daemon's own core closes and opens it once, with every protection on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from bms_daemon.app.build import Installation, build
from bms_daemon.app.core import Core
from bms_daemon.app.probing.bench import Bench, now_s
from bms_daemon.app.probing.finding import Finding, note, of_fault
from bms_daemon.app.probing.trace import read_trace
from bms_daemon.model import BusFault, PackState, Snapshot
from bms_daemon.stages.contactors import ENERGISED

READY_S = 30.0  # chips settle, inputs are seen, a resistor cools
HOLD_S = 3.0
AFTER_S = 1.0
STEP_S = 0.05


async def power_path(bench: Bench) -> list[Finding]:
    if not bench.contactors:
        return [note("not closed: --contactors closes and opens the pack once")]
    if bench.wrong:
        return [note("not closed: mend what is wrong above, then try again")]
    try:
        installation = build(bench.settings, bench.hardware, linked=False)
    except BusFault as fault:
        return [of_fault("the daemon does not start", fault)]
    seen: list[Snapshot] = []
    installation.core.watchers.append(seen.append)
    refusal = await _tried(installation, seen)
    return read_trace(bench.settings, refusal, seen)


async def _tried(installation: Installation, seen: list[Snapshot]) -> str:
    """Close, hold, open; why it did not close. Whoever ends it meanwhile gets an orderly opening, too."""
    core = installation.core
    task = asyncio.ensure_future(core.run())
    try:
        refusal = await _asked(core, seen)
        if not refusal:
            await _closed_and_opened(core, seen)
    finally:
        core.shutdown()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if installation.bus is not None:
            installation.bus.close()
    return f"the core ended: {ended}" if isinstance(ended, Exception) else refusal


async def _asked(core: Core, seen: list[Snapshot]) -> str:
    """What kept the pack from closing until patience ended; empty once it is on its way."""
    refusal, end_s = "", now_s() + READY_S
    while now_s() < end_s:
        await asyncio.sleep(STEP_S)
        if seen and seen[-1].control.state is PackState.STANDBY and not seen[-1].control.armed:
            core.parts.orders.ask("open")
        refusal = core.refusal("close", "")
        if not refusal:
            core.parts.orders.ask("close")
            return ""
    return refusal


async def _closed_and_opened(core: Core, seen: list[Snapshot]) -> None:
    settings = core.parts.settings.contactor
    await _until(lambda: seen[-1].control.state is PackState.CLOSED, settings.precharge_s + 1.0)
    if seen[-1].control.state is PackState.CLOSED:
        await asyncio.sleep(HOLD_S)
    core.parts.orders.ask("open")
    await _until(lambda: seen[-1].control.state not in ENERGISED, core.parts.settings.open_grace_s + 1.0)
    await asyncio.sleep(AFTER_S)


async def _until(holds: Callable[[], bool], timeout_s: float) -> None:
    """Returns when it holds or the time is over, whichever comes first."""
    for _ in range(math.ceil(timeout_s / STEP_S)):
        if holds():
            return
        await asyncio.sleep(STEP_S)
