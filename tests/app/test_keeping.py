"""What survives the process: commissioning, latches, state of charge, and disks that fail."""

from __future__ import annotations

import asyncio
import errno
from itertools import pairwise
from pathlib import Path

import pytest
from daemon_bench import Daemon, commission, daemon, manual, settings_in

from bms_daemon.model import PackState, Survivor
from bms_daemon.runtime.journal import Journal, unpack
from bms_daemon.sim import faults
from bms_daemon.sim.settings import Constant


def survivor_in(folder: Path) -> Survivor:
    found = Journal(folder / "journal").load().survivor
    assert found is not None
    return found


async def never_closes(here: Daemon) -> None:
    for action in ("open", "close", "open", "close"):
        await asyncio.sleep(1.0)
        here.orders.ask(action)
    await asyncio.sleep(1.0)
    assert here.parts.gate.trace == []


def test_a_pack_that_was_not_commissioned_never_closes_and_writes_no_journal(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path), fresh=False) as here:
            await never_closes(here)
            assert "journal_missing" in here.codes
            here.core.shutdown()
            await here.run

    manual(scene)
    assert list(tmp_path.glob("journal*")) == []


def test_a_configuration_that_changed_since_commissioning_never_closes_and_stays_unapproved(tmp_path: Path) -> None:
    async def scene() -> None:
        commission(settings_in(tmp_path))
        before = survivor_in(tmp_path).commissioned_hash
        for _ in range(2):
            async with daemon(settings_in(tmp_path, contactor__break_max_a=400.0), fresh=False) as here:
                await never_closes(here)
                assert "configuration_unapproved" in here.codes
        assert survivor_in(tmp_path).commissioned_hash == before

    manual(scene)


def test_a_latch_is_on_disk_within_a_tick_and_stands_after_a_restart_until_it_is_cleared(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path)
        async with daemon(settings) as here:
            await here.close_pack()
            here.parts.world.emergency_stop(True)
            await asyncio.sleep(0.021)
            assert survivor_in(tmp_path).latched == ("emergency_stop",)
        async with daemon(settings, fresh=False) as again:
            await never_closes(again)
            assert again.state is PackState.LATCHED
            assert "emergency_stop" in again.seen[0].faults.latched, "from the first tick on"
            again.orders.ask("clear", "emergency_stop")
            await asyncio.sleep(0.021)
            assert survivor_in(tmp_path).latched == ()

    manual(scene)


def test_a_latch_is_in_both_generations_within_a_second_so_that_either_may_rot(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path, journal__period_s=60.0)) as here:
            await asyncio.sleep(5.0)
            here.parts.world.emergency_stop(True)
            await asyncio.sleep(1.1)
            for generation in "ab":
                _, survivor = unpack((tmp_path / f"journal.{generation}").read_bytes())
                assert survivor.latched == ("emergency_stop",)

    manual(scene)


def test_the_state_of_charge_and_the_counts_survive(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path, sim__world__profile=Constant(current_a=-80.0), sim__world__initial_soc=0.8)
        async with daemon(settings) as here:
            await here.close_pack()
            await asyncio.sleep(4.0)
            here.core.shutdown()
            await here.run
            estimate = here.seen[-1].estimate
        kept = survivor_in(tmp_path)
        assert kept.soc == estimate.soc and kept.soc_sigma == estimate.soc_sigma
        assert kept.closes == 1 and kept.boots == 1
        assert kept.discharge_throughput_ah == estimate.discharge_throughput_ah > 0.0
        async with daemon(settings, fresh=False) as again:
            await asyncio.sleep(0.1)
            assert again.seen[0].estimate.soc == estimate.soc
            assert survivor_in(tmp_path).boots == 2

    manual(scene)


