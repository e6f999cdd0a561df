"""Two currents in the closed loop: a portable pack whose INA226 and whose own gauge disagree while the load changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pack_bench import Pack, S, settings_of

from bms_daemon.model import Doubt
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.settings import Steps

LOAD = Steps(points=((0.0, -2.0), (5.0, -9.0), (10.0, -1.0), (15.0, -6.0)), period_s=20.0)


@pytest.mark.parametrize("gain", [0.0, -0.2])
def test_a_pack_goes_on_with_its_second_current_when_the_cells_convict_the_first(tmp_path: Path, gain: float) -> None:
    """At half of its limits, until it is opened: then it closes no more."""
    settings = settings_of(tmp_path, "portable-4s-sbs", 0.0, profile=LOAD)

    async def main() -> None:
        async with Pack(settings) as pack:
            await pack.close()
            await asyncio.sleep(40.0)
            before = pack.last
            assert before is not None and before.limits.discharge_a > 0.0 and not pack.told & {"current_mismatch"}
            pack.parts.talker.faults.gain = gain
            await asyncio.sleep(60.0)
            assert pack.state is S.CLOSED and pack.last is not None, pack.told
            assert "current_mismatch" in pack.told and pack.last.faults.inhibit
            assert pack.last.limits.discharge_a <= 0.55 * before.limits.discharge_a
            assert pack.last.measured.doubts & Doubt.CURRENT_SUSPECT
            flowing_a = pack.parts.plant.taps.current_a
            assert pack.last.measured.current_a == pytest.approx(flowing_a, abs=1.0)

    run_manual(main())
