"""INA226, INA228 and INA238 against TI's examples, and what they cannot do."""

from __future__ import annotations

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import ina2xx_codec as codec
from bms_daemon.drivers.ina2xx import Settings
from bms_daemon.drivers.ina2xx_codec import PARTS, PartName


def test_tis_example_of_an_ina226() -> None:
    part = PARTS["ina226"]
    assert part.shunt.volts(bytes.fromhex("1F40")) == pytest.approx(0.020)
    assert part.bus.volts(bytes.fromhex("2570")) == pytest.approx(11.98)
    assert codec.calibration(part, 1e-3 * 2**15, 0.002) == 2560


@pytest.mark.parametrize("name", ["ina228", "ina238"])
def test_tis_example_of_a_calibration(name: PartName) -> None:
    assert codec.calibration(PARTS[name], 10.0, 0.0162) == 4050


@pytest.mark.parametrize(
    ("name", "raw", "volts"),
    [("ina228", "000010", 312.5e-9), ("ina228", "FFFFF0", -312.5e-9), ("ina228", "7FFFF0", 0.16384),
     ("ina238", "0001", 5e-6), ("ina238", "FFFF", -5e-6), ("ina226", "FFFF", -2.5e-6)],
)  # fmt: skip
def test_the_resistors_voltage_is_signed(name: PartName, raw: str, volts: float) -> None:
    assert PARTS[name].shunt.volts(bytes.fromhex(raw)) == pytest.approx(volts, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "raw", "volts"),
    [("ina228", "000010", 195.3125e-6), ("ina238", "0001", 3.125e-3), ("ina226", "FFFF", 81.92)],
)
def test_the_bus_voltage(name: PartName, raw: str, volts: float) -> None:
    assert PARTS[name].bus.volts(bytes.fromhex(raw)) == pytest.approx(volts, rel=1e-3)


def test_a_current_beyond_the_chip_is_refused() -> None:
    with pytest.raises(ValueError, match=r"up to 163\.8 A"):
        Settings(part="ina238", shunt_mohm=1.0, max_current_a=200.0)


@pytest.mark.parametrize(
    ("raw", "charge_ah"),
    [("0000000000", 0.0), ("0000000001", 1.0), ("FFFFFFFFFF", -1.0), ("7FFFFFFFFF", 2.0**39),
     ("8000000000", -(2.0**39))],
)  # fmt: skip
def test_a_charge_register_counts_seconds_of_the_lsb_in_forty_bits(raw: str, charge_ah: float) -> None:
    """4050 stands for 10 A in 2^19 counts across 16.2 mohm, but for the rounding."""
    found = codec.charge_ah(PARTS["ina228"], bytes.fromhex(raw), 4050, 0.0162)
    assert found == pytest.approx(charge_ah * 10.0 / 2**19 / 3600.0)


@pytest.mark.parametrize(("name", "counts"), [("ina226", False), ("ina228", True), ("ina238", False)])
def test_who_counts_charge(name: PartName, counts: bool) -> None:
    assert (PARTS[name].counter == 0x0A) is counts


@fuzz
@given(raw=st.binary(min_size=5, max_size=5), calibrated=st.integers(0, 2**15 - 1))
def test_any_bytes_are_a_charge_within_forty_bits(raw: bytes, calibrated: int) -> None:
    found = codec.charge_ah(PARTS["ina228"], raw, calibrated, 1e-3)
    assert abs(found) <= 2**39 * calibrated / 13107.2e3 / 3600.0


@fuzz
@given(raw=st.binary(min_size=3, max_size=3), name=st.sampled_from(sorted(PARTS)))
def test_any_bytes_decode_within_the_chips_range(raw: bytes, name: PartName) -> None:
    part = PARTS[name]
    assert abs(part.shunt.volts(raw[: part.shunt.length])) <= part.full_v * 1.001
