"""The AFE's task on manual time: set-up, scans, temperatures, switches, ALERT, and what a bad bus does to the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from daemon_bench import DEMO, changed, daemon, manual, settings_in

from bms_daemon.app import load_settings
from bms_daemon.app.afe_source import AfeSource
from bms_daemon.model import AfeScan, BusFault, PackState, TempScan
from bms_daemon.sim import faults


class ScriptedAfe:
    """An AFE that notes every call with its time and fails or hangs as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []
        self.faults: dict[str, BusFault] = {}
        self.takes_s: dict[str, float] = {}
        self.reset = False

    async def _do(self, what: str) -> None:
        self.calls.append((asyncio.get_running_loop().time(), what))
        await asyncio.sleep(self.takes_s.get(what.split()[0], 0.001))
        if what.split()[0] in self.faults:
            raise self.faults[what.split()[0]]

    async def setup(self) -> Mapping[str, float]:
        await self._do("setup")
        self.reset = False
        return {"over_voltage_v": 3.85}

    async def scan(self) -> AfeScan:
        await self._do("scan")
        return AfeScan(np.full(16, 3.3), 52.8, len(self.calls), 52.8, 0.0, 0.0, was_reset=self.reset)

    async def scan_temps(self) -> TempScan:
        await self._do("temps")
        return TempScan(np.array([25.0]), 30.0)

    async def switch(self, charge: bool, discharge: bool) -> None:
        await self._do(f"switch {int(charge)}{int(discharge)}")

    def times(self, what: str) -> list[float]:
        return [round(time_s, 3) for time_s, name in self.calls if name == what]


class Bed:
    """A source on a scripted AFE. ``open`` is what it is told of the pack; ``urgent`` counts ticks out of turn."""

    def __init__(self) -> None:
        self.afe, self.open, self.urgent = ScriptedAfe(), True, 0
        settings = changed(load_settings(DEMO).afe, {"scan_period_s": 0.1, "temp_period_s": 1.0})
        self.source = AfeSource(self.afe, settings, lambda: self.open, self._nudged)

    def _nudged(self) -> None:
        self.urgent += 1


@asynccontextmanager
async def running(**takes_s: float) -> AsyncIterator[Bed]:
    bed = Bed()
    bed.afe.takes_s.update(takes_s)
    task = asyncio.ensure_future(bed.source.run())
    try:
        yield bed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_pack_that_is_open_is_set_up_once_before_the_first_scan() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(3.0)
            assert bed.afe.times("setup") == [0.0]
            assert bed.source.accepted == {"over_voltage_v": 3.85}
            assert [name for _, name in bed.afe.calls[:3]] == ["setup", "scan", "temps"]

    manual(scene)


def test_a_refused_setup_is_tried_again_each_second_and_scans_go_on() -> None:
    async def scene() -> None:
        async with running() as bed:
            bed.afe.faults["setup"] = BusFault("refused", "does not read back")
            await asyncio.sleep(3.5)
            assert bed.afe.times("setup") == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.11)
            assert bed.source.accepted is None and "does not read back" in bed.source.refusal
            assert len(bed.afe.times("scan")) >= 30
            bed.afe.faults.clear()
            await asyncio.sleep(1.2)
            assert bed.source.accepted is not None and bed.source.refusal == ""

    manual(scene)


def test_a_setup_that_hangs_ends_in_time_and_says_so() -> None:
    async def scene() -> None:
        async with running(setup=60.0) as bed:
            await asyncio.sleep(2.05)
            assert "in time" in bed.source.refusal and bed.source.accepted is None

    manual(scene)


def test_a_chip_that_lost_its_settings_is_set_up_only_once_the_pack_is_open() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(0.5)
            bed.open, bed.afe.reset = False, True
            await asyncio.sleep(5.0)
            assert bed.afe.times("setup") == [0.0] and bed.source.accepted is None
            bed.open = True
            await asyncio.sleep(0.2)
            assert len(bed.afe.times("setup")) == 2 and bed.source.accepted is not None

    manual(scene)


def test_scans_and_temperatures_keep_their_own_grid() -> None:
    async def scene() -> None:
        async with running(scan=0.03, temps=0.02) as bed:
            await asyncio.sleep(5.05)
            scans, temps = bed.afe.times("scan"), bed.afe.times("temps")
            assert len(scans) == 51 and len(temps) == 6
            assert scans[1:10] == pytest.approx([0.1 * k for k in range(1, 10)], abs=1e-3)
            assert temps[1:] == pytest.approx([1.0 * k for k in range(1, 6)], abs=0.031)

    manual(scene)


