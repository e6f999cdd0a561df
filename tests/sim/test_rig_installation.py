"""The rig's own reading of the shipped configurations, and the devices that it puts up for them."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path

import pytest

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.rig import devices, installation
from bms_daemon.sim.rig.i2c_dev import I2cDev
from bms_daemon.sim.rig.pins import Pin
from bms_daemon.sim.rig.spi_dev import SpiDev
from bms_daemon.sim.settings import Constant

SHIPPED = Path(__file__).parents[2] / "config" / "raspberry-pi-16s-lfp.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped configuration with a text replaced wherever it stands."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "changed.toml").write_text(text.replace(old, new), encoding="utf-8")
    return tmp_path / "changed.toml"


def test_the_devices_are_those_of_the_shipped_configuration() -> None:
    wiring = installation.read(SHIPPED)
    assert wiring.afe == "i2c-1"
    assert wiring.shunt == "serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable_VE4XXXXX-if00-port0"
    assert wiring.label == "pinctrl-bcm2711"


def test_every_line_has_its_offset_name_and_sense() -> None:
    wiring = installation.read(SHIPPED)
    assert wiring.pins == {
        "main": Pin(17),
        "precharge": Pin(27),
        "dead_man": Pin(22),
        "fan": Pin(13),
        "main_aux": Pin(23, active_low=True),
        "precharge_aux": Pin(24, active_low=True),
        "emergency_stop": Pin(25),
        "interlock": Pin(12),
        "alert": Pin(16),
    }
    assert wiring.names == {offset: f"GPIO{offset}" for offset in (12, 13, 16, 17, 22, 23, 24, 25, 27)}


def test_lines_of_a_beaglebone_have_their_headers_numbers() -> None:
    wiring = installation.read(SHIPPED.with_name("bbb-96s-nmc-car.toml"), "beaglebone")
    assert wiring.pins["main_negative"] == Pin(13) and wiring.names[13] == "P8_13"


def test_the_pack_is_the_configured_one_and_the_rest_is_the_callers() -> None:
    world = installation.read(SHIPPED, "beaglebone", current_a=7.0, soc=0.3).world
    assert (world.chemistry, world.series, world.capacity_ah, world.probes) == ("lfp", 16, 100.0, 3)
    assert (world.afe.shunt_mohm, world.afe.crc) == (0.5, False)
    assert (world.board, world.initial_soc, world.profile) == ("beaglebone", 0.3, Constant(current_a=7.0))


def test_a_line_without_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'MAIN'"):
        installation.read(changed(tmp_path, '"GPIO17"', '"MAIN"'))


def test_without_a_shunt_there_is_nobody_who_talks(tmp_path: Path) -> None:
    wiring = installation.read(changed(tmp_path, "[shunt", "[unread"))
    assert wiring.shunt is None and devices.talking(wiring, assemble(wiring.world)) == []


@pytest.mark.parametrize(
    ("shipped", "nodes", "talks"),
    [
        ("raspberry-pi-16s-lfp", {"i2c-1": I2cDev}, 1),
        ("bbb-96s-nmc-car", {"spidev1.0": SpiDev}, 1),
        ("pi-12s-scooter", {"i2c-1": I2cDev}, 0),
        ("portable-4s-sbs", {"i2c-1": I2cDev}, 0),
    ],
)
def test_every_shipped_configuration_finds_its_devices(shipped: str, nodes: dict[str, type], talks: int) -> None:
    wiring = installation.read(SHIPPED.with_name(f"{shipped}.toml"))
    parts = assemble(wiring.world, bus_hz=inf)
    made = devices.nodes(wiring, parts)
    talking = devices.talking(wiring, parts)
    assert {name: type(device) for name, device in made.items()} == nodes
    assert all(type(device) in devices.GROUPS for device in made.values())
    assert len(talking) == talks
    for each in talking:
        each.close()  # type: ignore[attr-defined]


def test_a_monitor_on_the_afes_adapter_is_brought_to_now_before_it_answers() -> None:
    """The INA228 of the scooter: register 0x05 is its bus voltage, 195.3125 uV in bits 23 to 4."""
    wiring = installation.read(SHIPPED.with_name("pi-12s-scooter.toml"))

    async def main() -> None:
        parts = assemble(wiring.world, bus_hz=inf)
        devices.nodes(wiring, parts)
        await parts.afe_bus.transfer(0x40, b"\x05", 3)  # its conversions begin
        for live_v in (30.0, 40.0):
            parts.plant.path.link.live_v = live_v
            await asyncio.sleep(0.5)
            raw = await parts.afe_bus.transfer(0x40, b"\x05", 3)
            assert (int.from_bytes(raw, "big") >> 4) * 195.3125e-6 == pytest.approx(live_v, abs=0.5)

    run_manual(main())


def test_a_monitor_on_an_adapter_of_its_own_has_a_node_of_its_own(tmp_path: Path) -> None:
    text = SHIPPED.with_name("pi-12s-scooter.toml").read_text(encoding="utf-8")
    (tmp_path / "two.toml").write_text(text.replace('port = "/dev/i2c-1"', 'port = "/dev/i2c-2"'), encoding="utf-8")
    wiring = installation.read(tmp_path / "two.toml")
    assert set(devices.nodes(wiring, assemble(wiring.world))) == {"i2c-1", "i2c-2"}
