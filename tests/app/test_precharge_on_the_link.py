"""Precharge in the running daemon: a link that is up at once, or never, closes no main contactor at any phase."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from daemon_bench import daemon, manual, settings_in

from bms_daemon.model import PackState
from bms_daemon.sim import faults

PHASES = 10


@pytest.mark.parametrize("phase", range(PHASES))
@pytest.mark.parametrize(
    ("fault", "code"),
    [("no_capacitor", "precharge_too_fast"), ("precharge_shorted", ""), ("precharge_open", ""), ("precharge_load", "")],
)
def test_a_precharge_that_is_wrong_closes_no_main_contactor(
    fault: str, code: str, phase: int, tmp_path: Path
) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path)
        async with daemon(settings) as here:
            await here.until(lambda: here.state is PackState.STANDBY)
            faults.inject(here.parts, fault)
            here.orders.ask("open")
            await asyncio.sleep(0.1 + phase * settings.afe.scan_period_s / PHASES)
            here.orders.ask("close")
            await asyncio.sleep(settings.contactor.precharge_s + 0.5)
            trace = here.parts.gate.trace
            assert any(precharge for _, _, precharge in trace), "it was tried"
            assert not any(main for _, main, _ in trace)
            assert not here.parts.plant.path.main.closed
            assert not code or code in here.codes

    manual(scene)