def test_skipped_deadlines_are_not_run_in_a_burst() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(0.95)
            bed.afe.takes_s["temps"] = 0.0999
            bed.afe.takes_s["scan"] = 60.0
            await asyncio.sleep(2.0)
            bed.afe.takes_s.clear()
            at_s = asyncio.get_running_loop().time()
            await asyncio.sleep(1.0)
            scans = [time_s for time_s in bed.afe.times("scan") if time_s > at_s]
            assert 9 <= len(scans) <= 11 and min(np.diff(scans)) > 0.05

    manual(scene)


def test_a_scan_that_hangs_is_a_failed_sample_at_its_period() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(0.05)
            bed.afe.takes_s["scan"] = 60.0
            await asyncio.sleep(0.2)
            newest = bed.source.cells.newest
            assert newest is not None and not newest.ok and newest.reason == "timeout"

    manual(scene)


def test_of_several_switch_commands_the_newest_wins_and_an_equal_one_is_not_repeated() -> None:
    async def scene() -> None:
        async with running(scan=0.05) as bed:
            await asyncio.sleep(0.52)
            for wanted in ((True, False), (False, True), (True, True)):
                bed.source.switch(*wanted)
            await asyncio.sleep(1.0)
            bed.source.switch(True, True)
            await asyncio.sleep(1.0)
            assert [name for _, name in bed.afe.calls if name.startswith("switch")] == ["switch 11"]

    manual(scene)


def test_a_switch_command_does_not_wait_for_the_next_scan_and_is_tried_again() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(0.53)
            bed.afe.faults["switch"] = BusFault("refused", "stays on")
            bed.source.switch(True, True)
            await asyncio.sleep(0.3)
            tries = bed.afe.times("switch 11")
            assert tries[0] == 0.53 and len(tries) >= 3
            bed.afe.faults.clear()
            await asyncio.sleep(0.3)
            done = len(bed.afe.times("switch 11"))
            await asyncio.sleep(0.5)
            assert len(bed.afe.times("switch 11")) == done

    manual(scene)


def test_an_alert_brings_a_scan_at_once_and_a_tick_after_it() -> None:
    async def scene() -> None:
        async with running() as bed:
            await asyncio.sleep(0.55)
            assert bed.urgent == 0
            bed.source.alert()
            await asyncio.sleep(0.01)
            assert bed.afe.times("scan")[-1] == 0.55 and bed.urgent == 1
            await asyncio.sleep(0.1)
            assert bed.afe.times("scan")[-1] == 0.6, "the grid stays where it was"
            assert bed.urgent == 1

    manual(scene)


# ------------------------------------------------------------------ in the running daemon
def test_a_power_on_reset_opens_is_set_up_again_and_closes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            source = here.core.parts.rig.afe
            at_s = here.now_s
            faults.inject(here.parts, "chip_reset")
            await asyncio.sleep(0.5)
            released_s = here.parts.gate.released_at(at_s)
            assert released_s - at_s <= 0.15
            await asyncio.sleep(4.0)
            assert source.accepted is not None, "set up again"
            assert here.state is PackState.LATCHED, "the coil fell under command"
            assert not [t for t, main, precharge in here.parts.gate.trace if t > released_s and (main or precharge)]

    manual(scene)


def test_a_bus_that_blocks_for_three_seconds_delays_nothing_but_its_own_source(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            start, at_s = len(here.seen), here.now_s
            faults.inject(here.parts, "i2c_stuck")
            await asyncio.sleep(3.0)
            ticks = [b.now_s - a.now_s for a, b in zip(here.seen[start:], here.seen[start + 1 :], strict=False)]
            assert len(ticks) >= 148 and max(ticks) <= 0.0201
            assert here.parts.gate.released_at(at_s) - at_s <= 0.5 + 2.0, "afe_lost is a STOP"
            assert here.seen[-1].measured.shunt.age_s < 1.1, "the shunt goes on"

    manual(scene)


def test_a_trip_of_the_chip_is_seen_by_its_alert_and_not_by_the_next_period(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path, afe__scan_period_s=0.25, afe__frozen_s=2.0)) as here:
            await here.close_pack()
            await here.until(lambda: not here.seen[-1].measured.cells.fresh)
            at_s = here.now_s
            faults.inject(here.parts, "chip_trip")
            await asyncio.sleep(0.05)
            assert "afe_trip" in here.codes
            assert here.parts.gate.released_at(at_s) - at_s <= 0.03

    manual(scene)
