"""Every front end that can discharge single cells: what it says that it discharges is what the chip does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from contract.afe_families import FAMILIES, Family
from contract.test_afe_contract import agrees

from bms_daemon.model import BusFault
from bms_daemon.ports import Balancer
from bms_daemon.sim.assembly import Assembly

BALANCERS = [family for family in FAMILIES if isinstance(family.driver(None), Balancer)]
PULSES = ([0], [-1], [1, 4], [0, 2, 5, -1])
pytestmark = pytest.mark.parametrize("family", BALANCERS, ids=str)


def cells_of(family: Family, places: list[int]) -> np.ndarray:
    cells = np.zeros(family.series, dtype=bool)
    cells[places] = True
    return cells


def test_exactly_the_cells_that_are_asked_for_are_discharged_and_scans_go_on(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await asyncio.sleep(1.0)
        assert not np.any((await afe.scan()).balancing)
        conversions = 0
        for wanted in (cells_of(family, places) for places in (*PULSES, [])):
            held = await afe.balance(wanted)
            assert held.tolist() == assembly.chip.balancing_mask.tolist() == wanted.tolist()
            for _ in range(5):
                await asyncio.sleep(0.2)
                scan, _ = await afe.scan(), await afe.scan_temps()
                agrees(scan, assembly, bled_v=family.bled_v)
                assert not scan.was_reset
                assert (scan.balancing | ~wanted).all() and assembly.chip.balancing_mask.tolist() == wanted.tolist()
            assert scan.balancing.tolist() == wanted.tolist()
            assert scan.conversions > conversions
            conversions = scan.conversions

    family.play(story)


def test_what_is_not_asked_for_again_ends_while_scans_go_on(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(cells_of(family, [1]))
        for _ in range(10):
            await asyncio.sleep(1.0)
            await afe.balance(cells_of(family, [1]))
            assert assembly.chip.balancing_mask.any()
        for _ in range(600):
            await asyncio.sleep(0.1)
            scan = await afe.scan()
        assert not assembly.chip.balancing_mask.any()
        assert not (scan.balancing.any() or scan.was_reset)

    family.play(story)


def test_set_up_ends_every_discharge(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(cells_of(family, [0, 3]))
        await afe.setup()
        assert not assembly.chip.balancing_mask.any()
        await asyncio.sleep(1.0)
        assert not (await afe.scan()).balancing.any()

    family.play(story)


def test_a_reset_ends_every_discharge_and_the_next_scan_still_tells_of_it(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        await afe.balance(cells_of(family, [0, 3]))
        family.reset(assembly)
        assert not assembly.chip.balancing_mask.any()
        await asyncio.sleep(1.0)  # it boots
        for _ in range(2):
            with suppress(BusFault):
                held = await afe.balance(cells_of(family, [0, 3]))
                assert held.tolist() == assembly.chip.balancing_mask.tolist()
        with suppress(BusFault):
            await afe.scan()
        assert (await afe.scan()).was_reset

    family.play(story)


def test_a_bus_that_fails_is_a_fault_and_no_claim(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        family.silence(assembly)
        with pytest.raises(BusFault):
            await afe.balance(cells_of(family, [0]))
        family.speak(assembly)
        family.spoil(assembly)
        for _ in range(20):
            with pytest.raises(BusFault):
                await afe.balance(cells_of(family, [0]))

    family.play(story)


def test_one_spoilt_transfer_is_repeated(family: Family) -> None:
    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        family.spoil_once(assembly)
        wanted = cells_of(family, [0, 2])
        assert (await afe.balance(wanted)).tolist() == assembly.chip.balancing_mask.tolist() == wanted.tolist()

    family.play(story)
