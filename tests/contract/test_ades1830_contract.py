"""What only an ADES1830 chain does: commands that are counted, two converters a cell, flags of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from contract.afe_families import ADES1830, LIMITS

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault, Trip
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings


@pytest.mark.parametrize("missed", [1, 2])
def test_what_a_device_says_that_has_missed_a_command_is_measured_anew(missed: int) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        for offset_v in (0.05, -0.05):
            assembly.plant.cells.offset_v[20] = offset_v
            assembly.plant.refresh()
            assembly.chip.faults.deaf = {1: missed}
            scan = await afe.scan()
            assert scan.cell_v == pytest.approx(assembly.plant.taps.cell_v, abs=0.005)
            assert scan.retries == 2 and not scan.was_reset
            assembly.chip.faults.deaf = {1: missed}
            temps = await afe.scan_temps()
            assert temps.probe_degc == pytest.approx(assembly.plant.taps.probe_degc, abs=0.5)
            wanted = np.arange(ADES1830.series) == 18
            assembly.chip.faults.deaf = {1: missed}
            with suppress(BusFault):
                assert (await afe.balance(wanted)).tolist() == assembly.chip.balancing_mask.tolist()
            assert (await afe.balance(wanted)).tolist() == assembly.chip.balancing_mask.tolist() == wanted.tolist()
            await afe.balance(np.zeros_like(wanted))

    ADES1830.play(story)


def test_a_device_that_hears_no_command_is_named() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.faults.deaf = {1: 1000}
        for call in (afe.scan, afe.scan_temps, afe.scan, afe.setup):
            with pytest.raises(BusFault, match="crc: device 2 of 3"):
                await call()
        assembly.chip.faults.deaf = {}
        scan = await afe.scan()
        assert scan.cell_v == pytest.approx(assembly.plant.taps.cell_v, abs=0.005)

    ADES1830.play(story)


def test_a_device_that_is_reset_while_it_converts_is_told_as_reset() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        scan = asyncio.ensure_future(afe.scan())
        await asyncio.sleep(0.005)
        assembly.chip.forget(2)
        assert (await scan).was_reset
        await afe.setup()
        assert not (await afe.scan()).was_reset

    ADES1830.play(story)


def test_temperatures_of_devices_that_do_not_convert_are_none() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.faults.frozen = True
        for _ in range(2):
            with pytest.raises(BusFault, match="refused: device 1: converts no pins"):
                await afe.scan_temps()

    ADES1830.play(story)


@pytest.mark.parametrize("offset_v", [0.02, -0.02, 2.0])
def test_a_cell_whose_converters_disagree_is_not_known(offset_v: float) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.faults.second_offset_v = {(1, 3): offset_v}
        scan = await afe.scan()
        assert np.flatnonzero(np.isnan(scan.cell_v)).tolist() == [19]
        assert scan.trips == Trip.INTERNAL
        assert scan.note == "device 2: converters of C4 disagree"
        with pytest.raises(BusFault, match="device 2: converters of C4 disagree"):
            await afe.setup()
        assembly.chip.faults.second_offset_v = {}
        assert (await afe.scan()).trips == Trip.NONE

    ADES1830.play(story)


def test_converters_that_differ_by_their_noise_agree() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.faults.second_offset_v = {(0, 0): 0.006}
        scan = await afe.scan()
        assert (scan.trips, scan.note) == (Trip.NONE, "")

    ADES1830.play(story)


@pytest.mark.parametrize(
    ("bit", "trip", "said"),
    [(0, Trip.INTERNAL, "SMED"), (3, Trip.INTERNAL, "CED"), (4, Trip.INTERNAL, "VD_UV"), (7, Trip.INTERNAL, "VA_OV"),
     (8, Trip.INTERNAL, "OSCCHK"), (9, Trip.INTERNAL, "TMODCHK"), (14, Trip.INTERNAL, "VDE"),
     (15, Trip.INTERNAL, "VDEL"), (10, Trip.OVER_TEMPERATURE, ""), (12, Trip.NONE, ""), (13, Trip.NONE, "")],
)  # fmt: skip
def test_what_a_device_flags_trips_and_is_named(bit: int, trip: Trip, said: str) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.faults.flags = {2: 1 << bit}
        scan = await afe.scan()
        assert scan.trips == trip
        assert scan.note == (f"device 3: {said}" if said else "")
        assert not scan.was_reset
        assembly.chip.faults.flags = {2: 1 << 11}
        assert (await afe.scan()).was_reset, "it says that it has slept"

    ADES1830.play(story)


@pytest.mark.parametrize(
    ("fault", "value", "said"),
    [
        ("reference_v", {1: 2.9}, "device 2: reference is 2.900 V"),
        ("analog_v", {2: 4.2}, "device 3: analog supply is 4.200 V"),
        ("swapped", (1, 2), "device 2: a cell on input C11, where none is wired"),
    ],
)
def test_what_is_wrong_with_a_device_is_named_and_goes(fault: str, value: Any, said: str) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        setattr(assembly.chip.faults, fault, value)
        await afe.scan_temps()
        scan = await afe.scan()
        assert scan.trips & Trip.INTERNAL
        assert scan.note == said
        with pytest.raises(BusFault, match=said):
            await afe.setup()
        setattr(assembly.chip.faults, fault, None if fault == "swapped" else {})
        await afe.setup()
        assert ((await afe.scan()).trips, (await afe.scan()).note) == (Trip.NONE, "")

    ADES1830.play(story)


@pytest.mark.parametrize("cell", [0, 15])
def test_limits_hold_for_every_cell(cell: int) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        for offset_v, trip in ((0.7, Trip.OVER_VOLTAGE), (-1.5, Trip.UNDER_VOLTAGE)):
            assembly.chip.faults.cell_offset_v = {cell: offset_v}
            assert (await afe.scan()).trips == trip

    ADES1830.play(story)


def test_a_chain_of_another_family_is_refused() -> None:
    async def main() -> None:
        wired = {"cells": (12,), "probes": (2,)}
        world = {"series": 12, "probes": 2}
        for found, configured in (("ltc681x", "ades1830"), ("ades1830", "ltc681x")):
            assembly = assemble(WorldSettings.model_validate({**world, "afe": {"kind": found, **wired}}))
            table = registry.settings_model("afe", configured)(**wired, **LIMITS)
            with pytest.raises(BusFault, match="crc: device 1 of 1"):
                await registry.make_afe(configured, assembly.afe_bus, table, 12).setup()

    run_manual(main())


def test_a_chain_that_was_left_alone_wakes_and_says_that_it_has_forgotten() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(np.arange(ADES1830.series) == 3)
        await asyncio.sleep(2.5)
        assembly.world.sync(asyncio.get_running_loop().time())
        assert not assembly.chip.balancing_mask.any()
        assert (await afe.scan()).was_reset

    ADES1830.play(story)
