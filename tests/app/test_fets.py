"""A pack whose chip switches the current itself, in the closed loop: one direction alone, and off by its pins."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pack_bench import Pack, S, settings_of

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.settings import Steps

BOTH_WAYS = Steps(points=((0.0, 6.0), (5.0, -4.0)), period_s=10.0)


@pytest.mark.parametrize(
    ("offset_v", "code", "flows_a"), [(0.33, "cell_over_voltage", -4.0), (-0.65, "cell_under_voltage", 6.0)]
)
def test_a_full_pack_still_gives_and_an_empty_one_still_takes(
    tmp_path: Path, offset_v: float, code: str, flows_a: float
) -> None:
    settings = settings_of(tmp_path, "mini-4s", 0.0, profile=BOTH_WAYS)

    async def main() -> None:
        async with Pack(settings) as pack:
            await pack.close()
            pack.parts.plant.cells.offset_v[2] = offset_v
            await asyncio.sleep(2.0)
            seen_a = []
            for _ in range(300):
                await asyncio.sleep(0.1)
                seen_a.append(pack.parts.plant.taps.current_a)
            assert pack.state is S.CLOSED and code in pack.told, (pack.state, pack.told)
            assert min(seen_a) == pytest.approx(min(flows_a, 0.0), abs=0.2)
            assert max(seen_a) == pytest.approx(max(flows_a, 0.0), abs=0.2)
            pack.parts.plant.cells.offset_v[2] = 0.0
            await asyncio.sleep(12.0)
            assert pack.last is not None and code not in {fault.code for fault in pack.last.faults.active}
            assert pack.last.command.charge and pack.last.command.discharge

    run_manual(main())


def test_the_pins_turn_the_fets_off_when_the_daemon_is_gone(tmp_path: Path) -> None:
    """Within the dead-man's 200 ms, although the chip was told to conduct and nobody tells it otherwise."""
    settings = settings_of(tmp_path, "mini-4s", -5.0)

    async def main() -> None:
        async with Pack(settings) as pack:
            await pack.close()
            assert pack.parts.plant.taps.current_a == pytest.approx(-5.0, abs=0.1)
            pack.parts.world.process_died()
            await asyncio.sleep(0.22)
            pack.parts.world.sync_now()
            assert pack.parts.plant.taps.current_a == 0.0

    run_manual(main())
