"""Bring-up on simulated packs: a good one has nothing wrong, and each thing that is wrong is named with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import can
import numpy as np
import pytest
from pack_bench import CONFIGURATIONS
from probe_bench import SHIPPED, nothing, probed

from bms_daemon.app import load_settings
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.probing.balance import wiring_order
from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding, Level
from bms_daemon.app.probing.walk import CHECKS
from bms_daemon.app.simulated import simulated
from bms_daemon.model import AfeScan, BoolArray, BusFault, TempScan
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble


@pytest.mark.parametrize("name", SHIPPED)
def test_a_good_pack_has_nothing_wrong(tmp_path: Path, name: str) -> None:
    found = probed(tmp_path, name)
    assert not [finding for _, finding in found if finding.level is Level.WRONG]
    assert {check for check, _ in found} == {check.name for check in CHECKS}


# ------------------------------------------------------------------ what is wrong, and its remedy
def _cells(**offsets_v: float) -> Callable[[Assembly], None]:
    def shift(assembly: Assembly) -> None:
        for name, offset_v in offsets_v.items():
            assembly.plant.cells.offset_v[int(name[1:]) - 1] = offset_v
        assembly.plant.refresh()

    return shift


def _fault(part: str, name: str, value: Any) -> Callable[[Assembly], None]:
    return lambda assembly: setattr(getattr(assembly, part).faults, name, value)


def _stuck(role: str, level: bool) -> Callable[[Assembly], None]:
    return lambda assembly: assembly.lines.stuck.update({role: level})


def _silent(assembly: Assembly) -> None:
    assembly.afe_bus.faults.nack = float("inf")


def _loose(assembly: Assembly) -> None:
    assembly.chip.faults.open_wires.add((3, 4))


def _probe_at(degc: float) -> Callable[[Assembly], None]:
    return lambda assembly: assembly.chip.faults.probe_degc.update({3: degc})


SEVEN = {"cells": (14, 14, 14, 14, 14, 14, 12), "probes": (2,) * 7}
NINE = {"cells": (11, 11, 11, 11, 11, 11, 10, 10, 10), "probes": (2,) * 9}
WRONG: dict[str, tuple[str, Callable[[Assembly], None], dict[str, Any], str, str]] = {
    "checksum": ("mini-4s", nothing, {"crc": False}, "crc = true", "write crc = true"),
    "address": ("pi-12s-scooter", nothing, {"address": 0x18}, "address = 0x08", "write address = 0x08"),
    "silence": ("pi-12s-scooter", _silent, {}, "nack", "supplied and awake"),
    "short chain": ("bbb-96s-nmc-car", _fault("chip", "mute", 4), {}, "device 5 of 8", "supplied and awake"),
    "swapped wires": ("mini-4s", _cells(c2=0.5, c3=-0.5), {}, "cell 2 reads", "between cells 2 and 3"),
    "no cell": ("mini-4s", _cells(c4=-3.4), {}, "cell 4: nothing there", "sense wires and fuses"),
    "impossible cell": ("mini-4s", _cells(c1=1.4), {}, "which no cell has", "with a meter"),
    "one device more": ("bbb-96s-nmc-car", nothing, SEVEN, "more than the 7 devices", "the configuration"),
    "one device less": ("bbb-96s-nmc-car", nothing, NINE, "device 9 of 9", "supplied and awake"),
    "loose wire": ("bbb-96s-nmc-car", _loose, {}, "wire C4 is open", "the wire"),
    "dead probe": ("bbb-96s-nmc-car", _probe_at(400.0), {}, "probe 4 reads nothing", "open or shorted"),
    "dead sensor": ("portable-4s-sbs", _fault("talker", "mute", True), {}, "ina2xx", "address right"),
    "offset": ("portable-4s-sbs", _fault("talker", "offset_a", 3.0), {}, "+3.00 A with the pack open", "calibrate"),
    "stuck contact": ("bbb-96s-nmc-car", _stuck("main_negative_aux", True), {}, "reports closed", "welded"),
    "open interlock": ("bbb-96s-nmc-car", _stuck("interlock", False), {}, "interlock loop reads open", "plug it"),
    "coil on": ("bbb-96s-nmc-car", _stuck("precharge", True), {}, "precharge: on", "pull-down"),
}


@pytest.mark.parametrize(("name", "spoil", "afe", "what", "mend"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_remedy(
    tmp_path: Path, name: str, spoil: Callable[[Assembly], None], afe: dict[str, Any], what: str, mend: str
) -> None:
    wrong = [finding for _, finding in probed(tmp_path, name, spoil, afe) if finding.level is Level.WRONG]
    assert any(what in finding.what and mend in finding.mend for finding in wrong), wrong
    assert all(finding.mend for finding in wrong)


def test_a_front_end_that_is_silent_is_asked_for_nothing_else(tmp_path: Path) -> None:
    checks = {check for check, _ in probed(tmp_path, "pi-12s-scooter", _silent)}
    assert checks == {"lines", "front end", "current", "CAN", "power path"}


def test_somebody_else_who_sends_our_frames_is_named(tmp_path: Path) -> None:
    with can.Bus(interface="virtual", channel="car", ignore_config=True) as other:
        settings = simulated(load_settings(CONFIGURATIONS / "bbb-96s-nmc-car.toml"), tmp_path)
        found: list[Finding] = []

        async def main() -> None:
            parts = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
            bench = Bench(settings, Hardware(parts.afe_bus, parts.shunt_port, parts.lines, parts.world))
            check = next(each for each in CHECKS if each.name == "CAN")
            for frame_id in (0x100, 0x7AA):
                message = can.Message(arbitration_id=frame_id, data=b"\0", is_extended_id=False)
                asyncio.get_running_loop().call_later(0.3, other.send, message)
            found.extend(await check.found(bench))

        run_manual(main())
    assert [finding.level for finding in found] == [Level.WRONG]
    assert "0x100" in found[0].what and "0x7AA" not in found[0].what and "id_offset" in found[0].mend


# ------------------------------------------------------------------ the order of the cells
class FakeBalancer:
    """Four cells of 3.3 V; discharging ``cell`` moves ``order[cell]``, and the chip tells ``told[cell]``."""

    def __init__(self, order: tuple[int, ...] = (0, 1, 2, 3), told: dict[int, list[int]] | None = None) -> None:
        self.order, self.told = order, told or {}
        self.on = np.zeros(4, dtype=bool)

    async def setup(self) -> dict[str, float]:
        return {}

    async def scan(self) -> AfeScan:
        moved = np.array([self.on[self.order.index(cell)] for cell in range(4)])
        cell_v = 3.3 - 0.02 * moved
        return AfeScan(cell_v, float(cell_v.sum()), 0)

    async def scan_temps(self) -> TempScan:
        return TempScan(np.array([20.0]), 20.0)

    async def switch(self, charge: bool, discharge: bool) -> None: ...

    async def balance(self, cells: BoolArray) -> BoolArray:
        self.on = cells.copy()
        chosen = np.flatnonzero(cells).tolist()
        held = self.told.get(chosen[0], chosen) if chosen else []
        return np.isin(np.arange(4), held)


def bench_of(folder: Path, balance: bool = True) -> Bench:
    settings = simulated(load_settings(CONFIGURATIONS / "mini-4s.toml"), folder)
    parts = assemble(settings.sim.world, lambda: 0.0)  # type: ignore[union-attr, arg-type]
    return Bench(settings, Hardware(parts.afe_bus, None, parts.lines, parts.world), balance)


def ordered(folder: Path, afe: Any, balance: bool = True) -> list[Finding]:
    return run_manual(wiring_order(bench_of(folder, balance), afe))


ORDERS: dict[str, tuple[Any, Level, str]] = {
    "right": (FakeBalancer(), Level.OK, "each of 4 cells"),
    "swapped": (FakeBalancer(order=(0, 2, 1, 3)), Level.WRONG, "discharging cell 2 moves cell 3"),
    "refused": (FakeBalancer(told={3: []}), Level.WRONG, "cell 4 was to be discharged, the chip says none"),
    "neighbour": (FakeBalancer(told={0: [0, 1]}), Level.WRONG, "the chip says 1, 2"),
}


@pytest.mark.parametrize(("afe", "level", "text"), ORDERS.values(), ids=ORDERS)
def test_a_pulse_on_each_cell_must_move_that_cell(tmp_path: Path, afe: FakeBalancer, level: Level, text: str) -> None:
    found = ordered(tmp_path, afe)
    assert any(finding.level is level and text in finding.what for finding in found), found
    assert not afe.on.any(), "nothing is left on"


class OnceLow(FakeBalancer):
    """Cell 4 happens to read low in the second scan: noise, while cell 1 is discharged and seen by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.scans = 0

    async def scan(self) -> AfeScan:
        self.scans += 1
        cell_v = np.array([3.3, 3.3, 3.3, 3.297 if self.scans == 2 else 3.3])
        return AfeScan(cell_v, float(cell_v.sum()), 0)


