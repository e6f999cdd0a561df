"""What only a bq76952 does: its switch outputs gate the coils, its watchdog lets them go."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from contract.afe_families import BQ76952, FAMILIES, wait

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault, Trip
from bms_daemon.ports import Afe
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly
from bms_daemon.sim.bq76952 import Bq76952
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.plant import SimTaps

SERIES = 16
FAMILY = FAMILIES[0]


@pytest.mark.parametrize("current_a", [60.0, -60.0])
def test_a_current_beyond_16_bits_of_milliamperes_keeps_size_and_sign(current_a: float) -> None:
    async def main() -> None:
        taps = SimTaps(np.full(SERIES, 3.3), 52.8, 52.8, 0.0, current_a, np.full(3, 25.0), 25.0)
        chip = Bq76952(taps, shunt_mohm=0.5)
        bus = SimI2cBus(chip.advance)
        bus.attach(0x08, chip)
        settings = registry.settings_model("afe", "bq76952")(crc=True, **BQ76952)
        afe = registry.make_afe("bq76952", bus, settings, SERIES)
        await afe.setup()
        await asyncio.sleep(1.0)
        assert (await afe.scan()).current_a == pytest.approx(current_a, rel=0.01)

    run_manual(main())


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

    FAMILY.play(story)


def test_a_silent_host_loses_both_switches() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        await asyncio.sleep(3.0)
        assembly.world.sync(asyncio.get_running_loop().time())
        assert not (assembly.chip.charge_allowed or assembly.chip.discharge_allowed)
        assert (await afe.scan()).trips == Trip.HOST_WATCHDOG
        assert (await afe.scan()).trips == Trip.NONE

    FAMILY.play(story)


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

    FAMILY.play(story)


def test_neighbours_are_refused_and_the_refusal_is_told() -> None:
    """The chip takes none of them; its own timer ends what it took after 20 s."""

    async def story(assembly: Assembly, afe: Any) -> None:
        await afe.setup()
        apart, together = np.isin(np.arange(16), [2, 4]), np.isin(np.arange(16), [2, 3])
        assert (await afe.balance(apart)).tolist() == apart.tolist()
        assert not (await afe.balance(together)).any() and not assembly.chip.balancing_mask.any()
        await afe.balance(apart)
        await wait(19.0)
        assert (await afe.scan()).balancing.tolist() == apart.tolist() == assembly.chip.balancing_mask.tolist()
        await wait(1.5)
        assert not (await afe.scan()).balancing.any() and not assembly.chip.balancing_mask.any()

    FAMILY.play(story)
