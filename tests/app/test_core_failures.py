"""Whatever breaks in the core, the coils are released in the same turn of the loop and ``run`` ends with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from daemon_bench import Daemon, daemon, manual, settings_in

from bms_daemon.app import core as core_module
from bms_daemon.model import BusFault
from bms_daemon.runtime.journal import Journal
from bms_daemon.runtime.messages import LinkRequest


class Broken(Exception):
    """What the test breaks things with."""


def fail(*_: object, **__: object) -> None:
    raise Broken


def in_the_tick(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_module, "tick", fail)


def in_a_watcher(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    here.core.watchers.append(fail)


def in_actuate(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.core.parts.rig.afe, "switch", fail)


def in_the_afe_source(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.core.parts.rig.afe._afe, "scan", fail)


def in_the_shunt_source(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.core.parts.rig.shunt is not None
    monkeypatch.setattr(here.core.parts.rig.shunt, "slot", None)


def in_the_transmitter(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.core.parts.transmitter, "due", fail)


def in_the_keeper(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.core.parts.keeper, "watch", fail)


def in_a_timer(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.get_running_loop().call_later(0.013, fail)


def in_a_reader(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()

    def readable() -> None:
        asyncio.get_running_loop().remove_reader(ours)
        ours.close()
        theirs.close()
        raise Broken

    asyncio.get_running_loop().add_reader(ours, readable)
    theirs.send(b"x")


BREAKS = [value for name, value in list(globals().items()) if name.startswith("in_")]


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda b: b.__name__)
def test_an_exception_releases_the_coils_and_ends_the_run_with_it(
    break_it: Callable[[Daemon, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            broken_s = here.now_s
            break_it(here, monkeypatch)
            with pytest.raises((Broken, AttributeError)):
                async with asyncio.timeout(3.0):
                    await here.run
            ended_s = here.now_s
            released_s = here.parts.gate.released_at(broken_s)
            assert released_s <= ended_s, "the coils outlived the core"
            assert not here.parts.lines.levels["main"], "the line itself must be off: a Pi keeps its level"
            await asyncio.sleep(2.0)
            assert not [t for t, main, precharge in here.parts.gate.trace if t > released_s and (main or precharge)]

    manual(scene)


def test_a_source_that_fails_releases_the_line_in_the_call_in_which_it_fails(tmp_path: Path) -> None:
    levels: list[bool] = []

    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            loop = asyncio.get_running_loop()

            async def failing() -> None:
                loop.call_soon(lambda: levels.append(here.parts.lines.levels["main"]))
                raise Broken

            levels.append(here.parts.lines.levels["main"])
            task = asyncio.ensure_future(here.core._guarded(failing))
            with pytest.raises(Broken):
                await here.run
            await task

    manual(scene)
    assert levels == [True, False]


def test_no_tick_runs_after_a_failure_so_that_no_latch_is_made_up(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path)
        async with daemon(settings) as here:
            await here.close_pack()
            count = len(here.seen)
            here.core.nudge()
            here.core._fail(Broken(), "test")
            with pytest.raises(Broken):
                await here.run
            assert len(here.seen) == count
        survivor = Journal(settings.journal.path).load().survivor
        assert survivor is not None and survivor.latched == ()

    manual(scene)


def test_the_first_of_two_failures_is_the_one_that_is_raised(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await asyncio.sleep(0.1)
            here.core._fail(Broken("first"), "test")
            here.core._fail(Broken("second"), "test")
            with pytest.raises(Broken, match="first"):
                await here.run

    manual(scene)


@pytest.mark.parametrize("how", ["returns", "cancels itself"])
def test_a_source_that_ends_by_itself_is_a_failure(how: str, tmp_path: Path) -> None:
    async def ending() -> None:
        await asyncio.sleep(0.5)
        if how != "returns":
            raise asyncio.CancelledError

    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            here.core.parts = replace(here.core.parts, sources=(*here.core.parts.sources, ending))
            with pytest.raises(RuntimeError, match="ended by itself"):
                await here.run
            assert here.coils() == (False, False)

    manual(scene)


def test_cancelling_the_run_releases_the_coils(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            at_s = here.now_s
            here.run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await here.run
            assert here.parts.gate.released_at(at_s) == at_s
            assert here.coils() == (False, False)

    manual(scene)


def test_a_message_of_the_loop_without_an_exception_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await asyncio.sleep(0.1)
            asyncio.get_running_loop().call_exception_handler({"message": "something odd"})
            await asyncio.sleep(0.1)
            assert not here.run.done()

    manual(scene)
    assert "something odd" in caplog.text


def test_the_loop_has_its_own_exception_handler_back_after_the_run(tmp_path: Path) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with daemon(settings_in(tmp_path)) as here:
            await asyncio.sleep(0.1)
            assert loop.get_exception_handler() is not None
            here.core.shutdown()
            await here.run
            assert loop.get_exception_handler() is None

    manual(scene)


def test_safe_state_is_idempotent_final_and_waits_for_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            rig = here.core.parts.rig
            for _ in range(3):
                assert rig.safe_state() is None  # type: ignore[func-returns-value]
                assert here.coils() == (False, False)
            command = here.seen[-1].command
            assert command.main
            assert not rig.actuate(command).ok
            assert here.coils() == (False, False) and not here.parts.lines.levels["main"]

    manual(scene)


@pytest.mark.parametrize("refused", ["main", "precharge", "dead_man", "fan"])
def test_safe_state_releases_every_line_that_is_not_refused_and_never_raises(refused: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            here.parts.lines.write({"precharge": True})
            here.parts.lines.refused[refused] = "busy"
            here.core.parts.rig.safe_state()
            left = {role for role in ("main", "precharge") if here.parts.lines.levels[role]}
            assert left == {refused} & {"main", "precharge"}
            await asyncio.sleep(0.25)
            here.parts.world.sync_now()
            assert here.coils() == (False, False), "the dead-man is what is left"

    manual(scene)


def test_safe_state_survives_lines_that_are_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            here.parts.lines.process_died()
            with pytest.raises(BusFault):
                here.parts.lines.write({"main": False})
            here.core.parts.rig.safe_state()

    manual(scene)


def test_a_line_that_is_refused_in_a_tick_lets_the_other_coils_go_in_that_tick(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            at_s = here.now_s
            here.parts.lines.refused["dead_man"] = "busy"
            await asyncio.sleep(0.1)
            assert here.parts.gate.released_at(at_s) - at_s <= 0.021
            await asyncio.sleep(0.1)
            assert "gpio_failed" in here.seen[-1].faults.latched

    manual(scene)


def test_a_request_of_the_link_that_breaks_something_ends_the_core(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path), linked=True) as here:
            await here.close_pack()
            here.core.parts.orders.ask = fail  # type: ignore[method-assign]
            assert here.core.parts.link is not None
            ask = here.core.parts.link._on_request
            at_s = here.now_s
            asyncio.get_running_loop().call_soon(ask, LinkRequest("a", "open"))
            with pytest.raises(Broken):
                await here.run
            assert here.parts.gate.released_at(at_s) == at_s

    manual(scene)


def test_a_latch_of_the_tick_that_fails_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path)
        async with daemon(settings) as here:
            await here.close_pack()
            in_a_latching_tick(here)
            here.parts.world.emergency_stop(True)
            with pytest.raises(Broken):
                await here.run
        survivor = Journal(settings.journal.path).load().survivor
        assert survivor is not None and survivor.latched == ("emergency_stop",)

    def in_a_latching_tick(here: Daemon) -> None:
        here.core.watchers.append(lambda snapshot: fail() if snapshot.faults.latched else None)

    manual(scene)
