"""What only a chain does: devices that fail one by one, loose wires, own checks, a chain of another length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contract.afe_families import LTC6811

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault, Trip
from bms_daemon.ports import Afe
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings

ROUNDS = 8  # temperature scans in which every check has run


async def checked(afe: Afe) -> None:
    for _ in range(ROUNDS):
        await afe.scan_temps()


@pytest.mark.parametrize(
    ("fault", "value", "said"),
    [
        ("mux_fail", {1}, "device 2: multiplexer test"),
        ("self_test_bad", {2}, "device 3: cell converter test"),
        ("redundancy_bad", {0}, "device 1: pin converters disagree"),
        ("reference_v", {1: 2.9}, "device 2: reference is 2.900 V"),
        ("analog_v", {2: 4.2}, "device 3: analog supply is 4.200 V"),
        ("open_wires", {(1, 4)}, "device 2: wire C4 is open"),
        ("open_wires", {(0, 0)}, "device 1: wire C0 is open"),
        ("open_wires", {(2, 7)}, "device 3: wire C7 is open"),
    ],
)
def test_what_a_device_finds_of_itself_trips_and_is_named_and_goes(fault: str, value: Any, said: str) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        setattr(assembly.chip.faults, fault, value)
        await checked(afe)
        await afe.scan()
        scan = await afe.scan()
        assert scan.trips & Trip.INTERNAL
        assert said in scan.note
        setattr(assembly.chip.faults, fault, type(value)())
        await checked(afe)
        await afe.scan()
        scan = await afe.scan()
        assert (scan.trips, scan.note) == (Trip.NONE, "")

    LTC6811.play(story)


def test_cells_on_a_loose_wire_are_not_known() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.chip.faults.open_wires = {(1, 4)}
        await checked(afe)
        scan = await afe.scan()
        assert np.flatnonzero(np.isnan(scan.cell_v)).tolist() == [15, 16], "cells 4 and 5 of the second device"

    LTC6811.play(story)


def test_a_chip_that_fails_its_tests_is_not_set_up() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        assembly.chip.faults.self_test_bad = {1}
        with pytest.raises(BusFault, match="device 2: cell converter test"):
            await afe.setup()
        assembly.chip.faults.self_test_bad = set()
        await afe.setup()

    LTC6811.play(story)


@pytest.mark.parametrize(
    ("cells", "probes", "said"),
    [((12, 11), (2, 2), "more than the 2 devices"), ((12, 11, 7, 1), (2, 2, 1, 0), "device 4 of 4 does not answer")],
)
def test_a_chain_of_another_length_is_refused(cells: tuple[int, ...], probes: tuple[int, ...], said: str) -> None:
    async def main() -> None:
        assembly = LTC6811.wired()
        model = registry.settings_model("afe", "ltc681x")
        table = model(**(LTC6811.settings | {"cells": cells, "probes": probes}))
        with pytest.raises(BusFault, match=said):
            await registry.make_afe("ltc681x", assembly.afe_bus, table, sum(cells)).setup()

    run_manual(main())


def test_a_broken_chain_names_the_first_device_that_is_missing() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.chip.faults.mute = 1
        with pytest.raises(BusFault, match="device 2 of 3 does not answer, nor does any behind it"):
            await afe.scan()

    LTC6811.play(story)


def test_one_devices_wrong_code_is_asked_for_again() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.chip.faults.spoilt = {2: 1}
        assert (await afe.scan()).retries == 1
        assembly.chip.faults.spoilt = {2: 1000}
        with pytest.raises(BusFault, match="device 3 of 3"):
            await afe.scan()

    LTC6811.play(story)


SPOILS = {
    "frozen": lambda chip: setattr(chip.faults, "frozen", True),
    "reset": lambda chip: chip.power_on_reset(),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_temperatures_of_devices_that_do_not_convert_are_none(spoil: Callable[[Any], None]) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        spoil(assembly.chip)
        for _ in range(2):
            with pytest.raises(BusFault):
                await afe.scan_temps()

    LTC6811.play(story)


def test_a_hot_die_trips() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.chip.faults.die_degc = 155.0
        await afe.scan()
        assert (await afe.scan()).trips & Trip.OVER_TEMPERATURE

    LTC6811.play(story)


def test_a_chain_that_was_left_alone_wakes_and_says_that_it_has_forgotten() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(5.0)
        scan = await afe.scan()
        assert scan.was_reset

    LTC6811.play(story)


def test_time_and_bytes_grow_with_the_chain() -> None:
    """20 devices of 12 cells: a scan takes its conversions and its bytes at 500 kHz, and little more."""

    def scan_s(devices: int) -> float:
        took: list[float] = []

        async def main() -> None:
            cells, probes = (12,) * devices, (1,) * devices
            world = {"series": 12 * devices, "probes": devices}
            world["afe"] = {"kind": "ltc681x", "cells": cells, "probes": probes}  # type: ignore[assignment]
            assembly = assemble(WorldSettings.model_validate(world))
            table = registry.settings_model("afe", "ltc681x")(
                cells=cells, probes=probes, over_voltage_v=3.75, under_voltage_v=2.4
            )
            afe = registry.make_afe("ltc681x", assembly.afe_bus, table, 12 * devices)
            await afe.setup()
            await asyncio.sleep(0.1)
            begun_s = asyncio.get_running_loop().time()
            await afe.scan()
            took.append(asyncio.get_running_loop().time() - begun_s)

        run_manual(main())
        return took[0]

    groups, byte_s = 7, 16e-6
    one, twenty = scan_s(1), scan_s(20)
    assert twenty - one == pytest.approx(19 * 8 * groups * byte_s, rel=0.15)
    assert twenty < 0.025
