"""The analog front end: who answers, with which checksum, and what it takes of the configuration."""

from __future__ import annotations

import asyncio
from typing import Any

from bms_daemon.app.probing.bench import ANSWER_S, Bench
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.model import BusFault
from bms_daemon.ports import Afe


async def afe_answers(bench: Bench) -> list[Finding]:
    """Set it up as the daemon does; where that fails, look for what would answer instead."""
    kind, table = bench.settings.afe.kind, bench.settings.afe.settings
    driver = bench.afe(table)
    fault = await _set_up(driver)
    if fault is None:
        bench.driver = driver
        text = f"{kind} on {bench.settings.afe.bus} is what the configuration says, and holds it"
        return [ok(text), _limits(bench)]
    found = [of_fault(f"{kind} on {bench.settings.afe.bus}", fault)]
    for changes in table.alternatives():
        if await _set_up(bench.afe(table.model_copy(update=changes))) is None:
            words = ", ".join(f"{name} = {_toml(value)}" for name, value in changes.items())
            return [*found, wrong(f"it answers with {words}", f"write {words} into [afe.settings]")]
    return found


def _limits(bench: Bench) -> Finding:
    held = bench.settings.afe.settings.hardware_limits()
    if not held:
        return note("it keeps no limits of its own: the daemon alone protects the cells")
    plain = {name: value for name, value in held.items() if name.endswith(("_v", "_a")) and "hysteresis" not in name}
    return ok("limits that it keeps by itself: " + ", ".join(f"{name} {value:g}" for name, value in plain.items()))


async def _set_up(driver: Afe) -> BusFault | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await driver.setup()
    except BusFault as fault:
        return fault
    except TimeoutError:
        return BusFault("timeout", f"no answer within {ANSWER_S:g} s")
    return None


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"0x{value:02X}"
