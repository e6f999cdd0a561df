"""Whole installations whose current sensor is lost under load: what it counted meanwhile is not lost with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pack_bench import Pack, settings_of

from bms_daemon.runtime.clock import run_manual


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "current_a", "fault"),
    [("bbb-96s-nmc-car", -40.0, "silent"), ("pi-12s-scooter", -12.0, "mute")],
    ids=["IVT-S", "INA228"],
)
def test_what_flowed_until_the_pack_opened_is_counted_once_the_sensor_is_back(
    tmp_path: Path, name: str, current_a: float, fault: str
) -> None:
    async def main() -> None:
        async with Pack(settings_of(tmp_path, name, current_a)) as pack:
            await pack.close()
            await asyncio.sleep(60.0)
            held_ah, before_ah = held(pack), counted(pack)
            setattr(pack.parts.talker.faults, fault, True)
            await pack.until(lambda: not pack.coil, 5.0)
            await asyncio.sleep(3.0)
            assert counted(pack) == pytest.approx(before_ah, abs=0.15 * -current_a / 3600.0)
            setattr(pack.parts.talker.faults, fault, False)
            await asyncio.sleep(3.0)
            assert counted(pack) - before_ah == pytest.approx(held_ah - held(pack), abs=0.1 * -current_a / 3600.0)

    run_manual(main())


def held(pack: Pack) -> float:
    """Ah in the simulated cells."""
    plant = pack.parts.plant
    return float(plant.cells.soc.mean()) * plant.settings.capacity_ah


def counted(pack: Pack) -> float:
    """Ah that the daemon says were discharged."""
    assert pack.last is not None
    return pack.last.estimate.discharge_throughput_ah
