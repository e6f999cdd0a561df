"""A recorded drive cycle of a real cell as the plant's current: the daemon follows it through the chip's registers."""

from __future__ import annotations

import asyncio
import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from bms_daemon.app import load_settings
from bms_daemon.app.build import build
from bms_daemon.app.hardware import open_hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.config.schema import Settings
from bms_daemon.model import PackState, Snapshot
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.settings import Outside, Recorded, Spread, WorldSettings

DRIVE_S = 600.0
CELLS_IN_PARALLEL = 20
LAGS_S = (0.0, 0.02, 0.05)  # from the recording's step to a scan that shows it

pytestmark = pytest.mark.data


def _settings(cycle: Path, folder: Path) -> Settings:
    """The replay pack of sixteen cells, with a shunt's worth of charge to spare and the cycle as its demand."""
    settings = load_settings(ROOT / "config" / "replay-16s-nmc.toml")
    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    world = settings.sim.world.model_copy(
        update={
            "profile": Recorded(file=cycle, current_column="current_a"),
            "initial_soc": 0.9,
            "spread": Spread(),
            "outside": Outside(obey_limits=False),
        }
    )
    return settings.model_copy(
        update={
            "sim": settings.sim.model_copy(update={"world": world}),
            "journal": settings.journal.model_copy(update={"path": folder / "journal"}),
        }
    )


def _cycle(data_dir: Path, folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """The cell's current, for a pack of twenty in parallel; discharge is negative in the file as it is here."""
    with gzip.open(data_dir / "lg_hg2" / "25degC" / "551_Mixed1.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    time_s = np.array([float(row["time_s"]) for row in rows])
    current_a = CELLS_IN_PARALLEL * np.array([float(row["current_A"]) for row in rows])
    kept = time_s < DRIVE_S + 60.0
    path = folder / "cycle.csv"
    lines = [f"{t},{i}" for t, i in zip(time_s[kept], current_a[kept], strict=True)]
    path.write_text("time_s,current_a\n" + "\n".join(lines) + "\n")
    return path, time_s[kept], current_a[kept]


def test_the_daemon_follows_a_recorded_drive_cycle(data_dir: Path, tmp_path: Path) -> None:
    path, time_s, current_a = _cycle(data_dir, tmp_path)
    settings = _settings(path, tmp_path)
    commission_afresh(settings)
    seen: list[tuple[float, float, float]] = []

    async def drive() -> PackState:
        installation = build(settings, open_hardware(settings), linked=False)
        core, loop = installation.core, asyncio.get_running_loop()

        def watch(snapshot: Snapshot) -> None:
            scan = snapshot.measured.cells.value
            if snapshot.control.state is PackState.CLOSED and snapshot.measured.cells.fresh and scan is not None:
                seen.append((snapshot.now_s, scan.current_a, float(scan.cell_v.mean())))

        core.watchers.append(watch)
        loop.call_at(3.0, core.parts.orders.ask, "open")
        loop.call_at(3.2, core.parts.orders.ask, "close")
        loop.call_at(DRIVE_S, core.shutdown)
        try:
            await core.run()
        finally:
            installation.close()
        return core.state.ctrl.contactors.control.state

    assert run_manual(drive()) is PackState.STANDBY
    at_s, measured_a, cell_v = (np.array(column) for column in zip(*seen, strict=True))
    later = at_s > 20.0
    assert later.sum() > 0.9 * 10 * (DRIVE_S - 20.0)
    asked_a = [current_a[np.searchsorted(time_s, at_s[later] - lag_s, side="right") - 1] for lag_s in LAGS_S]
    apart_a = np.min([np.abs(measured_a[later] - asked) for asked in asked_a], axis=0)
    assert np.ptp(measured_a) > 100.0
    assert np.quantile(apart_a, 0.99) < 0.2
    assert np.corrcoef(measured_a[later], cell_v[later])[0, 1] > 0.5
