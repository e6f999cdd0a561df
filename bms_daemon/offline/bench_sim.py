"""The whole daemon with plant and emulators on manual time: how fast it runs, and whether its memory stays flat.

``python -m bms_daemon.offline.bench_sim SIMULATED_HOURS`` runs once and prints its figures as JSON: a process of its
own, so that nothing else is in its memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import structlog

from bms_daemon.app.build import build
from bms_daemon.app.core import Core
from bms_daemon.config.schema import Settings
from bms_daemon.offline.bench_figure import Figure
from bms_daemon.offline.bench_site import demo_settings, rss_mb
from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.realtime import freeze
from bms_daemon.runtime.stopwatch import process_cpu_s

HOUR_S, WEEK_H = 3600.0, 168.0
WARM_S, LOOK_S = 600.0, 60.0
SPEED, FLAT_MB_A_WEEK = 60.0, 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """``speed``: simulated seconds a second of processor time, set-up left out. ``rss_mb`` is taken every minute."""

    simulated_s: float
    cpu_s: float
    ticks: int
    state: str
    rss_mb: tuple[float, ...]

    @property
    def speed(self) -> float:
        return self.simulated_s / self.cpu_s

    @property
    def growth_mb_a_week(self) -> float:
        """Slope of a straight line through the memory, after ten minutes of warming up."""
        kept = self.rss_mb[int(WARM_S / LOOK_S) :]
        if len(kept) < 10:
            return float("nan")
        hours = np.arange(len(kept)) * (LOOK_S / HOUR_S)
        return float(np.polyfit(hours, kept, 1)[0]) * WEEK_H


def run(settings: Settings, simulated_s: float) -> Run:
    """Run the daemon for so long on manual time, with its plant, its bus and its energy manager."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    return run_manual(_run(settings, simulated_s))


async def _run(settings: Settings, simulated_s: float) -> Run:
    installation = build(settings)
    core = installation.core
    memory: list[float] = []
    watch = asyncio.ensure_future(_watch(memory, simulated_s, core))
    freeze()
    start_s = process_cpu_s()
    try:
        await core.run()
    finally:
        installation.close()
    cpu_s = process_cpu_s() - start_s
    await watch
    assert core.last is not None
    return Run(simulated_s, cpu_s, core.last.tick, core.last.control.state.name, tuple(memory))


async def _watch(memory: list[float], simulated_s: float, core: Core) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    while (left_s := start_s + simulated_s - loop.time()) > 1e-6:
        await asyncio.sleep(min(LOOK_S, left_s))
        memory.append(rss_mb(os.getpid()))
    core.shutdown()


def apart(hours: float) -> Run:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "bms_daemon.offline.bench_sim", str(hours)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    plain = json.loads(done.stdout)
    return Run(**(plain | {"rss_mb": tuple(plain["rss_mb"])}))


def figures(hours: float) -> list[Figure]:
    """Speed and memory of one long run."""
    result = apart(hours)
    about = f"{result.simulated_s / HOUR_S:g} simulated hours, {result.ticks} ticks, ended {result.state}"
    return [
        Figure("whole daemon on manual time, 16 cells", result.speed, "x", SPEED, True, f"processor time; {about}"),
        Figure(
            "memory at the end of that run", result.rss_mb[-1], "MiB", note=f"{result.rss_mb[0]:.1f} MiB after a minute"
        ),
        Figure("memory's growth, extrapolated to a week", result.growth_mb_a_week, "MiB", FLAT_MB_A_WEEK, note=about),
    ]


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="bms-bench-") as folder:
        result = run(demo_settings(Path(folder)), float(arguments[0]) * HOUR_S)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