def test_a_cell_that_reads_low_once_is_not_called_swapped(tmp_path: Path) -> None:
    found = ordered(tmp_path, OnceLow())
    assert not [finding for finding in found if finding.level is Level.WRONG], found


def test_nothing_is_discharged_unless_that_was_allowed(tmp_path: Path) -> None:
    afe = FakeBalancer()
    afe.on[:] = True
    found = ordered(tmp_path, afe, balance=False)
    assert [finding.level for finding in found] == [Level.NOTE] and "--balance" in found[0].mend
    assert afe.on.all(), "it was not touched"


def test_who_is_ended_in_the_middle_of_a_pulse_turns_it_off(tmp_path: Path) -> None:
    afe = FakeBalancer()
    bench = bench_of(tmp_path)

    async def main() -> None:
        task = asyncio.ensure_future(wiring_order(bench, afe))
        await asyncio.sleep(0.1)
        assert afe.on.any()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not afe.on.any()

    run_manual(main())


def test_a_bus_that_fails_meanwhile_is_told(tmp_path: Path) -> None:
    class Failing(FakeBalancer):
        async def balance(self, cells: BoolArray) -> BoolArray:
            raise BusFault("nack", "nobody")

    found = ordered(tmp_path, Failing())
    assert [finding.level for finding in found] == [Level.WRONG] and "nack" in found[0].what

