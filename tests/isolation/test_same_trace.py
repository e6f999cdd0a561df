"""On manual time the whole daemon with its plant, emulators and bus gives the same frames from the same seed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bms_daemon.app.build import build
from bms_daemon.can.database import load as load_database
from bms_daemon.config.schema import Settings
from bms_daemon.offline.bench_site import demo_settings
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.settings import WorldSettings

SIMULATED_S = 60.0
HASHES = f" {load_database().frame_id('BMS_Hashes'):03X}#"  # carries the configuration's hash, the seed included


async def live(settings: Settings, log: Path) -> None:
    """A minute of the daemon; ``log`` takes every frame with its time, as candump writes it."""
    installation = build(settings, can_log=log, linked=False)
    asyncio.get_running_loop().call_later(SIMULATED_S, installation.core.shutdown)
    try:
        await installation.core.run()
    finally:
        installation.close()


def trace(folder: Path, name: str, seed: int = 1) -> str:
    settings = demo_settings(folder)
    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    world = settings.sim.world.model_copy(update={"seed": seed})
    seeded = settings.model_copy(update={"sim": settings.sim.model_copy(update={"world": world})})
    run_manual(live(seeded, folder / name))
    frames = (folder / name).read_text(encoding="ascii").splitlines()
    return "\n".join(line for line in frames if HASHES not in line)


def test_the_same_seed_gives_identical_frames_and_another_one_does_not(tmp_path: Path) -> None:
    first = trace(tmp_path, "first")
    assert len(first.splitlines()) > 60 * SIMULATED_S
    assert trace(tmp_path, "second") == first
    assert trace(tmp_path, "other", seed=2) != first
