"""Shipped configurations on a simulated pack, with hands that operate them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bms_daemon.app import load_settings
from bms_daemon.app.build import build
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.app.simulated import simulated
from bms_daemon.config.schema import Settings
from bms_daemon.model import PackState, Snapshot
from bms_daemon.sim.assembly import Assembly, assemble

CONFIGURATIONS = Path(__file__).parents[2] / "config"
S = PackState


@dataclass(frozen=True)
class Fault:
    """``begin`` and ``end`` act on the parts; ``code`` must be told and the pack opened ``within_s``."""

    name: str
    code: str
    begin: Callable[[Assembly], None]
    end: Callable[[Assembly], None]
    within_s: float

    def __str__(self) -> str:
        return self.name


class Pack:
    """The daemon on a simulated world, with hands that operate it."""

    def __init__(self, settings: Settings) -> None:
        self.parts = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
        hardware = Hardware(self.parts.afe_bus, self.parts.shunt_port, self.parts.lines, self.parts.world)
        self.installation = build(settings, hardware, linked=False)
        self.core = self.installation.core
        self.last: Snapshot | None = None
        self.told: set[str] = set()
        self.core.watchers.append(self._see)
        self.task = asyncio.ensure_future(self.core.run())

    def _see(self, snapshot: Snapshot) -> None:
        self.last = snapshot
        self.told |= {fault.code for fault in snapshot.faults.active}

    @property
    def state(self) -> PackState:
        return self.last.control.state if self.last is not None else S.SAFE

    @property
    def coil(self) -> bool:
        return self.parts.gate.coil(self.parts.world.now_s)[0]

    def ask(self, action: str, code: str = "") -> None:
        self.core.parts.orders.ask(action, code)

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> float:
        begun_s = asyncio.get_running_loop().time()
        while not holds():
            assert asyncio.get_running_loop().time() - begun_s < timeout_s, (self.state, self.last)
            await asyncio.sleep(0.01)
        return asyncio.get_running_loop().time() - begun_s

    async def close(self) -> None:
        await self.until(lambda: self.state is S.STANDBY, 60.0)
        self.ask("open")
        await asyncio.sleep(0.1)
        for _ in range(80):
            self.ask("close")
            await asyncio.sleep(1.0)
            if self.state is S.CLOSED:
                return
        raise AssertionError(f"{self.state}: {self.last}")

    async def endure(self, fault: Fault) -> None:
        """The coil is released in time and the fault is named; then it is mended, and what it latched is cleared."""
        self.told.clear()
        fault.begin(self.parts)
        took_s = await self.until(lambda: not self.coil, fault.within_s)
        assert took_s <= fault.within_s
        await asyncio.sleep(0.5)
        assert fault.code in self.told, fault
        fault.end(self.parts)
        await asyncio.sleep(45.0)  # the link drains, chips wake and settle
        self.ask("clear", "all")
        await asyncio.sleep(0.5)

    async def carry_on_until(self, end_s: float) -> None:
        """Closed, knowing its charge: what the estimator counts is what has passed through the cells."""
        started, capacity_ah = self.last, self.parts.plant.settings.capacity_ah
        before_ah = self.parts.plant.cells.soc.mean() * capacity_ah
        await asyncio.sleep(end_s - asyncio.get_running_loop().time())
        assert self.state is S.CLOSED and started is not None and self.last is not None, self.told
        passed_ah = before_ah - self.parts.plant.cells.soc.mean() * capacity_ah
        counted_ah = self.last.estimate.discharge_throughput_ah - started.estimate.discharge_throughput_ah
        assert counted_ah == pytest.approx(passed_ah, rel=0.02)
        estimate, low = self.last.estimate, float(self.parts.plant.cells.soc.min())
        assert abs(estimate.soc - low) < max(0.06, 2.0 * estimate.soc_sigma), (estimate.soc, low, estimate.soc_sigma)

    async def __aenter__(self) -> Pack:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.core.shutdown()
        try:
            await self.task
        finally:
            self.installation.close()


def settings_of(folder: Path, name: str, current_a: float, **world: Any) -> Settings:
    """The file as shipped, with nobody else on its bus; ``world`` changes the simulated one."""
    settings = simulated(load_settings(CONFIGURATIONS / f"{name}.toml"), folder, current_a)
    assert settings.sim is not None
    sim = settings.sim.model_copy(update={"world": settings.sim.world.model_copy(update=world)})
    settings = settings.model_copy(update={"sim": sim})
    commission_afresh(settings)
    return settings
