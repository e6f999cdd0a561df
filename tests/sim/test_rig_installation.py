"""The rig's own reading of the shipped configuration of a Raspberry Pi."""

from __future__ import annotations

from pathlib import Path

import pytest

from bms_daemon.sim.rig import installation
from bms_daemon.sim.rig.pins import Pin
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
    assert wiring.i2c == "i2c-1"
    assert wiring.serial == Path("/dev/serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable_VE4XXXXX-if00-port0")
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


def test_the_pack_is_the_configured_one_and_the_rest_is_the_callers() -> None:
    world = installation.read(SHIPPED, "beaglebone", current_a=7.0, soc=0.3).world
    assert (world.chemistry, world.series, world.capacity_ah, world.probes) == ("lfp", 16, 100.0, 3)
    assert (world.afe.shunt_mohm, world.afe.crc) == (0.5, False)
    assert (world.board, world.initial_soc, world.profile) == ("beaglebone", 0.3, Constant(current_a=7.0))


def test_a_line_without_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'MAIN'"):
        installation.read(changed(tmp_path, '"GPIO17"', '"MAIN"'))


def test_without_a_shunt_there_is_no_serial_port(tmp_path: Path) -> None:
    assert installation.read(changed(tmp_path, "[shunt", "[unread")).serial is None
