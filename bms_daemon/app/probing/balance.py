"""The order of the cells: a balancing pulse on each one must be what the chip says it does, and move no other cell."""

from __future__ import annotations

import asyncio

import numpy as np

from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.model import BoolArray, BusFault, FloatArray
from bms_daemon.ports import Afe, Balancer

PULSE_S = 0.3
SEEN_V = 0.002  # a cell that drops by more is the one that is discharged
AGAIN = 3  # pulses that a foreign cell must follow, too: noise does not


async def wiring_order(bench: Bench, afe: Afe) -> list[Finding]:
    """Discharges each cell for a fraction of a second; only where that was allowed."""
    if not isinstance(afe, Balancer):
        return [note(f"{bench.settings.afe.kind} discharges no single cells: their order cannot be told from here")]
    if not bench.balance:
        return [note("the order of the cells was not tried", "bms-daemon probe --balance pulses each one")]
    try:
        return await _pulses(bench, afe, afe)
    except BusFault as fault:
        return [of_fault("balancing", fault)]
    finally:
        await _all_off(bench, afe)


async def _pulses(bench: Bench, afe: Afe, balancer: Balancer) -> list[Finding]:
    series = bench.settings.pack.series
    found, seen = [], 0
    for cell in range(series):
        held, drop_v = await _followed(bench, afe, balancer, cell)
        if not (held == (np.arange(series) == cell)).all():
            names = ", ".join(map(str, (np.flatnonzero(held) + 1).tolist())) or "none"
            found.append(wrong(f"cell {cell + 1} was to be discharged, the chip says {names}", "it refuses, or is hot"))
        elif _foreign(drop_v, cell):
            text = f"discharging cell {cell + 1} moves cell {int(drop_v.argmax()) + 1}"
            found.append(wrong(text, "their sense wires are swapped"))
        seen += int(drop_v[cell] > SEEN_V)
    if not found:
        found.append(ok(f"each of {series} cells can be discharged by itself"))
    if seen < series:
        found.append(
            note(f"the voltage of {series - seen} cells did not move meanwhile: the chip pauses while it measures")
        )
    return found


async def _followed(bench: Bench, afe: Afe, balancer: Balancer, cell: int) -> tuple[BoolArray, FloatArray]:
    """As of one pulse; where another cell fell furthest, how far each one falls every time."""
    held, drop_v = await _pulse(bench, afe, balancer, cell)
    for _ in range(AGAIN):
        if not _foreign(drop_v, cell):
            break
        held, again_v = await _pulse(bench, afe, balancer, cell)
        drop_v = np.minimum(drop_v, again_v)
    return held, drop_v


def _foreign(drop_v: FloatArray, cell: int) -> bool:
    """Whether the cell that fell furthest is another one."""
    furthest = int(drop_v.argmax())
    return furthest != cell and bool(drop_v[furthest] > SEEN_V)


async def _pulse(bench: Bench, afe: Afe, balancer: Balancer, cell: int) -> tuple[BoolArray, FloatArray]:
    """Which cells the chip says it discharges, and how far each one's voltage fell meanwhile."""
    wanted = np.arange(bench.settings.pack.series) == cell
    before_v = (await afe.scan()).cell_v
    held = await balancer.balance(wanted)
    await asyncio.sleep(PULSE_S)
    drop_v: FloatArray = before_v - (await afe.scan()).cell_v
    await balancer.balance(np.zeros_like(wanted))
    return held, drop_v


async def _all_off(bench: Bench, balancer: Balancer) -> None:
    try:
        await balancer.balance(np.zeros(bench.settings.pack.series, dtype=bool))
    except BusFault:
        return  # what is not asked for again ends by itself
