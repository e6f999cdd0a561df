"""The shunt's task, the digital inputs, and what their loss does to a closed pack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from daemon_bench import daemon, manual, settings_in

from bms_daemon.app.sources import PinSource, ShuntSource
from bms_daemon.model import BusFault, Pins, Reaction, ShuntReading
from bms_daemon.sim import faults


class Sensor:
    """Gives what is put into its queue: a reading, or an exception."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[ShuntReading | BusFault] = asyncio.Queue()

    async def setup(self) -> None: ...

    async def read(self) -> ShuntReading:
        found = await self.said.get()
        if isinstance(found, BusFault):
            raise found
        return found


def test_a_reading_is_kept_and_silence_of_three_periods_is_a_failed_sample() -> None:
    async def scene() -> None:
        sensor = Sensor()
        source = ShuntSource(sensor, 1.0)
        task = asyncio.ensure_future(source.run())
        sensor.said.put_nowait(ShuntReading(-7.0))
        await asyncio.sleep(2.99)
        assert source.slot.newest is not None and source.slot.newest.value == ShuntReading(-7.0)
        await asyncio.sleep(0.02)
        assert not source.slot.newest.ok and source.slot.newest.reason == "silent"
        assert source.slot.newest.time_s == pytest.approx(3.0)
        sensor.said.put_nowait(BusFault("gone", "unplugged"))
        await asyncio.sleep(0.01)
        assert source.slot.newest.reason == "gone: unplugged"
        sensor.said.put_nowait(ShuntReading(1.0))
        await asyncio.sleep(0.3)
        assert source.slot.newest.ok, "it goes on after a fault"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    manual(scene)


class Contacts:
    """Lines of two auxiliary contacts that are read as open and move as the test says."""

    def __init__(self) -> None:
        self.edge: Callable[[str, bool], None] = lambda role, level: None

    def write(self, values: Mapping[str, bool]) -> None: ...

    def read(self) -> dict[str, bool]:
        return {"main_aux": False, "precharge_aux": False}

    def on_edge(self, callback: Callable[[str, bool], None]) -> None:
        self.edge = callback

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("apart_s", "edges", "counted"), [(0.1, 8, 8), (0.001, 50, 5), (0.3, 8, 4)], ids=["chatter", "bounces", "slow"]
)
def test_changes_of_a_contact_are_counted_over_a_second_and_bounces_once(
    apart_s: float, edges: int, counted: int
) -> None:
    async def scene() -> None:
        loop, lines = asyncio.get_running_loop(), Contacts()
        source = PinSource(lines, frozenset({"main_aux", "precharge_aux"}), 0.05, lambda role, level: None)
        for edge in range(edges):
            await asyncio.sleep(apart_s)
            lines.edge("main_aux", bool(edge % 2))
            source.refresh(loop.time())
        lines.edge("precharge_aux", True)
        source.refresh(loop.time())
        assert source.slot.newest is not None and source.slot.newest.value is not None
        assert source.slot.newest.value.aux_changes == counted
        await asyncio.sleep(1.1)
        source.refresh(loop.time())
        assert source.slot.newest.value.aux_changes == 0

    manual(scene)


@pytest.mark.parametrize("fault", ["serial_silent", "shunt_silent", "serial_unplugged"])
def test_a_lost_shunt_stops_the_pack_within_three_periods(fault: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            at_s = here.now_s
            faults.inject(here.parts, fault)
            await here.until(lambda: here.seen[-1].faults.stop, 5.0)
            assert "shunt_lost" in here.codes
            assert here.now_s - at_s <= 3.0 + 0.06

    manual(scene)


def test_garbage_between_the_shunt_s_blocks_loses_no_more_than_a_block(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            faults.inject(here.parts, "shunt_garbage")
            start = len(here.seen)
            await asyncio.sleep(4.0)
            assert max(snapshot.measured.shunt.age_s for snapshot in here.seen[start:]) <= 2.1
            current_a = here.parts.plant.taps.current_a
            reading = here.seen[-1].measured.shunt.value
            assert reading is not None and abs(reading.current_a - current_a) < 3.0

    manual(scene)


class Board:
    """Lines whose levels the test sets; reading them may fail."""

    def __init__(self, **levels: bool) -> None:
        self.levels = levels
        self.reads = 0
        self.fault: BusFault | None = None
        self.edge: Callable[[str, bool], None] = lambda role, level: None

    def read(self) -> dict[str, bool]:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return dict(self.levels)

    def write(self, values: Mapping[str, bool]) -> None:
        self.levels.update(values)

    def on_edge(self, callback: Callable[[str, bool], None]) -> None:
        self.edge = callback

    def close(self) -> None:
        self.levels.clear()


def pins_of(board: Board, *fitted: str) -> PinSource:
    return PinSource(board, frozenset(fitted), 0.05, lambda role, level: None)


def test_a_role_that_is_not_fitted_is_none_and_never_true() -> None:
    board = Board(main_aux=True, interlock=True, emergency_stop=True)
    source = pins_of(board, "main_aux")
    source.refresh(0.0)
    assert source.slot.newest is not None
    assert source.slot.newest.value == Pins(None, None, True, None)


def test_lines_are_read_at_their_period_and_after_every_edge() -> None:
    board = Board(interlock=True)
    source = pins_of(board, "interlock")
    for tick in range(10):
        source.refresh(0.02 * tick)
    assert board.reads == 4
    board.edge("interlock", False)
    source.refresh(0.181)
    source.refresh(0.182)
    assert board.reads == 5


def test_a_read_that_fails_is_a_failed_sample() -> None:
    board = Board(interlock=True)
    source = pins_of(board, "interlock")
    source.refresh(0.0)
    board.fault = BusFault("gone", "no chip")
    source.refresh(0.1)
    assert source.slot.newest is not None and source.slot.newest.reason == "gone: no chip"


def test_an_output_that_reads_other_than_written_is_reported() -> None:
    board = Board(main=True, interlock=True)
    source = pins_of(board, "main", "interlock")
    source.written = {"main": False}
    source.refresh(0.0)
    assert source.slot.newest is not None and source.slot.newest.value is not None
    assert not source.slot.newest.value.readback_ok


def test_an_edge_runs_a_tick_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            await asyncio.sleep(0.007)
            at_s, count = here.now_s, len(here.seen)
            faults.inject(here.parts, "interlock")
            await asyncio.sleep(0.0005)
            assert len(here.seen) == count + 1 and here.seen[-1].now_s == at_s
            assert here.seen[-1].measured.pins.value is not None
            assert here.seen[-1].measured.pins.value.interlock_ok is False

    manual(scene)


def test_inputs_that_cannot_be_read_stop_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> dict[str, bool]:
        raise BusFault("gone", "no chip")

    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            at_s = here.now_s
            monkeypatch.setattr(here.parts.lines, "read", gone)
            await here.until(lambda: "pins_lost" in here.codes, 1.0)
            assert here.now_s - at_s <= 0.2
            assert {f.reaction for f in here.seen[-1].faults.active if f.code == "pins_lost"} == {Reaction.STOP}
            await asyncio.sleep(2.5)
            assert here.parts.gate.released_at(at_s) - at_s <= 0.2 + 2.0 + 0.1

    manual(scene)
