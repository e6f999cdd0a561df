"""A chain behind a host that is late: frames leave some milliseconds after they were handed over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from bms_daemon.drivers import registry
from bms_daemon.ports import SpiBus, SpiFrame
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.settings import Ltc681xData, WorldSettings

MOST_LATE_S = 0.008  # longer than the 5.5 ms after which an idle link loses the next frame


class LateBus:
    """Hands frames on at any time up to ``MOST_LATE_S`` later."""

    def __init__(self, bus: SpiBus) -> None:
        self._bus, self._dice = bus, random.Random(5)

    async def transfer(self, frames: Sequence[SpiFrame]) -> list[bytes]:
        await asyncio.sleep(self._dice.uniform(0.0, MOST_LATE_S))
        return await self._bus.transfer(frames)

    def close(self) -> None:
        self._bus.close()


def test_a_late_host_loses_no_frame() -> None:
    async def main() -> None:
        data = Ltc681xData(cells=(12,) * 8, probes=(2,) * 8)
        parts = assemble(WorldSettings(chemistry="nmc", series=96, probes=16, afe=data))
        table = registry.settings_model("afe", "ltc681x")(
            cells=data.cells, probes=data.probes, over_voltage_v=4.4, under_voltage_v=2.3
        )
        afe = registry.make_afe("ltc681x", LateBus(parts.afe_bus), table, 96)
        await afe.setup()
        began = (await afe.scan()).conversions
        for count in range(1, 100):
            scan = await afe.scan()
            assert (scan.conversions, scan.retries, scan.note) == (began + count, 0, "")
            assert scan.cell_v == pytest.approx(parts.plant.taps.cell_v, abs=0.005)
            await afe.scan_temps()

    run_manual(main())
