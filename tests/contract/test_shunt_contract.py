"""Every current sensor's driver against its emulator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isnan
from typing import Any

import pytest

from bms_daemon.drivers import registry
from bms_daemon.model import BusFault
from bms_daemon.ports import CurrentSensor
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings

Story = Callable[[Assembly, CurrentSensor], Awaitable[None]]


@dataclass(frozen=True)
class Family:
    """``noise``: what a line does to bytes or frames, by the port's faults; ``wrong``: what the sensor itself says.

    ``silent`` lets it say nothing more; ``lost`` takes its cable away.
    """

    kind: str
    settings: dict[str, Any]
    period_s: float
    noise: dict[str, float]
    wrong: dict[str, Any]
    silent: Callable[[Assembly], None] = lambda a: setattr(a.shunt_port.faults, "silent", True)
    lost: Callable[[Assembly], None] = lambda a: a.shunt_port.unplug()
    lost_as: str = "gone"
    world: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.settings.get("part", f"{self.kind}-hex" if self.settings.get("hex") else self.kind))

    def play(self, story: Story, **changes: Any) -> None:
        async def main() -> None:
            assembly = assemble(WorldSettings.model_validate({"shunt": {"kind": self.kind, **self.world}}))
            settings = registry.settings_model("shunt", self.kind)(**(self.settings | changes))
            shunt = registry.make_shunt(self.kind, assembly.shunt_port, settings)
            await shunt.setup()
            await story(assembly, shunt)

        run_manual(main())


VEDIRECT = Family("vedirect", {}, 1.0, {"flip_rate": 0.01}, {"bad_checksums": 3})
VEDIRECT_HEX = replace(VEDIRECT, settings={"hex": True})
IVTS = Family("ivts", {"pack": "u1", "link": "u2"}, 0.05, {"drop_rate": 0.2}, {"system_error": True})
LEM_CAB = Family("lem_cab", {}, 0.01, {"drop_rate": 0.2}, {"error": True})
ON_CAN = (IVTS, LEM_CAB)


def _ina(part: str, period_s: float) -> Family:
    """A monitor that is asked: what it does not convert is silence, its cable a bus where nobody answers."""
    return Family(
        "ina2xx",
        {"part": part, "shunt_mohm": 0.5, "bus": "link", "max_current_a": 150.0},
        period_s,
        {"nack": 1},
        {"memory_error": True},
        silent=lambda a: setattr(a.talker.faults, "frozen", True),
        lost=lambda a: setattr(a.talker.faults, "mute", True),
        lost_as="nack",
        world={"part": part, "shunt_mohm": 0.5, "bus": "link"},
    )


INA226, INA228, INA238 = _ina("ina226", 0.035), _ina("ina228", 0.05), _ina("ina238", 0.05)
ASKED = (INA226, INA228, INA238)
counting = pytest.mark.parametrize("family", (INA228, IVTS), ids=str)
every = pytest.mark.parametrize("family", (VEDIRECT, VEDIRECT_HEX, *ON_CAN, *ASKED), ids=str)


@every
def test_readings_come_at_the_sensors_period_and_show_what_the_taps_show(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        loop, times = asyncio.get_running_loop(), []
        await shunt.read()
        for _ in range(6):
            reading = await shunt.read()
            times.append(loop.time())
            taps = assembly.plant.taps
            assert reading.current_a == pytest.approx(taps.current_a, abs=0.15)
            assert isnan(reading.voltage_v) or reading.voltage_v == pytest.approx(taps.pack_v, abs=0.1)
            assert isnan(reading.link_v) or reading.link_v == pytest.approx(taps.link_v, abs=0.1)
            assert isnan(reading.soc) or reading.soc == pytest.approx(0.6, abs=0.01)
        assert all(0.5 * family.period_s < b - a < 2.5 * family.period_s for a, b in pairwise(times))

    family.play(story)


@every
def test_what_the_settings_say_it_measures_is_in_its_readings(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(10):
            reading = await shunt.read()
        promised = registry.settings_model("shunt", family.kind)(**family.settings).measures  # type: ignore[attr-defined]
        told = {"current_a": reading.current_a, "pack_v": reading.voltage_v, "link_v": reading.link_v}
        assert all(not isnan(told[quantity]) for quantity in promised)

    family.play(story)


@every
def test_noise_on_the_line_never_becomes_a_value(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        await shunt.read()
        for name, value in family.noise.items():
            setattr(assembly.shunt_port.faults, name, value)
        for _ in range(100):
            reading = await shunt.read()
            assert abs(reading.current_a - assembly.plant.taps.current_a) < 0.15

    family.play(story)


@every
@pytest.mark.parametrize("offset_a", [7.0, -7.0])
def test_the_sign_is_positive_when_charging(family: Family, offset_a: float) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = offset_a
        for _ in range(5):
            reading = await shunt.read()
        assert reading.current_a == pytest.approx(offset_a, abs=0.3)

    family.play(story)


@counting
@pytest.mark.parametrize("inverted", [False, True])
def test_the_charge_is_counted_while_nobody_reads(family: Family, inverted: bool) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = 36.0
        for _ in range(5):
            before = await shunt.read()
        await asyncio.sleep(10.0)
        for _ in range(2):
            after = await shunt.read()
        passed_ah = after.charge_ah - before.charge_ah
        assert passed_ah == pytest.approx(-0.1 if inverted else 0.1, rel=0.02)

    family.play(story, inverted=inverted)


@counting
def test_a_pulse_that_nobody_saw_is_counted(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(5):
            before = await shunt.read()
        for offset_a, seconds in ((0.0, 1.0), (72.0, 2.0), (0.0, 7.0)):
            assembly.talker.faults.offset_a = offset_a
            await asyncio.sleep(seconds)
            assembly.world.sync_now()
        for _ in range(2):
            after = await shunt.read()
        assert after.charge_ah - before.charge_ah == pytest.approx(0.04, abs=0.001)

    family.play(story)


@counting
def test_a_counter_that_began_anew_is_below_what_flowed(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = 72.0
        await shunt.read()
        for _ in range(400):
            before = await shunt.read()
        assembly.talker.power_on_reset()
        with contextlib.suppress(BusFault):
            await shunt.read()
        for _ in range(3):
            after = await shunt.read()
        assert before.charge_ah > 0.3 and abs(after.charge_ah) < 0.02

    family.play(story)


@pytest.mark.parametrize("family", (VEDIRECT, LEM_CAB, INA226, INA238), ids=str)
def test_who_counts_no_charge_says_none(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(5):
            assert isnan((await shunt.read()).charge_ah)

    family.play(story)


@every
def test_an_unplugged_cable_is_gone_and_a_silent_one_waits(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        await shunt.read()
        family.silent(assembly)
        with pytest.raises(TimeoutError):
            for _ in range(2):  # one may have been on its way
                await asyncio.wait_for(shunt.read(), 10.0 * family.period_s)
        family.lost(assembly)
        with pytest.raises(BusFault, match=family.lost_as):
            await shunt.read()

    family.play(story)


@pytest.mark.parametrize("family", (VEDIRECT, *ON_CAN, INA228, INA238), ids=str)
def test_what_the_sensor_itself_calls_wrong_is_no_value(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(3):
            await shunt.read()
        for name, value in family.wrong.items():
            setattr(assembly.talker.faults, name, value)
        start_s = asyncio.get_running_loop().time()
        reading = await shunt.read()
        reading = await shunt.read()
        waited_s = asyncio.get_running_loop().time() - start_s
        assert isnan(reading.current_a) or waited_s > 2.5 * family.period_s

    family.play(story)


# ------------------------------------------------------------------ one family's own
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

    VEDIRECT.play(story)


def test_after_it_was_asked_its_text_is_there_within_a_second_or_two() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assert asyncio.get_running_loop().time() > 3.0, "it has paused"
        await asyncio.wait_for(shunt.read(), 1.2)

    VEDIRECT_HEX.play(story)


def test_a_monitor_that_does_not_hear_is_refused_and_still_read() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.deaf = True
        asking = registry.settings_model("shunt", "vedirect")(hex=True)
        other = registry.make_shunt("vedirect", assembly.shunt_port, asking)
        with pytest.raises(BusFault, match="monitor's RX"):
            await other.setup()
        await other.read()

    VEDIRECT.play(story)


@pytest.mark.parametrize("family", (*ON_CAN, *ASKED), ids=str)
def test_a_sensor_mounted_the_other_way_round_is_a_setting(family: Family) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = 7.0
        for _ in range(5):
            reading = await shunt.read()
        assert reading.current_a == pytest.approx(-7.0, abs=0.3)

    family.play(story, inverted=True)


def test_a_counter_that_stands_still_is_silence_and_missing_frames_are_counted() -> None:
    async def story(assembly: Assembly, shunt: Any) -> None:
        await shunt.read()
        assembly.talker.faults.frozen_counter = True
        with pytest.raises(TimeoutError):
            for _ in range(3):  # one may have been on its way
                await asyncio.wait_for(shunt.read(), 1.0)
        assert shunt.stale > 10
        assembly.talker.faults.frozen_counter = False
        await shunt.read()
        lost = shunt.lost
        assembly.shunt_port.faults.drop = 3
        for _ in range(5):
            await shunt.read()
        assert shunt.lost == lost + 3

    IVTS.play(story)


def test_voltages_that_are_no_longer_told_are_not_known_any_more() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(10):
            await shunt.read()
        assembly.talker.faults.lost |= {2}
        for _ in range(10):
            reading = await shunt.read()
        assert not isnan(reading.voltage_v)
        assert isnan(reading.link_v)

    IVTS.play(story)


def test_a_charge_that_is_no_longer_told_or_not_wanted_is_not_known() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(5):
            reading = await shunt.read()
        assert not isnan(reading.charge_ah)
        assembly.talker.faults.lost |= {6}
        for _ in range(5):
            reading = await shunt.read()
        assert isnan(reading.charge_ah)

    IVTS.play(story)

    async def unwanted(assembly: Assembly, shunt: CurrentSensor) -> None:
        for _ in range(50):
            assert isnan((await shunt.read()).charge_ah)

    IVTS.play(unwanted, charge=False)
    IVTS.play(unwanted, charge=False, configure=False)


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_sensor_speaks_as_it_was_configured_and_still_does_after_its_own_restart(order: str) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = -50.0
        await shunt.read()
        assembly.talker.power_on_reset()
        for _ in range(10):
            assert (await shunt.read()).current_a == pytest.approx(-50.0, abs=0.3)

    IVTS.play(story, byte_order=order)


def test_a_sensor_that_answers_no_command_is_refused_unless_none_is_expected() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assert abs((await shunt.read()).current_a) < 0.2

    with pytest.raises(BusFault, match="not answered"):
        IVTS.play(story, response_id=0x512)
    IVTS.play(story, response_id=0x512, answered=False)
    IVTS.play(story, response_id=0x512, configure=False)


@pytest.mark.parametrize("family", ASKED, ids=str)
@pytest.mark.parametrize("lost", ["everything", "the calibration"])
def test_a_lost_calibration_is_found_written_again_and_never_reads_as_no_current(family: Family, lost: str) -> None:
    """After a brown-out, or when somebody else has written 0 to the register."""

    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        assembly.talker.faults.offset_a = -50.0
        await shunt.read()
        await shunt.read()
        if lost == "everything":
            assembly.talker.power_on_reset()
        else:
            register = 0x05 if family is INA226 else 0x02
            await assembly.shunt_port.transfer(0x40, bytes((register, 0, 0)))
        with pytest.raises(BusFault, match="written again"):
            await shunt.read()
        assert (await shunt.read()).current_a == pytest.approx(-50.0, abs=0.5)

    family.play(story)


def test_a_charge_in_which_a_current_was_too_large_is_not_told() -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None:
        for offset_a, told in ((140.0, True), (152.0, False), (140.0, True)):  # max_current_a is 150
            assembly.talker.faults.offset_a = offset_a
            await shunt.read()
            assert isnan((await shunt.read()).charge_ah) is not told

    INA228.play(story)


@pytest.mark.parametrize(("family", "part"), [(INA226, "ina228"), (INA228, "ina238"), (INA238, "ina226")], ids=str)
def test_another_monitor_is_refused(family: Family, part: str) -> None:
    async def story(assembly: Assembly, shunt: CurrentSensor) -> None: ...

    with pytest.raises(BusFault, match=f"no {part}"):
        family.play(story, part=part)
