"""Every AFE driver against its emulator: two readings of one data sheet must meet on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault, Trip
from bms_daemon.ports import Afe
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.bq76952 import Bq76952
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.plant import SimTaps
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.world import Assembly, assemble

SERIES = 16
SETTINGS: dict[str, Any] = {
    "shunt_mohm": 0.5,
    "probes": ("TS1", "TS2", "TS3"),
    "over_voltage_v": 3.75,
    "under_voltage_v": 2.4,
    "over_current_charge_a": 120.0,
    "over_current_discharge_a": 160.0,
    "over_current_discharge_fast_a": 200.0,
    "short_circuit_a": 400.0,
}

Story = Callable[[Assembly, Afe], Awaitable[None]]


def play(story: Story, crc: bool = True) -> None:
    async def main() -> None:
        world = WorldSettings(series=SERIES, chip_crc=crc, shunt_mohm=0.5)
        assembly = assemble(world)
        settings = registry.settings_model("afe", "bq76952")(crc=crc, **SETTINGS)
        await story(assembly, registry.make_afe("bq76952", assembly.i2c, settings, SERIES))

    run_manual(main())


@pytest.mark.parametrize("crc", [False, True])
def test_setup_is_accepted_as_the_settings_promise_and_leaves_switches_off(crc: bool) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        model = registry.settings_model("afe", "bq76952")
        assert await afe.setup() == model(crc=crc, **SETTINGS).hardware_limits()  # type: ignore[attr-defined]
        scan = await afe.scan()
        assert not (scan.charge_on or scan.discharge_on or scan.was_reset)
        assert not (assembly.chip.charge_allowed or assembly.chip.discharge_allowed)

    play(story, crc)


@pytest.mark.parametrize("crc", [False, True])
def test_a_scan_shows_what_the_taps_show(crc: bool) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(1.0)
        scan, temps, taps = await afe.scan(), await afe.scan_temps(), assembly.plant.taps
        assert scan.cell_v == pytest.approx(taps.cell_v, abs=0.005)
        assert scan.stack_v == pytest.approx(taps.stack_v, abs=0.1)
        assert scan.pack_v == pytest.approx(taps.pack_v, abs=0.1)
        assert scan.link_v == pytest.approx(taps.link_v, abs=0.1)
        assert scan.current_a == pytest.approx(taps.current_a, abs=0.05)
        assert temps.probe_degc == pytest.approx(taps.probe_degc[:3], abs=0.5)
        assert temps.die_degc == pytest.approx(taps.die_degc, abs=0.5)
        assert scan.trips is Trip.NONE
        assert scan.retries == 0

    play(story, crc)


@pytest.mark.parametrize("current_a", [60.0, -60.0])
def test_a_current_beyond_16_bits_of_milliamperes_keeps_size_and_sign(current_a: float) -> None:
    async def main() -> None:
        taps = SimTaps(np.full(SERIES, 3.3), 52.8, 52.8, 0.0, current_a, np.full(3, 25.0), 25.0)
        chip = Bq76952(taps, shunt_mohm=0.5)
        bus = SimI2cBus(chip.advance)
        bus.attach(0x08, chip)
        settings = registry.settings_model("afe", "bq76952")(crc=True, **SETTINGS)
        afe = registry.make_afe("bq76952", bus, settings, SERIES)
        await afe.setup()
        await asyncio.sleep(1.0)
        assert (await afe.scan()).current_a == pytest.approx(current_a, rel=0.01)

    run_manual(main())


def test_conversions_are_proved_while_the_chip_converts() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        first = (await afe.scan()).conversions
        for _ in range(20):
            await asyncio.sleep(0.1)
            last = (await afe.scan()).conversions
        assert 5 <= last - first <= 20

    play(story)


@pytest.mark.parametrize(("charge", "discharge"), [(True, True), (True, False), (False, True), (False, False)])
def test_switches_reach_the_pins_that_gate_the_coils(charge: bool, discharge: bool) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.5)
        await afe.switch(True, True)
        await afe.switch(charge, discharge)
        scan = await afe.scan()
        assert (scan.charge_on, scan.discharge_on) == (charge, discharge)
        assert (assembly.chip.charge_allowed, assembly.chip.discharge_allowed) == (charge, discharge)

    play(story)


def test_a_silent_host_loses_both_switches() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        await asyncio.sleep(3.0)
        assembly.world.sync(asyncio.get_running_loop().time())
        assert not (assembly.chip.charge_allowed or assembly.chip.discharge_allowed)
        assert (await afe.scan()).trips == Trip.HOST_WATCHDOG
        assert (await afe.scan()).trips == Trip.NONE

    play(story)


def test_a_reset_at_run_time_shows_and_setup_repairs_it() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        assembly.chip.power_on_reset()
        await asyncio.sleep(0.1)
        scan = await afe.scan()
        assert scan.was_reset
        assert not (scan.charge_on or scan.discharge_on)
        await afe.setup()
        assert not (await afe.scan()).was_reset
        await afe.switch(True, True)

    play(story)


def test_one_fault_on_the_bus_is_repeated_and_lasting_ones_fail_the_scan() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.i2c.faults.nack = 1
        assert (await afe.scan()).retries == 1
        assembly.i2c.faults.flip_bytes = 1
        assert (await afe.scan()).retries == 1
        assembly.i2c.faults.nack = float("inf")
        with pytest.raises(BusFault, match="nack"):
            await afe.scan()

    play(story)


def test_the_previous_answer_again_is_caught_by_the_crc() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await asyncio.sleep(0.5)
        honest = await afe.scan()
        assembly.i2c.faults.repeat = 1
        scan = await afe.scan()
        assert scan.retries >= 1
        assert np.allclose(scan.cell_v, honest.cell_v, atol=0.01)

    play(story)


@pytest.mark.parametrize(
    ("bits", "trip"),
    [(0x80, Trip.SHORT_CIRCUIT), (0x20, Trip.OVER_CURRENT_DISCHARGE), (0x08, Trip.OVER_VOLTAGE)],
)
def test_a_trip_of_the_chip_asserts_alert_and_is_named(bits: int, trip: Trip) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        await afe.scan()
        assembly.chip.trip(bits)
        assembly.world.sync(asyncio.get_running_loop().time())
        assert assembly.chip.alert
        scan = await afe.scan()
        assert scan.trips & trip
        assert not (scan.charge_on and scan.discharge_on)
        with pytest.raises(BusFault, match="refused"):
            await afe.switch(True, True)

    play(story)


@pytest.mark.parametrize("crc", [False, True])
def test_a_scan_is_short_on_the_wire(crc: bool) -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        before, start_s = assembly.i2c.transfers, asyncio.get_running_loop().time()
        await afe.scan()
        assert assembly.i2c.transfers - before <= 5
        assert asyncio.get_running_loop().time() - start_s < 0.006

    play(story, crc)
