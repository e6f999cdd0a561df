"""A real core on a simulated pack: a process of this program's own, ended by its id alone."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from bms_daemon.app import load_settings
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.config.schema import Settings
from bms_daemon.offline.bench_broker import LOOPBACK
from bms_daemon.runtime.link_client import LinkClient, LinkUnavailable

MQTT_TABLE = '\n[gateway.mqtt]\nhost = "{host}"\nport = {port}\nperiod_s = 0.2\n'
REALTIME_TABLE = "\n[timing]\nrealtime = true\n"
TOPIC = "bms/home/demo"
UP_S, DOWN_S = 30.0, 20.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The core's own lateness record: percentiles of its last ticks, counts since its start."""

    ticks: int
    missed: int
    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    over_1_ms: int
    over_5_ms: int
    over_20_ms: int


def place(folder: Path, broker_port: int | None = None, realtime: bool = False) -> Path:
    """The demo's configuration with its files in ``folder``, commissioned; with a port, its gateway speaks MQTT.

    ``realtime`` asks for SCHED_FIFO and locked memory, which a machine may refuse.
    """
    text = files("bms_daemon").joinpath("data", "config", "demo.toml").read_text(encoding="utf-8")
    text = text.replace('"results/', f'"{folder}/')
    if broker_port is not None:
        text += MQTT_TABLE.format(host=LOOPBACK, port=broker_port)
    if realtime:
        text += REALTIME_TABLE
    path = folder / "core.toml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings(path)
    commission_afresh(settings)
    return path


def demo_settings(folder: Path) -> Settings:
    return load_settings(place(folder))


class CoreProcess:
    """``bms-daemon run`` as a child. ``started_s`` is the monotonic time just before it was started."""

    def __init__(self, config: Path, process: asyncio.subprocess.Process, started_s: float) -> None:
        self.socket = load_settings(config).link.socket
        self.started_s = started_s
        self.pid = process.pid
        self._process = process

    @classmethod
    async def start(cls, config: Path, *options: str) -> CoreProcess:
        """``options`` go to ``bms-daemon run``; its log goes to core.log beside the configuration."""
        started_s = asyncio.get_running_loop().time()
        command = [sys.executable, "-m", "bms_daemon", "run", str(config), *options]
        with (config.parent / "core.log").open("wb") as log:
            return cls(config, await _spawn(command, log), started_s)

    async def snapshot(self) -> dict[str, Any]:
        """The next snapshot of the core, waiting for its start. Raises TimeoutError, RuntimeError when it has ended."""
        async with asyncio.timeout(UP_S):
            while True:
                with contextlib.suppress(LinkUnavailable):
                    return await self._next_snapshot()
                if self._process.returncode is not None:
                    raise RuntimeError(f"the core has ended with exit code {self._process.returncode}")
                await asyncio.sleep(0.05)

    async def _next_snapshot(self) -> dict[str, Any]:
        async with LinkClient(self.socket) as link:
            async for message in link:
                if message["kind"] == "snapshot":
                    return message
        raise LinkUnavailable("closed")

    async def timing(self) -> Timing:
        """What the core has recorded of its own ticks."""
        return Timing(**(await self.snapshot())["timing"])

    async def until(self, state: str, timeout_s: float = UP_S) -> None:
        """Wait for a state of the contactor machine. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while (await self.snapshot())["control"]["state"] != state:
                pass

    async def gateway(self, other_than: int | None = None) -> int:
        """The process id of this core's gateway; after a kill, wait for a new one. Raises TimeoutError."""
        await until(lambda: set(children(self.pid)) - {other_than})
        return next(pid for pid in children(self.pid) if pid != other_than)

    def rss_mb(self) -> float:
        """Resident memory, in MiB. Source: proc(5), VmRSS."""
        return rss_mb(self.pid)

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL when it does not obey; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(DOWN_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


async def _spawn(command: list[str], log: IO[bytes] | None = None) -> asyncio.subprocess.Process:
    nowhere = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, stdin=nowhere, stdout=log or nowhere, stderr=log or nowhere)


async def until(condition: Callable[[], object], timeout_s: float = UP_S) -> None:
    """Wait for something that another process does. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def children(pid: int) -> list[int]:
    """Living children of a process. Source: proc(5), the fourth field of stat."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(entry.name))
    return found


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MiB. Source: proc(5), VmRSS."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS:"))


@asynccontextmanager
async def running(config: Path, *options: str) -> AsyncIterator[CoreProcess]:
    """A core for the length of a block, stopped in good order at its end."""
    core = await CoreProcess.start(config, *options)
    try:
        yield core
    finally:
        await core.stop()
