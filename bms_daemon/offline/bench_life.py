"""A real core in real time: how late its ticks are, alone and beside a flood; its first frame; its memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bms_daemon.can.database import load as load_database
from bms_daemon.can.e2e import Protection
from bms_daemon.offline.bench_broker import Broker, brokered
from bms_daemon.offline.bench_figure import Figure
from bms_daemon.offline.bench_flood import flooding
from bms_daemon.offline.bench_site import CoreProcess, Timing, place, running

FLOOD_MESSAGES = 2_000_000
LATENESS_MS, RATIO, START_S, MEMORY_MB = 1.0, 1.5, 1.5, 60.0
HARDWARE_PATH = """
import sys
sys.modules["rich"] = None
import bms_daemon.__main__, bms_daemon.app.build, bms_daemon.app.child, bms_daemon.commands.run
from bms_daemon.can.database import load
from bms_daemon.drivers import bq76952, vedirect
from bms_daemon.runtime.realtime import freeze
database = load()
freeze()
print(next(int(line.split()[1]) / 1024.0 for line in open("/proc/self/status") if line.startswith("VmRSS:")))
"""


def figures(folder: Path, seconds: float) -> list[Figure]:
    """Everything that needs real processes; ``seconds`` is the length of each lateness record."""
    return [*asyncio.run(_lateness(folder, seconds)), *asyncio.run(_start(folder)), _imports()]


async def _lateness(folder: Path, seconds: float) -> list[Figure]:
    found: list[Figure] = []
    for realtime in (False, True):
        alone = await _alone(folder, seconds, realtime)
        flooded = await _flooded(folder, seconds, realtime)
        found += _compared("SCHED_FIFO" if realtime else "as shipped", alone, flooded)
    return found


async def _alone(folder: Path, seconds: float, realtime: bool) -> Timing:
    async with running(place(_made(folder / f"alone{realtime}"), realtime=realtime)) as core:
        return await _recorded(core, seconds)


async def _flooded(folder: Path, seconds: float, realtime: bool) -> Timing:
    """A core whose gateway looks at every command of a flooded broker, and whose socket is flooded as well."""
    here = _made(folder / f"flooded{realtime}")
    async with AsyncExitStack() as stack:
        broker: Broker = await stack.enter_async_context(brokered(here))
        core = await stack.enter_async_context(running(place(here, broker.port, realtime)))
        await core.gateway()
        await core.snapshot()
        for kind, target in (("mqtt", str(broker.port)), ("link", str(core.socket))):
            await stack.enter_async_context(flooding(kind, target, FLOOD_MESSAGES, seconds + 5.0))
        return await _recorded(core, seconds)


async def _recorded(core: CoreProcess, seconds: float) -> Timing:
    await core.snapshot()
    await asyncio.sleep(seconds)
    return await core.timing()


def _compared(how: str, alone: Timing, flooded: Timing) -> list[Figure]:
    rows = [
        _late(f"tick lateness p99 {kind}, {how}", timing) for kind, timing in (("alone", alone), ("flooded", flooded))
    ]
    ratio = flooded.late_p99_s / alone.late_p99_s if alone.late_p99_s > 0.0 else float("inf")
    return [*rows, Figure(f"tick lateness p99 flooded to alone, {how}", ratio, "", RATIO)]


def _late(what: str, timing: Timing) -> Figure:
    half_ms, most_ms = timing.late_p50_s * 1e3, timing.late_max_s * 1e3
    note = f"p50 {half_ms:.3f} ms, max {most_ms:.1f} ms, {timing.ticks} ticks, {timing.missed} missed"
    return Figure(what, timing.late_p99_s * 1e3, "ms", LATENESS_MS, note=note)


async def _start(folder: Path) -> list[Figure]:
    """The core logs frames with the loop's clock, which is the machine's: the start is taken on the same clock.

    A first run fills Python's cache of compiled modules, which an installation has.
    """
    here = _made(folder / "start")
    config, log = place(here), here / "can.log"
    for _ in range(2):
        log.unlink(missing_ok=True)
        async with running(config, "--can-log", str(log), "--no-gateway") as core:
            await core.until("closed")
            used_mb = core.rss_mb()
    first_s = first_state_s(log) - core.started_s
    return [
        Figure(
            "start to first valid BMS_State on the bus",
            first_s,
            "s",
            START_S,
            note="virtual bus, by the CAN log's clock",
        ),
        Figure(
            "memory of the simulated core, running", used_mb, "MiB", note="VmRSS, simulator and energy manager included"
        ),
    ]


def first_state_s(log: Path) -> float:
    """Time of the first BMS_State whose CRC is right, in a log of candump's format. Raises ValueError without one."""
    database = load_database()
    frame_id, protection = database.frame_id("BMS_State"), database.protection("BMS_State")
    assert protection is not None
    for entry in log.read_text(encoding="ascii").splitlines():
        time_text, _, frame = entry.split()
        identifier, _, data = frame.partition("#")
        if int(identifier, 16) == frame_id and _holds(bytes.fromhex(data), protection):
            return float(time_text.strip("()"))
    raise ValueError(f"no valid BMS_State in {log}")


def _holds(data: bytes, protection: Protection) -> bool:
    return data[protection.crc_byte] == protection.crc(data)


def _imports() -> Figure:
    """What a core on real hardware has loaded when it opens its devices."""
    done = subprocess.run([sys.executable, "-c", HARDWARE_PATH], capture_output=True, text=True, check=True)
    note = "VmRSS after imports and the DBC, no device opened, without rich, which only the test tools bring"
    return Figure("memory of the hardware path", float(done.stdout), "MiB", MEMORY_MB, note=note)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
