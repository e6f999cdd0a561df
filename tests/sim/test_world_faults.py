"""The catalogue of faults on a whole assembly, and the assembly itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.faults import FAULTS, clear, inject
from bms_daemon.sim.gate import Coils
from bms_daemon.sim.settings import Bq76952Data, WorldSettings


class Bench:
    """An assembly on a clock that the test turns. A fresh chip allows nothing, so ``run`` goes round its gate."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.parts = assemble(WorldSettings(), lambda: self.now_s)
        self.parts.world.sync_now()

    def run(self, seconds: float, main: bool, precharge: bool) -> None:
        """Drive the path itself; the gate has its own tests."""
        self.now_s += seconds
        self.parts.plant.step(self.now_s - seconds, Coils(main, precharge))
        self.parts.plant.step(self.now_s, Coils(main, precharge))

    def close(self) -> None:
        self.run(2.0, False, True)
        self.run(0.1, True, False)


Look = Callable[[Assembly], Any]
SEEN_AT_ONCE: dict[str, tuple[dict[str, Any], Look]] = {
    "cell_offset": ({"where": 3, "value": 0.1}, lambda a: round(a.plant.taps.cell_v[3], 2)),
    "cell_over_voltage": ({"where": 3}, lambda a: a.plant.taps.cell_v[3] > 3.8),
    "cell_under_voltage": ({"where": 15}, lambda a: a.plant.taps.cell_v[15] < 2.4),
    "probe_temperature": ({"where": 1, "value": 61.0}, lambda a: a.plant.taps.probe_degc[1] == 61.0),
    "emergency_stop": ({}, lambda a: a.lines.levels["emergency_stop"]),
    "interlock": ({}, lambda a: a.lines.levels["interlock"]),
    "aux_stuck": ({}, lambda a: a.lines.levels["main_aux"]),
    "line_stuck": ({"where": "fan"}, lambda a: a.lines.read()["fan"]),
    "live_link": ({}, lambda a: a.plant.path.link.live_v),
    "weld": ({}, lambda a: a.lines.levels["main_aux"]),
    "precharge_weld": ({}, lambda a: a.lines.levels["precharge_aux"]),
    "chip_mute": ({}, lambda a: a.chip.i2c_write(b"\x12")),
    "chip_brown_out": ({}, lambda a: a.chip.i2c_write(b"\x12")),
}


@pytest.mark.parametrize("name", SEEN_AT_ONCE)
def test_a_fault_is_true_at_once_and_mended_at_once(name: str) -> None:
    parts = Bench().parts
    args, look = SEEN_AT_ONCE[name]
    before = look(parts)
    inject(parts, name, **args)
    assert look(parts) != before
    clear(parts, name)
    if name == "chip_brown_out":
        parts.world.sync(1.0)
    assert look(parts) == before


@pytest.mark.parametrize(("name", "current_a"), [("over_current", -300.0), ("short_circuit", -2000.0)])
def test_a_forced_current_flows_at_once_through_a_closed_path(name: str, current_a: float) -> None:
    bench = Bench()
    bench.close()
    inject(bench.parts, name)
    assert bench.parts.plant.taps.current_a < current_a + 0.1
    clear(bench.parts, name)
    assert bench.parts.plant.taps.current_a == pytest.approx(0.0, abs=0.1)


PRECHARGE = {
    "precharge_load": (0.4, 0.7),
    "no_capacitor": (0.98, 1.0),
    "precharge_shorted": (0.999, 1.0),
    "precharge_open": (0.0, 0.01),
    "precharge_coil_broken": (0.0, 0.01),
}


@pytest.mark.parametrize("name", PRECHARGE)
def test_precharge_goes_wrong_as_the_fault_says(name: str) -> None:
    """Healthy: 22 ohm and 5 mF reach about 0.45 in 80 ms, of which 15 are travel."""
    bench = Bench()
    inject(bench.parts, name)
    bench.run(2.0 if name == "precharge_load" else 0.08, False, True)
    low, high = PRECHARGE[name]
    taps = bench.parts.plant.taps
    assert low <= taps.link_v / taps.pack_v <= high


def test_a_healthy_precharge_takes_its_time() -> None:
    bench = Bench()
    bench.run(0.08, False, True)
    assert 0.3 < bench.parts.plant.taps.link_v / bench.parts.plant.taps.pack_v < 0.6


