"""Every AFE driver against its emulator: two readings of one data sheet must meet on the wire."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from math import isnan

import numpy as np
import pytest
from contract.afe_families import FAMILIES, Family, Tampered

from bms_daemon.drivers import registry
from bms_daemon.model import AfeScan, BusFault, Trip
from bms_daemon.ports import Afe
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=str)


def agrees(scan: AfeScan, assembly: Assembly, bled_v: float = 0.0) -> None:
    """What a scan says is what the taps show, and what the chip cannot measure is not said.

    ``bled_v``: how much worse it may measure cells that it says it discharges.
    """
    taps = assembly.plant.taps
    bled = np.zeros_like(scan.cell_v) if scan.balancing is None else scan.balancing
    assert (np.abs(scan.cell_v - taps.cell_v) <= 0.005 + bled_v * bled).all()
    assert scan.stack_v == pytest.approx(taps.stack_v, abs=0.3)
    for name, slack in (("pack_v", 0.1), ("link_v", 0.1), ("current_a", 0.05)):
        assert isnan(getattr(scan, name)) or getattr(scan, name) == pytest.approx(getattr(taps, name), abs=slack)


def test_setup_is_accepted_as_the_settings_promise_and_leaves_switches_off(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        model = registry.settings_model("afe", family.kind)
        start_s = asyncio.get_running_loop().time()
        promised = model(**family.settings).hardware_limits()  # type: ignore[attr-defined]
        assert await afe.setup() == pytest.approx(promised, rel=1e-9, abs=family.slack_v)
        assert asyncio.get_running_loop().time() - start_s < family.setup_s
        scan = await afe.scan()
        assert not (scan.charge_on or scan.discharge_on or scan.was_reset)
        assert (scan.charge_on is not None) is (scan.discharge_on is not None) is family.outputs

    family.play(story)


def test_a_scan_shows_what_the_taps_show(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(1.0)
        scan, temps = await afe.scan(), await afe.scan_temps()
        agrees(scan, assembly)
        wired = assembly.plant.taps.probe_degc[: temps.probe_degc.size]
        assert temps.probe_degc == pytest.approx(wired, abs=0.5)
        assert isnan(temps.die_degc) or temps.die_degc == pytest.approx(assembly.plant.taps.die_degc, abs=1.0)
        assert (scan.trips, scan.retries, scan.note) == (Trip.NONE, 0, "")

    family.play(story)


def test_what_the_settings_say_it_measures_is_measured(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(1.0)
        scan = await afe.scan()
        model = registry.settings_model("afe", family.kind)(**family.settings)
        found = {name for name in ("current_a", "pack_v", "link_v") if not isnan(getattr(scan, name))}
        assert found == model.measures  # type: ignore[attr-defined]

    family.play(story)


def test_conversions_are_proved_while_the_chip_converts_and_not_when_it_only_answers(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()

        async def more() -> int:
            first = (await afe.scan()).conversions
            for _ in range(20):
                await asyncio.sleep(0.1)
                last = (await afe.scan()).conversions
            return last - first

        assert 5 <= await more() <= 20
        family.freeze(assembly)
        await afe.scan()
        await asyncio.sleep(family.proof_s)
        assert await more() == 0

    family.play(story)


def test_a_reset_at_run_time_shows_and_setup_repairs_it(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        family.reset(assembly)
        await asyncio.sleep(0.1)
        with suppress(BusFault):  # a chip that has lost its power may not hear at first
            await afe.scan()
        scan = await afe.scan()
        assert scan.was_reset
        assert not (scan.charge_on or scan.discharge_on)
        await afe.setup()
        assert not (await afe.scan()).was_reset
        await afe.switch(True, True)

    family.play(story)


def test_one_spoilt_transfer_is_repeated(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.5)
        family.spoil_once(assembly)
        scan = await afe.scan()
        assert scan.retries >= 1
        agrees(scan, assembly)

    family.play(story)


def test_lasting_noise_fails_scans_and_never_becomes_a_value(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.5)
        family.spoil(assembly)
        for _ in range(20):
            with pytest.raises(BusFault):
                await afe.scan()
            with pytest.raises(BusFault):
                await afe.scan_temps()

    family.play(story)


def test_a_chip_that_falls_silent_fails_scans_and_comes_back(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        family.silence(assembly)
        with pytest.raises(BusFault):
            await afe.scan()
        with pytest.raises(BusFault):
            await afe.setup()
        family.speak(assembly)
        await afe.setup()
        await asyncio.sleep(0.5)
        agrees(await afe.scan(), assembly)

    family.play(story)


def test_an_answer_given_before_never_becomes_a_wrong_value(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.5)
        agrees(await afe.scan(), assembly)
        family.repeat(assembly)
        try:
            scan = await afe.scan()
        except BusFault:
            return
        off_v = np.nanmax(np.abs(scan.cell_v - assembly.plant.taps.cell_v))
        assert off_v < 0.01 or abs(np.nansum(scan.cell_v) - scan.stack_v) > 0.5  # plausibility sees it

    family.play(story)


@pytest.mark.parametrize("cut", [-1, 1, -3, 40], ids=lambda cut: f"{cut:+d} bytes")
def test_an_answer_of_another_length_is_a_fault_of_the_bus_or_does_no_harm(family: Family, cut: int) -> None:
    async def main() -> None:
        assembly = family.wired()
        bus = Tampered(assembly.afe_bus)
        afe = family.driver(bus)
        await afe.setup()
        await asyncio.sleep(0.5)
        bus.change = lambda raw: raw[:cut] if cut < 0 else raw + bytes(cut)
        for call in (afe.scan, afe.scan_temps, afe.setup):
            try:
                found = await call()
            except BusFault:
                continue
            if isinstance(found, AfeScan):
                agrees(found, assembly)

    run_manual(main())


@pytest.mark.parametrize("seed", range(5))
def test_noise_instead_of_answers_is_a_fault_of_the_bus_and_no_other(family: Family, seed: int) -> None:
    rng = random.Random(seed)

    async def main() -> None:
        assembly = family.wired()
        bus = Tampered(assembly.afe_bus)
        afe = family.driver(bus)
        await afe.setup()
        bus.change = lambda raw: rng.randbytes(rng.choice((len(raw), len(raw), len(raw), 2, 0)))
        for call in (afe.scan, afe.scan_temps, afe.setup) * 5:
            with suppress(BusFault):
                await call()

    run_manual(main())


def test_another_chip_than_the_configured_one_is_refused(family: Family) -> None:
    async def main() -> None:
        assembly = family.wired()
        with pytest.raises(BusFault):
            await family.driver(assembly.afe_bus, **family.other_settings).setup()

    run_manual(main())


def test_the_chips_own_limits_trip_and_are_named(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.scan()
        assembly.plant.cells.offset_v[1] = 0.7
        assembly.plant.refresh()
        await asyncio.sleep(1.5)
        scan = await afe.scan()
        assert scan.trips & Trip.OVER_VOLTAGE
        assert not (scan.charge_on and scan.discharge_on)

    family.play(story)


def test_a_scan_takes_no_longer_than_its_conversion_and_its_bytes(family: Family) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.1)
        before, start_s = assembly.afe_bus.transfers, asyncio.get_running_loop().time()
        await afe.scan()
        assert assembly.afe_bus.transfers - before <= family.transfers
        took_s = asyncio.get_running_loop().time() - start_s
        model = registry.settings_model("afe", family.kind)(**family.settings)
        least_s = model.scan_time(family.series).whole_s  # type: ignore[attr-defined]
        assert least_s * 0.75 < took_s < least_s * 1.1 + 0.0005

    family.play(story)
