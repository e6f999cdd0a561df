"""The world's clockwork, with a fake chip and a talker that only has a schedule."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Literal

import pytest

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.gate import CoilGate
from bms_daemon.sim.gpio import SimLines
from bms_daemon.sim.plant import Plant
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.world import World


class FakeChip:
    """Converts at ``due_s``; its pins fall at ``fall_s`` and its alert rises with them."""

    def __init__(self, fall_s: float = inf) -> None:
        self.fall_s = fall_s
        self.on = True
        self.advanced: list[float] = []

    def advance(self, now_s: float) -> None:
        self.advanced.append(now_s)
        if now_s >= self.fall_s:
            self.on, self.fall_s = False, inf

    @property
    def next_event_s(self) -> float:
        return self.fall_s

    def i2c_write(self, data: bytes) -> bool:
        self.on = data != b"off"
        return True

    def i2c_read(self, count: int) -> bytes | None:
        return bytes(count)

    @property
    def alert(self) -> bool:
        return not self.on

    @property
    def charge_allowed(self) -> bool:
        return self.on

    @property
    def discharge_allowed(self) -> bool:
        return self.on


class FakeTalker:
    next_event_s = 7.0

    def advance(self, now_s: float) -> bytes:
        raise AssertionError("its bytes belong to its wire")

    def hear(self, data: bytes) -> None: ...


class Bench:
    """A world on a clock that the test turns."""

    def __init__(self, chip: FakeChip | None = None, board: Literal["pi", "beaglebone"] = "pi") -> None:
        self.now_s = 0.0
        self.plant = Plant(WorldSettings())
        self.lines, self.gate, self.chip = SimLines(board), CoilGate(), chip or FakeChip()
        effects = {"fan": self.plant.set_fan, "second_disconnect": self.plant.trip}
        self.world = World(self.plant, self.chip, FakeTalker(), self.lines, self.gate, effects, lambda: self.now_s)
        self.world.sync(0.0)
        self._level = False

    def run(self, seconds: float, **levels: bool) -> None:
        """Tick every 20 ms with a healthy dead-man."""
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-9:
            self._level = not self._level
            self.lines.write({"dead_man": self._level, **levels})
            self.now_s += 0.02

    def close(self) -> None:
        self.run(1.0, precharge=True, main=False)
        self.run(0.1, main=True)
        self.run(0.1, precharge=False)


def test_a_closed_pack_shows_on_its_lines() -> None:
    bench = Bench()
    assert bench.lines.read()["emergency_stop"]
    assert bench.lines.read()["interlock"]
    assert not bench.lines.read()["main_aux"]
    bench.close()
    levels = bench.lines.read()
    assert (levels["main_aux"], levels["precharge_aux"]) == (True, False)
    assert bench.plant.taps.link_v > 50.0


def test_coils_fall_exactly_200_ms_after_the_last_edge_however_late_anybody_looks() -> None:
    bench = Bench()
    bench.close()
    last_edge_s = bench.now_s - 0.02
    bench.now_s += 30.0
    bench.world.sync_now()
    assert bench.gate.released_at(last_edge_s) == pytest.approx(last_edge_s + 0.2, abs=1e-9)
    assert not bench.plant.main_aux


def test_a_sync_to_the_very_instant_of_drop_out_records_it() -> None:
    bench = Bench()
    bench.close()
    bench.world.sync(bench.gate.next_event_s)
    assert bench.gate.trace[-1] == (bench.world.now_s, False, False)


def test_a_chip_that_falls_by_itself_releases_the_coil_at_its_own_instant() -> None:
    bench = Bench(FakeChip(fall_s=1.50123))
    bench.close()
    bench.run(1.0)
    assert bench.gate.released_at(1.4) == 1.50123


def test_a_transfer_that_turns_the_chip_off_releases_the_coil_at_the_transfer() -> None:
    bench = Bench()
    bench.close()
    bench.world.sync_now()
    off_s = bench.now_s
    bench.chip.i2c_write(b"off")
    bench.now_s += 0.0137
    bench.world.sync_now()
    assert bench.gate.released_at(1.0) == off_s


def test_alert_calls_back_once_and_inside_the_sync() -> None:
    bench = Bench(FakeChip(fall_s=0.5))
    seen: list[tuple[str, bool, float]] = []
    bench.lines.on_edge(lambda role, level: seen.append((role, level, bench.world.now_s)))
    bench.now_s = 2.0
    bench.world.sync_now()
    assert seen == [("alert", True, 0.5)]


def test_a_callback_may_look_at_the_lines() -> None:
    bench = Bench(FakeChip(fall_s=0.5))
    seen: list[bool] = []
    bench.lines.on_edge(lambda role, level: seen.append(bench.lines.read()["alert"]))
    bench.now_s = 2.0
    bench.world.sync_now()
    assert seen == [True]
    assert bench.world.now_s == 2.0


def test_a_long_silence_is_caught_up_in_bounded_steps() -> None:
    bench = Bench()
    before = len(bench.chip.advanced)
    bench.world.sync(1.0)
    steps = bench.chip.advanced[before:]
    assert steps[-1] == 1.0
    assert max(b - a for a, b in zip([0.0, *steps], steps, strict=False)) <= 0.02 + 1e-9


def test_standing_still_moves_nothing_and_the_past_is_ignored() -> None:
    bench = Bench()
    bench.world.sync(1.0)
    before = len(bench.chip.advanced)
    bench.world.sync(1.0)
    bench.world.sync(0.3)
    assert len(bench.chip.advanced) == before
    assert bench.world.now_s == 1.0


def test_a_late_clock_is_the_start_and_not_a_gap() -> None:
    chip = FakeChip()
    world = World(Plant(WorldSettings()), chip, None, SimLines(), CoilGate())
    world.sync(1e6)
    assert chip.advanced == [1e6]


def test_a_board_without_a_chip_gates_with_level_and_dead_man_alone() -> None:
    lines, gate = SimLines(), CoilGate()
    clock = iter(k * 0.1 for k in range(100))
    world = World(Plant(WorldSettings()), None, None, lines, gate, clock=lambda: next(clock))
    lines.write({"main": True})
    lines.write({"dead_man": True})
    assert gate.coil(world.now_s).main
    world.sync_now()
    assert gate.coil(world.now_s).main
    assert world.next_event_s == pytest.approx(0.3)
    world.sync(world.next_event_s)
    assert gate.trace[-1] == (world.now_s, False, False)


def test_the_emergency_stop_cuts_the_coil_and_shows_on_its_line() -> None:
    bench = Bench()
    bench.close()
    bench.world.emergency_stop(True)
    assert bench.gate.released_at(1.0) == bench.now_s
    assert not bench.lines.read()["emergency_stop"]
    bench.world.emergency_stop(False)
    assert bench.lines.read()["emergency_stop"]


def test_the_interlock_is_only_a_line() -> None:
    bench = Bench()
    bench.close()
    bench.world.interlock(False)
    assert not bench.lines.read()["interlock"]
    assert bench.gate.coil(bench.now_s).main


def test_outputs_reach_fan_and_second_disconnect() -> None:
    bench = Bench()
    bench.run(0.02, fan=True, second_disconnect=True)
    assert bench.plant.thermal.fan
    assert bench.plant.path.severed


@pytest.mark.parametrize(("board", "delay_s"), [("pi", 0.18), ("beaglebone", 0.0)])
def test_when_the_process_dies_the_coil_falls_at_once_or_with_the_dead_man(
    board: Literal["pi", "beaglebone"], delay_s: float
) -> None:
    bench = Bench(board=board)
    bench.close()
    died_s = bench.now_s
    bench.world.process_died()
    bench.world.sync(died_s + 1.0)
    assert bench.gate.released_at(died_s) == pytest.approx(died_s + delay_s, abs=1e-9)


def test_next_event_is_the_earliest_of_all() -> None:
    bench = Bench(FakeChip(fall_s=5.0))
    assert bench.world.next_event_s == 5.0
    bench.lines.write({"dead_man": True})
    assert bench.world.next_event_s == pytest.approx(0.2)
    bench.world.sync(6.0)
    assert bench.world.next_event_s == 7.0


def test_run_keeps_the_world_moving_while_nobody_looks() -> None:
    async def scene() -> list[float]:
        chip = FakeChip(fall_s=0.3333)
        lines = SimLines()
        world = World(Plant(WorldSettings()), chip, None, lines, CoilGate())
        edges: list[float] = []
        lines.on_edge(lambda role, level: edges.append(asyncio.get_running_loop().time()))
        task = asyncio.create_task(world.run())
        await asyncio.sleep(1.0)
        assert world.now_s > 0.97
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return edges

    assert run_manual(scene()) == [pytest.approx(0.3333, abs=1.1e-3)]
