"""Cells, stack, thermistors: plausible, quiet, and measured as fast as the bus allows."""

from __future__ import annotations

import asyncio

import numpy as np

from bms_daemon.app.probing.bench import Bench, now_s
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.model import BusFault, FloatArray, TempScan
from bms_daemon.ports import Afe

SCANS = 10
ABSENT_V = 0.1
LOOSE_V = 0.3  # neighbours that differ so much in opposite ways share a loose or swapped wire
NOISE_V = 0.005
SAME_DEGC = 0.05


async def cells_read(bench: Bench, afe: Afe) -> list[Finding]:
    """Scan as the daemon does, and judge the last scan's values."""
    fault = await _scan(bench, afe)
    if fault is not None:
        return [of_fault("scan of the cells", fault)]
    scan, limits = bench.scans[-1], bench.settings.cell
    cell_v = scan.cell_v
    found = [*_absent(cell_v), *_outside(cell_v, limits.valid_min_v, limits.valid_max_v)]
    found += _crossed(cell_v) if not found else []
    if not found:
        low, high = int(cell_v.argmin()), int(cell_v.argmax())
        found = [
            ok(
                f"{cell_v.size} cells, {cell_v[low]:.3f} V (cell {low + 1}) to {cell_v[high]:.3f} V (cell {high + 1}), "
                f"sum {cell_v.sum():.2f} V"
            )
        ]
    if scan.note:
        found.append(wrong(scan.note, "mend the wire that it names, or replace the chip"))
    return [*found, *_stack(bench)]


async def _scan(bench: Bench, afe: Afe) -> BusFault | None:
    try:
        for _ in range(SCANS):
            await asyncio.sleep(bench.settings.afe.scan_period_s)
            begun_s = now_s()
            bench.scans.append(await afe.scan())
            bench.scan_s.append(now_s() - begun_s)
    except BusFault as fault:
        return fault
    return None


def _absent(cell_v: FloatArray) -> list[Finding]:
    absent = np.flatnonzero(~(cell_v >= ABSENT_V)) + 1
    if absent.size == 0:
        return []
    names = ", ".join(map(str, absent[:8].tolist())) + (" ..." if absent.size > 8 else "")
    return [wrong(f"cell {names}: nothing there", "check its sense wires and fuses, and which inputs carry cells")]


def _outside(cell_v: FloatArray, low_v: float, high_v: float) -> list[Finding]:
    places = np.flatnonzero((cell_v >= ABSENT_V) & ((cell_v < low_v) | (cell_v > high_v)))
    mend = "measure it with a meter before anything else; a loose sense wire pushes its neighbour the other way"
    return [wrong(f"cell {at + 1} reads {cell_v[at]:.3f} V, which no cell has", mend) for at in places[:8].tolist()]


def _crossed(cell_v: FloatArray) -> list[Finding]:
    """A wire between two cells that is loose or swapped lifts one and lowers the other."""
    apart_v = cell_v - np.median(cell_v)
    pairs = np.flatnonzero((np.abs(apart_v[1:] - apart_v[:-1]) > LOOSE_V) & (apart_v[1:] * apart_v[:-1] < 0.0)) + 1
    return [
        wrong(
            f"cell {at} reads {cell_v[at - 1]:.3f} V and cell {at + 1} {cell_v[at]:.3f} V",
            f"the wire between cells {at} and {at + 1} is loose or at the wrong place",
        )
        for at in pairs.tolist()
    ]


def _stack(bench: Bench) -> list[Finding]:
    scan, limits = bench.scans[-1], bench.settings.cell
    apart_v = abs(float(scan.cell_v.sum()) - scan.stack_v)
    if apart_v <= limits.sum_tolerance_v:
        return [ok(f"the stack reads {scan.stack_v:.2f} V, as its cells")]
    text = f"the stack reads {scan.stack_v:.2f} V, its cells add up to {float(scan.cell_v.sum()):.2f} V"
    return [wrong(text, "a cell is missing or counted twice: check which inputs carry cells")]


async def cells_are_quiet(bench: Bench, _: Afe) -> list[Finding]:
    """Noise of the worst cell, and the time of a scan beside the least that the bus and the chip need."""
    if not bench.scans:
        return []
    spread_v = np.std([scan.cell_v for scan in bench.scans], axis=0)
    worst = int(np.nanargmax(spread_v)) if np.isfinite(spread_v).any() else 0
    text = f"noise of {1e3 * spread_v[worst]:.1f} mV at cell {worst + 1}, the noisiest, over {len(bench.scans)} scans"
    quiet = spread_v[worst] <= NOISE_V
    noise = ok(text) if quiet else wrong(text, "a loose wire, no filter, or a load that changes: look at this cell")
    least = bench.settings.afe.settings.scan_time(bench.settings.pack.series)
    taken_s = float(np.median(bench.scan_s))
    time = f"a scan takes {1e3 * taken_s:.1f} ms of its {1e3 * bench.settings.afe.scan_period_s:.0f} ms"
    time += f", the least that the bus and the chip need is {1e3 * least.whole_s:.1f} ms"
    slow = taken_s > bench.settings.afe.scan_period_s / 2.0
    return [noise, note(time, "more than half of the period: slower scans or a faster bus") if slow else ok(time)]


async def thermistors(bench: Bench, afe: Afe) -> list[Finding]:
    try:
        temps = await afe.scan_temps()
    except BusFault as fault:
        return [of_fault("temperatures", fault)]
    die = [ok(f"the chip itself is at {temps.die_degc:.0f} degC")] if np.isfinite(temps.die_degc) else []
    return [*_probes(temps, bench), *die]


def _probes(temps: TempScan, bench: Bench) -> list[Finding]:
    limits, degc = bench.settings.temperature, temps.probe_degc
    found = []
    for at, value in enumerate(degc.tolist(), 1):
        if np.isnan(value):
            found.append(wrong(f"probe {at} reads nothing", "it is open or shorted: check its wire and its plug"))
        elif value < limits.valid_min_degc:
            found.append(wrong(f"probe {at} reads {value:.0f} degC", "it is open: check its wire and its plug"))
        elif value > limits.valid_max_degc:
            found.append(wrong(f"probe {at} reads {value:.0f} degC", "it is shorted, or of another kind"))
    found = found or [ok(f"probes: {degc.size}, {degc.min():.1f} to {degc.max():.1f} degC")]
    if degc.size > 2 and float(np.ptp(degc)) < SAME_DEGC:
        found.append(note("all probes read the same", "warm one by hand: are they different probes"))
    return found
