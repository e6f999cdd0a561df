"""Shipped configurations of real parts in the closed loop: to closed, through a fault of each class, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pack_bench import CONFIGURATIONS, Fault, Pack, S, settings_of

from bms_daemon.app import load_settings
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly
from bms_daemon.stages.bounds import bounds

HOUR_S = 3600.0


def _set(find: Callable[[Assembly], Any], name: str, value: Any) -> Callable[[Assembly], None]:
    return lambda assembly: setattr(find(assembly), name, value)


def _raised(cell: int, offset_v: float) -> Callable[[Assembly], None]:
    def shift(assembly: Assembly) -> None:
        assembly.plant.cells.offset_v[cell] = offset_v
        assembly.plant.refresh()

    return shift


def _bus(name: str, value: float) -> Callable[[Assembly], None]:
    return lambda assembly: setattr(assembly.afe_bus.faults, name, value)


def _sensor(name: str, bad: Any, good: Any, within_s: float, code: str = "shunt_lost") -> Fault:
    find = lambda assembly: assembly.talker.faults  # noqa: E731
    return Fault("sensor", code, _set(find, name, bad), _set(find, name, good), within_s)


def _chip(kind: str, code: str, name: str, bad: Any, good: Any, within_s: float) -> Fault:
    find = lambda assembly: assembly.chip.faults  # noqa: E731
    return Fault(kind, code, _set(find, name, bad), _set(find, name, good), within_s)


def _over_voltage(cell: int, offset_v: float, within_s: float) -> Fault:
    return Fault("electrical", "cell_over_voltage_critical", _raised(cell, offset_v), _raised(cell, 0.0), within_s)


AFE_LOST = Fault("communication", "afe_lost", _bus("nack", float("inf")), _bus("nack", 0.0), 2.0)
FROZEN = _chip("sensor", "afe_frozen", "frozen", True, False, 2.1)


@dataclass(frozen=True)
class Installation:
    """A shipped configuration, the current that it carries while it is closed, and what it has to endure."""

    name: str
    current_a: float
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return self.name


INSTALLATIONS = (
    Installation("bbb-96s-nmc-car", -40.0, (
        _over_voltage(40, 1.0, 0.5),
        _sensor("frozen_counter", True, False, 1.2),
        _chip("communication", "afe_lost", "mute", 4, None, 1.7),
    )),
    Installation("raspberry-pi-16s-lfp", -20.0, (
        _over_voltage(7, 0.6, 0.6),
        AFE_LOST,
        FROZEN,
    )),
    Installation("pi-12s-scooter", -12.0, (
        _over_voltage(3, 0.8, 1.0),
        AFE_LOST,
        FROZEN,
        _sensor("mute", True, False, 2.6),
    )),
    Installation("mini-4s", -5.0, (
        _over_voltage(1, 0.6, 0.6),
        AFE_LOST,
        FROZEN,
    )),
    Installation("portable-4s-sbs", -1.0, (
        _over_voltage(2, 0.8, 1.9),
        AFE_LOST,
        _sensor("mute", True, False, 2.6),
    )),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("installation", INSTALLATIONS, ids=str)
def test_an_hour_to_closed_through_a_fault_of_each_class_and_back(tmp_path: Path, installation: Installation) -> None:
    settings = settings_of(tmp_path, installation.name, installation.current_a)

    async def main() -> None:
        async with Pack(settings) as pack:
            await pack.close()
            for fault in installation.faults:
                await asyncio.sleep(60.0)
                await pack.endure(fault)
                await pack.close()
            await pack.carry_on_until(HOUR_S)

    run_manual(main())


@pytest.mark.slow
def test_a_car_with_a_welded_main_contactor_opens_by_the_other_and_closes_no_more(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "bbb-96s-nmc-car", -40.0)

    async def main() -> None:
        async with Pack(settings) as car:
            await car.close()
            negative = car.parts.plant.path.mains[1]
            negative.welded = True
            car.ask("open")
            await car.until(lambda: car.last is not None and bool(car.last.faults.latched), 6.0)
            assert car.state is S.LATCHED and car.last is not None
            assert car.last.faults.latched == ("main_welded",) and not car.last.faults.second
            assert car.parts.plant.taps.current_a == 0.0 and not car.parts.plant.path.tripped
            negative.welded = False
            car.ask("clear", "all")
            await asyncio.sleep(40.0)
            await car.close()

    run_manual(main())


@pytest.mark.parametrize("name", [each.name for each in INSTALLATIONS])
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
