"""The bq76952's bytes against vectors of the data sheet, and against noise."""

from __future__ import annotations

import math

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import bq76952_codec as codec
from bms_daemon.model import BusFault, Trip


@pytest.mark.parametrize(
    ("covered", "crc"),
    [("103E22", 0x63), ("00", 0x00), ("10141168", 0x33), ("0B", 0x31), ("101411C5", 0x79)],
)
def test_crc_matches_the_application_note(covered: str, crc: int) -> None:
    assert codec.crc8(bytes.fromhex(covered)) == crc


def test_a_written_frame_carries_a_crc_after_every_byte() -> None:
    assert codec.protect_write(0x08, 0x3E, bytes.fromhex("2200")).hex() == "22630000"


def test_a_read_frame_of_the_application_note_is_accepted() -> None:
    assert codec.check_read(0x08, 0x14, bytes.fromhex("68330B31")) == bytes.fromhex("680B")


@given(st.integers(0, 31))
def test_any_flipped_bit_of_a_read_frame_is_rejected(bit: int) -> None:
    raw = (int.from_bytes(bytes.fromhex("68330B31"), "big") ^ (1 << bit)).to_bytes(4, "big")
    with pytest.raises(BusFault, match="crc"):
        codec.check_read(0x08, 0x14, raw)


def test_an_answer_to_another_register_is_rejected() -> None:
    with pytest.raises(BusFault, match="crc"):
        codec.check_read(0x08, 0x16, bytes.fromhex("68330B31"))


@pytest.mark.parametrize(
    ("code", "data", "checksum"),
    [
        (0x9180, "7A30", 0x44),
        (0x9261, "8C", 0x80),
        (0x0097, "0F", 0x59),
        (0x0083, "0500", 0x77),
        (0x9275, "37", 0xC1),
    ],
)
def test_buffer_checksum_matches_the_reference(code: int, data: str, checksum: int) -> None:
    assert codec.checksum(code, bytes.fromhex(data)) == checksum


def test_a_buffer_with_its_checksum_and_length_gives_its_data() -> None:
    raw = bytes.fromhex("7A30").ljust(32, b"\xaa") + bytes((0x44, 0x06))
    assert codec.check_buffer(0x9180, raw).hex() == "7a30"


@fuzz
@given(st.binary(min_size=34, max_size=34))
def test_noise_in_the_buffer_is_rejected_or_has_a_right_checksum(raw: bytes) -> None:
    try:
        data = codec.check_buffer(0x9180, raw)
    except BusFault as fault:
        assert fault.kind == "crc"
        return
    assert (0x91 + 0x80 + sum(data) + raw[32]) & 0xFF == 0xFF


@pytest.mark.parametrize(
    ("charge", "discharge", "data"),
    [(False, False, 0x0F), (True, True, 0x0A), (True, False, 0x0B), (False, True, 0x0E)],
)
def test_fet_control_forces_off_what_is_not_wanted(charge: bool, discharge: bool, data: int) -> None:
    assert codec.fet_control(charge, discharge) == data


def test_the_measurement_block_decodes_to_volts_and_amperes() -> None:
    words = [3300 + n for n in range(15)] + [-5, 5286, 5280, 12, -1500]
    raw = b"".join(word.to_bytes(2, "little", signed=True) for word in words)
    values = codec.decode_measurement(raw, user_a=0.01)
    assert values.inputs_v[0] == pytest.approx(3.300)
    assert values.inputs_v[14] == pytest.approx(3.314)
    assert values.inputs_v[15] == pytest.approx(-0.005)
    assert (values.stack_v, values.pack_v, values.load_v) == pytest.approx((52.86, 52.80, 0.12))
    assert values.current_a == pytest.approx(-15.0)


@fuzz
@given(st.binary(min_size=40, max_size=40))
def test_any_measurement_block_decodes_to_finite_values_in_the_chips_range(raw: bytes) -> None:
    values = codec.decode_measurement(raw, user_a=0.01)
    assert all(abs(cell) <= 32.768 for cell in values.inputs_v)
    assert abs(values.current_a) <= 327.68
    assert math.isfinite(values.stack_v + values.pack_v + values.load_v)


