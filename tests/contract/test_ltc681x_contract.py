"""What only a chain does: devices that fail one by one, loose wires, own checks, a chain of another length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from contract.afe_families import LTC6811, LTC6813, Family

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault, Trip
from bms_daemon.ports import Afe, SpiFrame
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings

ROUNDS = 8  # temperature scans in which every check has run


async def checked(afe: Afe, *tolerated: type[Exception]) -> None:
    for _ in range(ROUNDS):
        with suppress(*tolerated):
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
        ("open_wires", {(0, 11)}, "device 1: wire C11 is open"),
    ],
)
@pytest.mark.parametrize("family", [LTC6811, LTC6813], ids=str)
def test_what_a_device_finds_of_itself_trips_and_is_named_and_goes(
    family: Family, fault: str, value: Any, said: str
) -> None:
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

    family.play(story)


@pytest.mark.parametrize("wire", [12, 13, 18])
def test_the_wires_above_12_are_looked_at_too(wire: int) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        assembly.chip.faults.open_wires = {(0, wire)}
        with pytest.raises(BusFault, match=f"device 1: wire C{wire} is open"):
            await afe.setup()

    LTC6813.play(story)


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


def test_two_devices_in_each_others_place_are_seen_by_their_counts_of_cells() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        said = "device 3: a cell on input C8, where none is wired"
        await afe.setup()
        assembly.chip.faults.swapped = (1, 2)
        scan = await afe.scan()
        assert scan.trips == Trip.INTERNAL | Trip.UNDER_VOLTAGE
        assert scan.note == said
        with pytest.raises(BusFault, match=said):
            await afe.setup()
        assembly.chip.faults.swapped = None
        await afe.setup()
        assert (await afe.scan()).note == ""

    LTC6811.play(story)


def test_two_devices_with_as_many_cells_each_look_alike() -> None:
    """Nothing but the voltages tells: they carry no number."""

    async def main() -> None:
        assembly, afe, _ = chain_of("ltc6811", 2, 12)
        assembly.plant.cells.offset_v[:12] = 0.05
        assembly.plant.refresh()
        assembly.chip.faults.swapped = (0, 1)
        await afe.setup()
        scan = await afe.scan()
        taps_v = assembly.plant.taps.cell_v
        assert scan.cell_v == pytest.approx(np.roll(taps_v, 12), abs=0.005)
        assert (scan.trips, scan.note) == (Trip.NONE, "")

    run_manual(main())


@pytest.mark.parametrize("count", [8, 9, 12])
def test_a_cell_too_few_in_the_settings_is_found_at_once(count: int) -> None:
    async def main() -> None:
        assembly, _, table = chain_of("ltc6811", 1, 12)
        fewer = table.model_copy(update={"cells": (count,)})
        afe = registry.make_afe("ltc681x", assembly.afe_bus, fewer, count)
        if count == 12:
            await afe.setup()
            return
        with pytest.raises(BusFault, match=f"device 1: a cell on input C{count + 1}, where none is wired"):
            await afe.setup()

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


ALTERNATE = np.arange(LTC6811.series) % 2 == 0


def test_what_the_watchdog_of_the_chips_ends_is_told_as_a_reset() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(ALTERNATE)
        await asyncio.sleep(2.5)
        assembly.world.sync(asyncio.get_running_loop().time())
        assert not assembly.chip.balancing_mask.any()
        scan = await afe.scan()
        assert scan.was_reset and not scan.balancing.any()

    LTC6811.play(story)


def test_one_device_that_forgets_is_seen_and_left_so_until_it_is_set_up() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(ALTERNATE)
        assembly.chip.forget(1)
        for cells in (ALTERNATE, ~ALTERNATE, np.zeros_like(ALTERNATE)):
            held = await afe.balance(cells)
            assert held.tolist() == assembly.chip.balancing_mask.tolist()
            assert not held[12:23].any(), "of the second device"
            await checked(afe, BusFault)
            assert (await afe.scan()).was_reset
        await afe.setup()
        assert (await afe.balance(ALTERNATE)).tolist() == ALTERNATE.tolist()
        assert not (await afe.scan()).was_reset

    LTC6811.play(story)


@pytest.mark.parametrize("family", [LTC6811, LTC6813], ids=str)
def test_nothing_is_discharged_while_wires_are_looked_at_and_again_afterwards(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        wanted = np.arange(family.series) % 2 == 0
        seen, frame = [], assembly.chip.frame

        def spy(now_s: float, data: bytes, low_s: float) -> bytes:
            if data[:2].hex() in ("0368", "0328"):
                seen.append(assembly.chip.balancing_mask.any())
            answer: bytes = frame(now_s, data, low_s)
            return answer

        assembly.chip.frame = spy
        for _ in range(ROUNDS):
            await afe.balance(wanted)
            await afe.scan_temps()
            assert assembly.chip.balancing_mask.tolist() == wanted.tolist()
        assert seen and not any(seen)

    family.play(story)


class Deaf:
    """A bus that loses the next writes of a configuration."""

    def __init__(self, bus: Any) -> None:
        self.lose, self._bus = 0, bus

    async def transfer(self, frames: Any) -> Any:
        if self.lose and any(frame.data[:2] == b"\x00\x01" for frame in frames):
            self.lose, frames = self.lose - 1, [SpiFrame(bytes(len(frame.data))) for frame in frames]
        return await self._bus.transfer(frames)

    def close(self) -> None: ...


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_a_write_that_noise_spoils_is_repeated_and_never_taken_for_a_reset(lost: int) -> None:
    async def main() -> None:
        assembly = LTC6811.wired()
        bus = Deaf(assembly.afe_bus)
        afe: Any = LTC6811.driver(bus)
        await afe.setup()
        assert (await afe.balance(~ALTERNATE)).tolist() == (~ALTERNATE).tolist()
        bus.lose = lost
        for taken in (lost < 2, lost < 4, True):
            held = await afe.balance(ALTERNATE)
            assert held.tolist() == assembly.chip.balancing_mask.tolist()
            assert (held.tolist() == ALTERNATE.tolist()) is taken
            scan = await afe.scan()
            assert not scan.was_reset and scan.balancing.tolist() == held.tolist()
        assembly.chip.forget(2)
        assert (await afe.scan()).was_reset

    run_manual(main())


def test_a_switch_that_was_never_heard_to_go_off_goes_off_by_itself() -> None:
    async def main() -> None:
        assembly = LTC6811.wired()
        bus = Deaf(assembly.afe_bus)
        afe: Any = LTC6811.driver(bus)
        await afe.setup()
        await afe.balance(ALTERNATE)
        bus.lose = 2
        assert (await afe.balance(np.zeros_like(ALTERNATE))).any()
        for _ in range(60):
            await asyncio.sleep(0.1)
            await afe.scan()
        assert not assembly.chip.balancing_mask.any()

    run_manual(main())


def test_a_switch_that_nobody_told_to_go_on_is_told_as_a_reset() -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        assembly.chip.switch_on(0, 4)
        scan = await afe.scan()
        assert scan.was_reset and np.flatnonzero(scan.balancing).tolist() == [4]

    LTC6811.play(story)


def chain_of(part: str, devices: int, cells: int, probes: int = 2) -> tuple[Assembly, Afe, Any]:
    """So many equal devices, with their driver and its settings."""
    wired = {"part": part, "cells": (cells,) * devices, "probes": (probes,) * devices}
    world = {"series": cells * devices, "probes": probes * devices, "afe": {"kind": "ltc681x", **wired}}
    assembly = assemble(WorldSettings.model_validate(world))
    table = registry.settings_model("afe", "ltc681x")(**wired, over_voltage_v=3.75, under_voltage_v=2.4)
    return assembly, registry.make_afe("ltc681x", assembly.afe_bus, table, cells * devices), table


@pytest.mark.parametrize(("part", "cells", "groups"), [("ltc6811", 12, 7), ("ltc6813", 18, 11)])
def test_time_grows_with_the_bytes_up_to_20_devices(part: str, cells: int, groups: int) -> None:
    """At 500 kHz a byte takes 16 us; each group is 8 bytes a device."""

    def scan_s(devices: int) -> float:
        took: list[float] = []

        async def main() -> None:
            assembly, afe, table = chain_of(part, devices, cells)
            await afe.setup()
            await asyncio.sleep(0.1)
            begun_s = asyncio.get_running_loop().time()
            scan = await afe.scan()
            took.append(asyncio.get_running_loop().time() - begun_s)
            assert scan.cell_v == pytest.approx(assembly.plant.taps.cell_v, abs=0.005)
            assert scan.stack_v == pytest.approx(assembly.plant.taps.stack_v, abs=0.3)
            least_s = table.scan_time(cells * devices).whole_s
            assert least_s < took[0] < least_s * 1.06 + 0.0012

        run_manual(main())
        return took[0]

    one = scan_s(1)
    for devices in (5, 10, 20):
        assert scan_s(devices) - one == pytest.approx((devices - 1) * 8 * groups * 16e-6, rel=0.05, abs=0.001)


ANOTHER = [
    ("ltc6811", 12, "ltc6813", "has fewer cells than an ltc6813"),
    ("ltc6811", 12, "ltc6812", "has fewer cells than an ltc6812"),
    ("ltc6812", 15, "ltc6813", "has fewer cells than an ltc6813"),
    ("ltc6812", 12, "ltc6811", "has more cells than an ltc6811"),
    ("ltc6813", 12, "ltc6811", "has more cells than an ltc6811"),
    ("ltc6813", 15, "ltc6812", "has more cells than an ltc6812"),
]


@pytest.mark.parametrize(("found", "cells", "configured", "said"), ANOTHER)
def test_a_part_of_another_size_is_refused_and_named(found: str, cells: int, configured: str, said: str) -> None:
    async def main() -> None:
        assembly, _, table = chain_of(found, 2, cells)
        other = table.model_copy(update={"part": configured})
        with pytest.raises(BusFault, match=f"device 1 {said}"):
            await registry.make_afe("ltc681x", assembly.afe_bus, other, 2 * cells).setup()

    run_manual(main())


@pytest.mark.parametrize(("cell", "trip"), [(15, Trip.OVER_VOLTAGE), (12, Trip.UNDER_VOLTAGE), (17, Trip.OVER_VOLTAGE)])
def test_limits_hold_for_the_cells_from_13_too(cell: int, trip: Trip) -> None:
    async def main() -> None:
        assembly, afe, _ = chain_of("ltc6813", 1, 18)
        await afe.setup()
        assembly.chip.faults.cell_offset_v = {cell: 0.7 if trip is Trip.OVER_VOLTAGE else -1.5}
        assert (await afe.scan()).trips == trip

    run_manual(main())
