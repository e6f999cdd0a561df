"""Shipped configurations of real parts in the closed loop: to closed, through a fault of each class, and back."""

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
from bms_daemon.app.keeper import commissioned
from bms_daemon.app.simulated import simulated
from bms_daemon.config.load import config_hash
from bms_daemon.config.schema import Settings
from bms_daemon.model import PackState, Snapshot
from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.journal import Journal
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.stages.bounds import bounds

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


def _set(find: Callable[[Assembly], Any], name: str, value: Any) -> Callable[[Assembly], None]:
    return lambda assembly: setattr(find(assembly), name, value)


def _cell(offset_v: float) -> Callable[[Assembly], None]:
    def shift(assembly: Assembly) -> None:
        assembly.plant.cells.offset_v[40] = offset_v
        assembly.plant.refresh()

    return shift


CAR_FAULTS = (
    Fault("electrical", "cell_over_voltage_critical", _cell(1.0), _cell(0.0), 0.5),
    Fault("sensor", "shunt_lost", _set(lambda a: a.talker.faults, "frozen_counter", True),
          _set(lambda a: a.talker.faults, "frozen_counter", False), 1.2),
    Fault("communication", "afe_lost", _set(lambda a: a.chip.faults, "mute", 4),
          _set(lambda a: a.chip.faults, "mute", None), 1.7),
)  # fmt: skip


class Car:
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

    async def __aenter__(self) -> Car:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.core.shutdown()
        try:
            await self.task
        finally:
            self.installation.close()


def settings_of(folder: Path, name: str, current_a: float) -> Settings:
    """The file as shipped, but for a controller that must speak."""
    settings = simulated(load_settings(CONFIGURATIONS / f"{name}.toml"), folder, current_a)
    settings = settings.model_copy(update={"can": settings.can.model_copy(update={"vcu": "optional"})})
    Journal(settings.journal.path).save(commissioned(None, config_hash(settings)))
    return settings


@pytest.mark.slow
def test_a_car_closes_survives_a_fault_of_each_class_and_closes_again(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "bbb-96s-nmc-car", -60.0)

    async def main() -> None:
        async with Car(settings) as car:
            await car.close()
            assert car.coil
            for fault in CAR_FAULTS:
                await car.endure(fault)
                await car.close()

    run_manual(main())


@pytest.mark.slow
def test_a_car_stays_closed_while_it_drives_and_knows_its_charge(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "bbb-96s-nmc-car", -40.0)

    async def main() -> None:
        async with Car(settings) as car:
            await car.close()
            before_ah = car.parts.plant.cells.soc.mean() * settings.pack.capacity_ah
            started = car.last
            assert started is not None
            await asyncio.sleep(1200.0)
            assert car.state is S.CLOSED, car.told
            assert car.last is not None and car.last.measured.current_a == pytest.approx(-40.2, abs=1.0)
            passed_ah = before_ah - car.parts.plant.cells.soc.mean() * settings.pack.capacity_ah
            counted_ah = car.last.estimate.discharge_throughput_ah - started.estimate.discharge_throughput_ah
            assert counted_ah == pytest.approx(passed_ah, rel=0.02)
            low = float(car.parts.plant.cells.soc.min())
            assert abs(car.last.estimate.soc - low) < 0.06

    run_manual(main())


@pytest.mark.parametrize("name", ["bbb-96s-nmc-car", "raspberry-pi-16s-lfp", "pi-12s-scooter", "portable-4s-sbs"])
def test_no_shipped_configuration_exceeds_a_ceiling(name: str) -> None:
    """Critical over-voltage 1 s, over-current 0.5 s, a lost AFE 2 s, a critical temperature 6 s."""
    settings = load_settings(CONFIGURATIONS / f"{name}.toml")
    found = {(bound.code, bound.reaction.name): bound for bound in bounds(settings)}
    for code, reaction, ceiling_s in (
        ("cell_over_voltage_critical", "OPEN", 1.0),
        ("over_current_discharge", "OPEN", 0.5),
        ("over_current_charge", "OPEN", 0.5),
        ("afe_lost", "STOP", 2.0),
        ("afe_frozen", "STOP", 2.0),
        ("temperature_critical", "OPEN", 6.0),
    ):
        assert (found[code, reaction].open_s or 99.0) <= ceiling_s, code


# ------------------------------------------------------------------ other front ends, with the same hands
def _raised(cell: int, offset_v: float) -> Callable[[Assembly], None]:
    def shift(assembly: Assembly) -> None:
        assembly.plant.cells.offset_v[cell] = offset_v
        assembly.plant.refresh()

    return shift


def _bus(name: str, value: float) -> Callable[[Assembly], None]:
    return lambda assembly: setattr(assembly.afe_bus.faults, name, value)


AFE_LOST = Fault("communication", "afe_lost", _bus("nack", float("inf")), _bus("nack", 0.0), 2.0)
MONITOR_LOST = Fault("sensor", "shunt_lost", _set(lambda a: a.talker.faults, "mute", True),
                     _set(lambda a: a.talker.faults, "mute", False), 2.6)  # fmt: skip
FROZEN = Fault("sensor", "afe_frozen", _set(lambda a: a.chip.faults, "frozen", True),
               _set(lambda a: a.chip.faults, "frozen", False), 2.1)  # fmt: skip
OTHERS: dict[str, tuple[float, tuple[Fault, ...]]] = {
    "pi-12s-scooter": (
        -12.0,
        (
            Fault("electrical", "cell_over_voltage_critical", _raised(3, 0.8), _raised(3, 0.0), 1.0),
            AFE_LOST,
            FROZEN,
            MONITOR_LOST,
        ),
    ),
    "portable-4s-sbs": (
        -3.0,
        (
            Fault("electrical", "cell_over_voltage_critical", _raised(2, 0.8), _raised(2, 0.0), 1.9),
            AFE_LOST,
            MONITOR_LOST,
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_another_front_end_closes_survives_a_fault_of_each_class_and_closes_again(tmp_path: Path, name: str) -> None:
    current_a, faults = OTHERS[name]
    settings = settings_of(tmp_path, name, current_a)

    async def main() -> None:
        async with Car(settings) as pack:
            await pack.close()
            assert pack.coil
            for fault in faults:
                await pack.endure(fault)
                await pack.close()

    run_manual(main())
