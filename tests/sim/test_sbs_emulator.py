"""The smart battery's emulator by raw bytes: codes, refusals, every command, anything at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sbs_bench import Bench, Pins

from bms_daemon.sim.sbs import SmartBattery, pec


# ---------------------------------------------------------------------- bytes
@pytest.mark.parametrize(
    ("covered", "code"),
    [("B407B5D23A", 0x30), ("B42207C8", 0x48), ("160917E02E", 0xE2), ("16001000", 0x44)],
)
def test_published_codes(covered: str, code: int) -> None:
    assert pec(bytes.fromhex(covered)) == code


def test_a_voltage_of_12_v_is_read_as_the_published_bytes() -> None:
    battery = Bench(cell_v=3.0).battery
    assert battery.i2c_write(b"\x09")
    assert battery.i2c_read(3) == bytes.fromhex("E02EE2")


def test_a_word_is_written_with_the_published_code_or_not_at_all() -> None:
    bench = Bench()
    assert not bench.battery.i2c_write(bytes.fromhex("00100045"))
    assert bench.u16(0x00) == 0
    assert bench.battery.i2c_write(bytes.fromhex("00100044"))
    assert bench.u16(0x00) == 0x0010
    assert bench.battery.i2c_write(bytes.fromhex("003412")), "PEC is the host's choice"
    assert bench.u16(0x00) == 0x1234


def test_pec_follows_the_address() -> None:
    battery = Bench(cell_v=3.0, address=0x5A).battery
    assert battery.i2c_write(b"\x09")
    raw = battery.i2c_read(3)
    assert raw == b"\xe0\x2e" + bytes([pec(bytes.fromhex("B409B5E02E"))])


def test_without_pec_the_bus_reads_ones_after_the_data() -> None:
    bench = Bench(cell_v=3.0, pec=False)
    assert bench.battery.i2c_write(b"\x09")
    assert bench.battery.i2c_read(4) == bytes.fromhex("E02EFFFF")
    assert not bench.battery.i2c_write(bytes.fromhex("00100044"))
    assert bench.u16(0x00) == 0
    assert bench.u16(0x1A) == 0x0021


def test_a_read_needs_its_command_and_in_time() -> None:
    bench = Bench()
    assert bench.battery.i2c_read(3) is None
    bench.u16(0x09)
    assert bench.battery.i2c_read(3) is None, "the command was for one answer"
    bench.battery.i2c_write(b"\x09")
    bench.wait(0.034)
    assert bench.battery.i2c_read(3) is not None
    bench.battery.i2c_write(b"\x09")
    bench.wait(0.036)
    assert bench.battery.i2c_read(3) is None


def test_a_write_without_bytes_only_asks_whether_somebody_is_there() -> None:
    bench = Bench()
    assert bench.battery.i2c_write(b"")
    assert bench.battery.i2c_read(3) is None


@pytest.mark.parametrize(
    ("frame", "acknowledged", "error"),
    [
        ("2F", False, 3),
        ("FF", False, 3),
        ("1D", False, 3),
        ("090000", False, 4),
        ("200000", False, 4),
        ("0300", True, 6),
        ("0300000000", False, 6),
        ("03000000", False, 7),
        ("030000", True, 0),
        ("09", True, 0),
    ],
)
def test_what_it_cannot_do_is_refused_and_named_once(frame: str, acknowledged: bool, error: int) -> None:
    bench = Bench()
    assert bench.battery.i2c_write(bytes.fromhex(frame)) is acknowledged
    assert bench.u16(0x16) & 0x0F == error
    assert bench.u16(0x16) & 0x0F == 0


def test_a_refusal_is_forgotten_with_the_next_success() -> None:
    bench = Bench()
    assert not bench.battery.i2c_write(b"\x2f")
    bench.u16(0x09)
    assert bench.u16(0x16) & 0x0F == 0


# ---------------------------------------------------------------------- every command
@pytest.mark.parametrize("coded", [True, False])
def test_words_of_a_discharging_battery(coded: bool) -> None:
    bench = Bench(pec=coded)
    expected: dict[int, tuple[int, int]] = {
        0x00: (0, 0), 0x01: (500, 0), 0x02: (10, 0), 0x03: (0, 0), 0x04: (0, 0),
        0x05: (65535, 0), 0x06: (65535, 0), 0x07: (1, 0), 0x08: (2982, 1), 0x09: (14800, 0),
        0x0A: (64536, 8), 0x0B: (64536, 8), 0x0C: (3, 0), 0x0D: (60, 0), 0x0E: (60, 0),
        0x0F: (3000, 1), 0x10: (5000, 0), 0x11: (180, 2), 0x12: (180, 2), 0x13: (65535, 0),
        0x14: (2500, 0), 0x15: (16800, 0), 0x16: (0x00C0, 0), 0x17: (12, 0), 0x18: (5000, 0),
        0x19: (14400, 0), 0x1A: (0x0031 if coded else 0x0021, 0), 0x1B: (0x58B1, 0), 0x1C: (4711, 0),
        0x3C: (3700, 3), 0x3D: (3700, 3), 0x3E: (3700, 3), 0x3F: (3700, 3),
    }  # fmt: skip
    assert set(expected) == {*range(0x1D), *range(0x3C, 0x40)}
    for command, (value, slack) in expected.items():
        assert bench.u16(command) == pytest.approx(value, abs=slack), hex(command)


def test_blocks_begin_with_their_length() -> None:
    bench = Bench()
    assert bench.battery.i2c_write(b"\x22")
    assert bench.battery.i2c_read(6) == b"\x04LION" + bytes([pec(b"\x16\x22\x17\x04LION")])
    assert [bench.block(command) for command in (0x20, 0x21, 0x22, 0x23)] == [b"Emulated", b"SBS", b"LION", b"\1\2"]


@pytest.mark.parametrize(("told", "answer"), [(None, 4), (4, 4), (3, 3), (0, 0)])
def test_the_first_cell_is_at_3f(told: int | None, answer: int) -> None:
    bench = Bench(cells=4, told=told)
    bench.cells(3.5, 3.6, 3.7, 3.8)
    for cell in range(4):
        if cell < answer:
            assert bench.u16(0x3F - cell) == pytest.approx(3500 + 100 * cell, abs=3)
        else:
            assert not bench.battery.i2c_write(bytes([0x3F - cell]))


def test_of_many_cells_the_first_four_are_told() -> None:
    bench = Bench(cells=6)
    assert bench.u16(0x3C) == pytest.approx(3700, abs=3)
    assert not bench.battery.i2c_write(b"\x3b")


@pytest.mark.parametrize("told", [-1, 3, 5])
def test_more_cells_than_there_are_cannot_be_told(told: int) -> None:
    with pytest.raises(ValueError, match="one by one"):
        SmartBattery(Pins(cell_v=np.full(2, 3.7)), capacity_ah=5.0, soc=0.5, cells=told)


def test_at_rate_asks_what_a_current_would_do() -> None:
    bench = Bench()
    assert bench.write(0x04, -2000)
    assert (bench.i16(0x04), bench.u16(0x05), bench.u16(0x07)) == (-2000, 65535, 1)
    assert bench.u16(0x06) == pytest.approx(90, abs=1)
    assert bench.write(0x04, 2000)
    assert (bench.u16(0x05), bench.u16(0x06), bench.u16(0x07)) == (60, 65535, 1)
    assert bench.write(0x04, 1)
    assert bench.u16(0x05) == 65534
    assert bench.write(0x04, -1)
    assert bench.u16(0x06) == 65534


def test_at_rate_ok_says_whether_it_lasts_ten_seconds() -> None:
    bench = Bench(soc=0.001)
    bench.write(0x04, -1700)
    assert bench.u16(0x07) == 1
    bench.write(0x04, -1900)
    assert bench.u16(0x07) == 0
    empty = Bench(cell_v=2.9)
    empty.write(0x04, -1)
    assert empty.u16(0x07) == 0


def test_capacity_mode_counts_in_10_mw() -> None:
    bench = Bench()
    bench.write(0x04, -1000)
    assert bench.write(0x03, 0x8000)
    assert [bench.u16(command) for command in (0x01, 0x10, 0x18)] == [720, 7200, 7200]
    assert bench.u16(0x0F) == pytest.approx(4320, abs=2)
    assert (bench.i16(0x04), bench.i16(0x0A)) == (-1440, pytest.approx(-1000, abs=8))
    bench.write(0x01, 1440)
    bench.write(0x03, 0)
    assert (bench.u16(0x01), bench.i16(0x04)) == (1000, -1000)


def test_it_may_start_in_capacity_mode_and_returns_to_it() -> None:
    bench = Bench(capacity_mode_10mw=True)
    assert (bench.u16(0x03), bench.u16(0x18)) == (0x8000, 7200)
    bench.write(0x03, 0)
    assert bench.u16(0x18) == 5000
    bench.battery.power_on_reset()
    assert bench.u16(0x18) == 7200


def test_only_three_mode_bits_are_writable_and_two_pass_after_a_minute() -> None:
    bench = Bench()
    bench.write(0x03, 0xFFFF)
    assert bench.u16(0x03) == 0xE000
    bench.wait(59.0, 1.0)
    assert bench.u16(0x03) == 0xE000
    bench.wait(1.1)
    assert bench.u16(0x03) == 0x8000


def test_a_large_pack_scales_its_words_but_not_what_it_asks_for() -> None:
    bench = Bench(cells=20, capacity_ah=100.0)
    bench.pins.current_a = -40.0
    bench.wait(1.0)
    assert bench.u16(0x1A) == 0x2131
    assert (bench.u16(0x09), bench.u16(0x19)) == (7400, 7200)
    assert (bench.i16(0x0A), bench.u16(0x10), bench.u16(0x18)) == (-400, 1000, 1000)
    assert (bench.u16(0x14), bench.u16(0x15)) == (50000, 65535)
    bench.write(0x03, 0x8000)
    assert bench.u16(0x18) == 7200


@pytest.mark.parametrize(("capacity_ah", "info"), [(9.9, 0x0031), (10.0, 0x1031), (1e3, 0x3031), (1e6, 0x3031)])
def test_currents_scale_by_at_most_a_thousand(capacity_ah: float, info: int) -> None:
    assert Bench(capacity_ah=capacity_ah).u16(0x1A) == info


@pytest.mark.parametrize(("cells", "info", "volts"), [(14, 0x0031, 51800), (15, 0x0131, 5550)])
def test_voltages_scale_when_a_full_pack_would_not_fit(cells: int, info: int, volts: int) -> None:
    bench = Bench(cells=cells)
    assert (bench.u16(0x1A), bench.u16(0x09)) == (info, volts)


def test_minutes_follow_present_and_average_current() -> None:
    bench = Bench()
    bench.pins.current_a = -2.0
    bench.wait(0.25)
    assert bench.u16(0x11) == pytest.approx(90, abs=1)
    assert bench.u16(0x12) == pytest.approx(180, abs=3)
    bench.pins.current_a = 2.0
    bench.wait(600.0, 1.0)
    assert (bench.u16(0x11), bench.u16(0x12)) == (65535, 65535)
    assert bench.u16(0x13) == pytest.approx((5.0 - 3.0 - 1 / 3) / 2 * 60, abs=1)


def test_average_current_has_a_minute_for_63_percent() -> None:
    bench = Bench()
    bench.pins.current_a = 1.0
    bench.wait(60.0, 0.25)
    assert bench.i16(0x0B) == pytest.approx(1000 - 2000 / math.e, abs=10)


def test_it_counts_what_flows_within_its_bounds() -> None:
    bench = Bench()
    bench.pins.current_a = 1.0
    bench.wait(3600.0, 1.0)
    assert (bench.u16(0x0D), bench.u16(0x0E)) == (80, 80)
    bench.wait(7200.0, 1.0)
    assert bench.u16(0x0F) == 5000
    bench.pins.current_a = -5.0
    bench.wait(5400.0, 1.0)
    assert (bench.u16(0x0F), bench.u16(0x0D), bench.u16(0x17)) == (0, 0, 13)


def test_alarms_of_what_remains_only_while_it_discharges() -> None:
    bench = Bench()
    bench.write(0x01, 2999)
    assert not bench.u16(0x16) & 0x0300
    bench.write(0x01, 3010)
    assert bench.u16(0x16) & 0x0300 == 0x0200
    bench.write(0x02, 200)
    assert bench.u16(0x16) & 0x0300 == 0x0300
    bench.pins.current_a = 1.0
    bench.wait(0.25)
    assert bench.u16(0x16) & 0x0340 == 0


# ---------------------------------------------------------------------- anything at all
@settings(max_examples=300, deadline=None)
@given(
    frames=st.lists(st.one_of(st.binary(max_size=6), st.binary(min_size=1, max_size=1)), max_size=8),
    count=st.integers(0, 40),
    coded=st.booleans(),
)
def test_no_bytes_raise(frames: list[bytes], count: int, coded: bool) -> None:
    bench = Bench(pec=coded)
    for frame in frames:
        heard = bench.battery.i2c_write(frame)
        found = bench.battery.i2c_read(count)
        assert (found is not None) == (heard and len(frame) == 1)
        assert found is None or len(found) == count
        bench.wait(0.5, 0.25)


@settings(max_examples=200, deadline=None)
@given(volts=st.floats(), amps=st.floats(), degc=st.floats(), large=st.booleans())
def test_no_pins_raise(volts: float, amps: float, degc: float, large: bool) -> None:
    bench = Bench(cells=20 if large else 4)
    pins = bench.pins
    pins.cell_v[0], pins.stack_v, pins.current_a, pins.probe_degc = volts, volts, amps, np.array([degc])
    bench.wait(2.0, 1.0)
    for command in [*range(0x1D), *range(0x3C, 0x40)]:
        assert 0 <= bench.u16(command) <= 0xFFFF