def test_the_journal_is_written_at_its_period_and_not_in_between(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path, journal__period_s=2.0)) as here:
            written: list[float] = []
            put = here.core.parts.keeper._writer.put

            def noting(survivor: Survivor) -> None:
                written.append(here.now_s)
                put(survivor)

            here.core.parts.keeper._writer.put = noting  # type: ignore[method-assign]
            await asyncio.sleep(9.0)
            gaps = [b - a for a, b in pairwise(written)][1:]
            assert len(written) in (5, 6) and min(gaps) >= 1.99 and max(gaps) <= 2.03

    manual(scene)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_a_warning_and_protection_goes_on(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, "no")

    async def scene() -> None:
        async with daemon(settings_in(tmp_path, journal__period_s=1.0)) as here:
            await here.close_pack()
            monkeypatch.setattr("bms_daemon.runtime.journal._write_durably", refuse)
            await asyncio.sleep(1.2)
            assert "journal_write" in here.codes
            assert here.state is PackState.CLOSED and here.coils()[0], "a warning opens nothing"
            at_s = here.now_s
            faults.inject(here.parts, "cell_over_voltage")
            await asyncio.sleep(0.4)
            assert here.parts.gate.released_at(at_s) - at_s <= 0.3

    manual(scene)


@pytest.mark.parametrize("damage", [b"", b"BMSJ", b"\x00" * 200, b"rubbish" * 30])
def test_a_journal_without_a_whole_generation_keeps_the_pack_open(damage: bytes, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    commission(settings)
    for slot in tmp_path.glob("journal.*"):
        slot.write_bytes(damage)

    async def scene() -> None:
        async with daemon(settings, fresh=False) as here:
            await never_closes(here)
            assert "journal_missing" in here.codes

    manual(scene)


def test_one_damaged_slot_leaves_the_other_generation(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def first() -> None:
        async with daemon(settings) as here:
            await asyncio.sleep(0.1)
            here.core.shutdown()
            await here.run

    async def second() -> None:
        async with daemon(settings, fresh=False) as again:
            await again.close_pack()

    manual(first)
    newer = max(tmp_path.glob("journal.*"), key=lambda path: path.read_bytes()[6:14])
    newer.write_bytes(newer.read_bytes()[:-3])
    manual(second)


# ------------------------------------------------------------------ an orderly end
def test_a_shutdown_with_low_current_opens_at_once_writes_the_journal_and_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path, sim__world__profile=Constant())) as here:
            await here.close_pack()
            at_s = here.now_s
            here.core.shutdown()
            await here.run
            assert here.now_s - at_s <= 0.05
            assert here.parts.gate.released_at(at_s) <= here.now_s
        assert survivor_in(tmp_path).closes == 1

    manual(scene)


def test_a_shutdown_waits_for_low_current_announces_that_and_waits_no_longer_than_its_grace(tmp_path: Path) -> None:
    async def scene() -> None:
        unruly = {"sim__world__profile": Constant(current_a=40.0), "timing__shutdown_grace_s": 3.0}
        async with daemon(settings_in(tmp_path, **unruly)) as here:
            await here.close_pack()
            faults.inject(here.parts, "over_current", value=30.0)
            await asyncio.sleep(0.2)
            at_s = here.now_s
            here.core.shutdown()
            await asyncio.sleep(0.03)
            announced = here.seen[-1]
            assert announced.control.open_pending and announced.limits.charge_a == 0.0
            await here.run
            assert here.parts.gate.released_at(at_s) - at_s == pytest.approx(3.0, abs=0.05)

    manual(scene)


def test_a_shutdown_ends_early_when_the_current_falls(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path, sim__world__profile=Constant(current_a=40.0))) as here:
            await here.close_pack()
            faults.inject(here.parts, "over_current", value=30.0)
            await asyncio.sleep(0.2)
            at_s = here.now_s
            here.core.shutdown()
            await asyncio.sleep(1.0)
            assert here.coils()[0]
            faults.inject(here.parts, "over_current", value=0.0)
            await here.run
            assert here.parts.gate.released_at(at_s) - at_s < 1.4

    manual(scene)