def status_block(**registers: int) -> bytes:
    raw = bytearray(18)
    for name, value in registers.items():
        raw[int(name[1:], 16) - 2] = value
    return bytes(raw)


@pytest.mark.parametrize(
    ("registers", "trips"),
    [
        ({}, Trip.NONE),
        ({"r03": 0x80}, Trip.SHORT_CIRCUIT),
        ({"r03": 0x40}, Trip.OVER_CURRENT_DISCHARGE),
        ({"r03": 0x20}, Trip.OVER_CURRENT_DISCHARGE),
        ({"r03": 0x10}, Trip.OVER_CURRENT_CHARGE),
        ({"r03": 0x08}, Trip.OVER_VOLTAGE),
        ({"r03": 0x04}, Trip.UNDER_VOLTAGE),
        ({"r05": 0x10}, Trip.OVER_TEMPERATURE),
        ({"r05": 0x80}, Trip.OVER_TEMPERATURE),
        ({"r05": 0x01}, Trip.UNDER_TEMPERATURE),
        ({"r07": 0x80}, Trip.OVER_CURRENT_DISCHARGE),
        ({"r07": 0x40}, Trip.SHORT_CIRCUIT),
        ({"r07": 0x20}, Trip.OVER_CURRENT_DISCHARGE),
        ({"r07": 0x10}, Trip.OVER_VOLTAGE),
        ({"r07": 0x02}, Trip.HOST_WATCHDOG),
        ({"r0B": 0x01}, Trip.INTERNAL),
        ({"r11": 0x01}, Trip.INTERNAL),
        ({"r13": 0x10}, Trip.INTERNAL),
        ({"r03": 0x88}, Trip.SHORT_CIRCUIT | Trip.OVER_VOLTAGE),
        ({"r02": 0xFC, "r04": 0xF7, "r06": 0xF6, "r0A": 0xFF}, Trip.NONE),
    ],
)
def test_status_bits_become_trips_and_alerts_do_not(registers: dict[str, int], trips: Trip) -> None:
    assert codec.decode_status(status_block(**registers)).trips == trips


@pytest.mark.parametrize(
    ("alarms", "registers", "trips"),
    [
        (0x8000, {}, Trip.HOST_WATCHDOG),
        (0x8000, {"r05": 0x10}, Trip.OVER_TEMPERATURE),
        (0x8000, {"r03": 0x08}, Trip.OVER_VOLTAGE | Trip.HOST_WATCHDOG),
        (0x4080, {}, Trip.NONE),
    ],
)
def test_a_latched_alarm_without_its_cause_was_the_host_watchdog(
    alarms: int, registers: dict[str, int], trips: Trip
) -> None:
    assert codec.decode_status(status_block(**registers), alarms).trips == trips


@pytest.mark.parametrize(("low", "reset"), [(0x00, False), (0x08, True), (0x01, True), (0x04, False)])
def test_a_reset_or_configuration_mode_shows(low: int, reset: bool) -> None:
    assert codec.decode_status(status_block(r12=low)).was_reset is reset


@fuzz
@given(st.binary(min_size=18, max_size=18))
def test_any_status_block_decodes(raw: bytes) -> None:
    status = codec.decode_status(raw)
    assert bool(status.trips & Trip.SHORT_CIRCUIT) == bool(raw[1] & 0x80 or raw[5] & 0x40)
    assert status.was_reset == bool(raw[16] & 0x09)


def test_temperatures_decode_by_pin() -> None:
    words = [2982, 0, 0, 0, 2732, 3031, 2532, 0, 0, 0]
    degc = codec.decode_temperatures(b"".join(word.to_bytes(2, "little") for word in words))
    assert (degc["die"], degc["TS1"], degc["TS2"], degc["TS3"]) == pytest.approx((25.05, 0.05, 29.95, -19.95))


@fuzz
@given(st.binary(min_size=20, max_size=20))
def test_any_temperature_block_decodes(raw: bytes) -> None:
    degc = codec.decode_temperatures(raw)
    assert len(degc) == 10
    assert all(math.isfinite(value) for value in degc.values())