@pytest.mark.parametrize("name", ["coil_broken", "aux_broken"])
def test_a_main_contactor_that_does_not_answer_shows_open(name: str) -> None:
    bench = Bench()
    inject(bench.parts, name)
    bench.close()
    assert bench.parts.plant.path.main.closed is (name == "aux_broken")
    assert bench.parts.plant.main_aux is False


def test_no_coil_supply_means_no_coil() -> None:
    parts = Bench().parts
    parts.gate.allow(0.0, True, True)
    parts.gate.dead_man_edge(0.0)
    parts.gate.drive(0.0, True, False)
    assert parts.gate.trace[-1] == (0.0, True, False)
    inject(parts, "coil_supply")
    assert parts.gate.trace[-1] == (0.0, False, False)


def test_a_refused_line_raises_busy() -> None:
    parts = Bench().parts
    inject(parts, "line_refused")
    with pytest.raises(BusFault, match="busy"):
        parts.lines.write({"main": True})
    clear(parts, "line_refused")
    parts.lines.write({"main": True})


def test_a_heating_cell_warms_and_a_bled_one_empties() -> None:
    bench = Bench()
    inject(bench.parts, "cell_heating", where=0, value=500.0)
    inject(bench.parts, "cell_bleed", where=2, value=10.0)
    before = bench.parts.plant.cells.soc.copy()
    bench.run(60.0, False, False)
    assert bench.parts.plant.taps.probe_degc[0] > 30.0
    assert np.argmin(bench.parts.plant.cells.soc - before) == 2


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_comes_and_goes_without_arguments_at_any_time(name: str) -> None:
    bench = Bench()
    for _ in range(2):
        inject(bench.parts, name)
        bench.run(0.1, True, False)
        clear(bench.parts, name)
        bench.run(0.1, False, False)
    assert np.all(np.isfinite(bench.parts.plant.taps.cell_v))
    assert FAULTS[name].text


@pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith(("i2c_", "serial_", "shunt_", "chip_"))])
def test_faults_of_chips_and_wires_leave_nothing_behind(name: str) -> None:
    bench = Bench()

    def doors() -> str:
        parts = bench.parts
        return repr((parts.chip.faults, parts.afe_bus.faults, parts.shunt_port.faults, parts.talker.faults))

    before = doors()
    inject(bench.parts, name)
    if name not in ("chip_reset", "chip_brown_out", "chip_trip", "serial_unplugged"):
        assert doors() != before
    clear(bench.parts, name)
    assert doors() == before


def test_a_fault_comes_at_the_clocks_instant() -> None:
    bench = Bench()
    bench.now_s = 3.21
    inject(bench.parts, "cell_offset")
    assert bench.parts.world.now_s == 3.21


def test_an_unknown_fault_is_an_error() -> None:
    with pytest.raises(KeyError):
        inject(Bench().parts, "gremlins")


def test_chip_shunt_and_lines_see_the_same_pack_on_the_loops_clock() -> None:
    async def scene() -> None:
        parts = assemble(WorldSettings(afe=Bq76952Data(crc=False)))
        task = asyncio.create_task(parts.world.run())
        await asyncio.sleep(1.0)
        stack = int.from_bytes(await parts.afe_bus.transfer(0x08, b"\x34", 2), "little") / 100.0
        text = b""
        while b"V\t" not in text:
            text += await parts.shunt_port.read()
        volts = float(text.split(b"\r\nV\t")[1].split(b"\r\n")[0]) / 1000.0
        assert stack == pytest.approx(parts.plant.taps.stack_v, abs=0.1)
        assert volts == pytest.approx(parts.plant.taps.pack_v, abs=0.1)
        assert parts.lines.read()["emergency_stop"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_manual(scene())


def test_the_pack_feels_the_chips_balancing() -> None:
    """CB_ACTIVE_CELLS (0x0083) with cell 3 alone; checksum ~(83 + 00 + 04 + 00), length 6."""

    async def scene() -> list[int]:
        parts = assemble(WorldSettings(afe=Bq76952Data(crc=False)))
        parts.world.sync_now()
        await asyncio.sleep(1.0)
        for frame in (b"\x3e\x83\x00", b"\x40\x04\x00", b"\x60\x78\x06"):
            await parts.afe_bus.transfer(0x08, frame)
        await asyncio.sleep(2.0)
        parts.world.sync_now()
        return np.flatnonzero(parts.plant.cells.balance_a).tolist()

    assert run_manual(scene()) == [2]
