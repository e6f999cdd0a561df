"""Every current sensor's driver against its emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault
from bms_daemon.ports import CurrentSensor
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.world import Assembly, assemble

Story = Callable[[Assembly, CurrentSensor], Awaitable[None]]


def play(story: Story) -> None:
    async def main() -> None:
        assembly = assemble(WorldSettings())
        settings = registry.settings_model("shunt", "vedirect")()
        await story(assembly, registry.make_shunt("vedirect", assembly.serial, settings))

    run_manual(main())


def test_a_reading_a_second_shows_what_the_taps_show() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        loop, times = asyncio.get_running_loop(), []
        for _ in range(5):
            reading = await shunt.read()
            times.append(loop.time())
            assert reading.current_a == pytest.approx(assembly.plant.taps.current_a, abs=0.05)
            assert reading.voltage_v == pytest.approx(assembly.plant.taps.pack_v, abs=0.1)
            assert reading.soc == pytest.approx(0.6, abs=0.01)
        assert all(0.5 < after - before < 2.5 for before, after in pairwise(times))

    play(story)


def test_hex_frames_cost_nothing_and_wrong_sums_cost_their_block() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        loop = asyncio.get_running_loop()
        assembly.talker.faults.hex_frames = True
        await shunt.read()
        start_s = loop.time()
        await shunt.read()
        undisturbed_s = loop.time() - start_s
        assembly.talker.faults.bad_checksums = 2
        start_s = loop.time()
        await shunt.read()
        assert loop.time() - start_s == pytest.approx(3 * undisturbed_s, rel=0.2)

    play(story)


def test_noise_on_the_line_never_becomes_a_value() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.serial.faults.flip_rate = 0.01
        for _ in range(100):
            reading = await shunt.read()
            assert abs(reading.current_a - assembly.plant.taps.current_a) < 0.1

    play(story)


@pytest.mark.parametrize("offset_a", [7.0, -7.0])
def test_the_sign_is_positive_when_charging(offset_a: float) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = offset_a
        await shunt.read()
        assert (await shunt.read()).current_a == pytest.approx(offset_a, abs=0.2)

    play(story)


def test_an_unplugged_cable_is_gone_and_a_silent_one_waits() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.serial.faults.silent = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shunt.read(), 10.0)
        assembly.serial.unplug()
        with pytest.raises(BusFault, match="gone"):
            await shunt.read()

    play(story)
