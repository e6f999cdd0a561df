"""The bq769x0's emulator by raw bytes: codes, conversions on schedule, protections, ship mode, faults."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.sim.bq769x0 import Bq769x0, Part
from bms_daemon.sim.plant import SimTaps


def crc8(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0, bit by bit."""
    code = 0
    for byte in data:
        code ^= byte
        for _ in range(8):
            code = (code << 1 ^ 0x107 if code & 0x80 else code << 1) & 0x1FF
    return code


class Host:
    """A chip of 377 uV and 30 mV without noise, its taps and the time; a host that knows TI's codes."""

    def __init__(self, cells: int = 13, part: Part = "bq76940", coded: bool = True, **chip: Any) -> None:
        volts = np.full(cells, 3.6)
        self.taps = SimTaps(volts, float(volts.sum()), 0.0, 0.0, 0.0, np.array([25.0, 40.0, -10.0]), 30.0)
        self.chip = self.build(part, coded, **chip)
        self.coded, self.now_s = coded, 100.0
        self.chip.advance(self.now_s)

    def build(self, part: Part, coded: bool, **chip: Any) -> Bq769x0:
        exact = {"gain_uv": 377, "offset_mv": 30, "noise_v": 0.0, "noise_sense_v": 0.0}
        return Bq769x0(self.taps, part, crc=coded, **(exact | chip))

    def wait(self, seconds: float, step_s: float = 0.02) -> None:
        """Advance as a world does: never past an event of the chip."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            event_s = self.chip.next_event_s
            due_s = event_s if event_s > self.now_s else inf
            self.now_s = min(end_s, due_s, self.now_s + step_s)
            self.chip.advance(self.now_s)

    def write(self, register: int, *values: int) -> bool:
        frame = bytes((register,))
        for at, value in enumerate(values):
            code = crc8(bytes((0x10, register, value)) if at == 0 else bytes((value,)))
            frame += bytes((value, code)) if self.coded else bytes((value,))
        return self.chip.i2c_write(frame)

    def read(self, register: int, count: int = 1) -> bytes:
        assert self.chip.i2c_write(bytes((register,)))
        raw = self.chip.i2c_read(2 * count if self.coded else count)
        assert raw is not None
        if not self.coded:
            return raw
        data = raw[0::2]
        assert raw[1::2] == bytes([crc8(bytes((0x11, data[0]))), *(crc8(bytes((byte,))) for byte in data[1:])])
        return data

    def word(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), "big")

    def cell(self, number: int) -> int:
        return self.word(0x0C + 2 * (number - 1))

    def start(self, *protect: int) -> None:
        """As TI begins; ``protect``: PROTECT1 and what follows it. Both switches on if any is given."""
        assert self.write(0x0B, 0x19)
        assert self.write(0x06, *protect) if protect else True
        assert self.write(0x04, 0x18, 0x43 if protect else 0x40)

    @property
    def stat(self) -> int:
        """SYS_STAT without CC_READY."""
        return self.read(0x00)[0] & 0x7F

    @property
    def allowed(self) -> tuple[bool, bool]:
        return self.chip.charge_allowed, self.chip.discharge_allowed

    def delay_s(self, bit: int) -> float:
        """From now until a bit is set."""
        start_s = self.now_s
        while not self.stat & bit:
            self.wait(0.02)
            assert self.now_s - start_s < 20.0, "never set"
        return self.now_s - start_s


WIDE = (0x87, 0x0F, 0x00, 0xFF, 0x00)  # PROTECT1..UV_TRIP: the highest limits for current, the widest for cells


# ---------------------------------------------------------------------- the wire
def test_published_codes() -> None:
    assert crc8(b"123456789") == 0xF4
    assert crc8(bytes.fromhex("100540")) == 0x24
    assert crc8(bytes.fromhex("1140")) == 0x85


def test_a_write_with_a_wrong_code_is_ignored_and_a_read_carries_its_own() -> None:
    host = Host()
    for spoilt in ("054023", "0540", "0540244385", "05402443"):
        host.chip.power_on_reset()
        host.wait(0.02)
        assert host.chip.i2c_write(bytes.fromhex(spoilt))
        assert host.chip.i2c_write(b"\x05")
        assert host.chip.i2c_read(2) == (bytes.fromhex("4085") if "4024" in spoilt else bytes((0, crc8(b"\x11\0"))))
    assert host.read(0x06) == b"\0"


def test_the_second_byte_of_a_block_has_a_code_of_its_own() -> None:
    host = Host()
    assert host.chip.i2c_write(bytes((0x09, 0xB3, crc8(b"\x10\x09\xb3"), 0xCB, crc8(b"\xcb"))))
    assert host.chip.i2c_write(b"\x09")
    assert host.chip.i2c_read(4) == bytes((0xB3, crc8(b"\x11\xb3"), 0xCB, crc8(b"\xcb")))


def test_the_address_is_part_of_the_codes() -> None:
    host = Host(address=0x18)
    assert host.chip.i2c_write(bytes.fromhex("054024"))
    assert host.chip.i2c_write(bytes((0x06, 0x07, crc8(b"\x30\x06\x07"))))
    assert host.chip.i2c_write(b"\x05")
    assert host.chip.i2c_read(4) == bytes((0x00, crc8(b"\x31\x00"), 0x07, crc8(b"\x07")))


def test_a_read_goes_on_where_the_last_one_ended() -> None:
    host = Host(coded=False)
    host.write(0x06, 0x87, 0x0F, 0x50)
    assert host.chip.i2c_write(b"\x06")
    assert [host.chip.i2c_read(1) for _ in range(3)] == [b"\x87", b"\x0f", b"\x50"]


def test_a_part_without_codes_takes_bytes_as_they_are() -> None:
    host = Host(coded=False)
    assert host.chip.i2c_write(bytes.fromhex("0919CB"))
    assert host.read(0x09, 2) == b"\x19\xcb"


@pytest.mark.parametrize(
    ("register", "reads"),
    [(0x01, 0x1F), (0x03, 0x1F), (0x06, 0x9F), (0x07, 0x7F), (0x08, 0xF0), (0x09, 0xFF), (0x0C, 0x00), (0x50, 0x04)],
)
def test_reserved_and_measured_bits_cannot_be_written(register: int, reads: int) -> None:
    host = Host()
    host.write(register, 0xFF)
    assert host.read(register)[0] == reads


def test_reset_values() -> None:
    assert Host().read(0x00, 12) == bytes.fromhex("000000000000 000000 AC97 00")


@pytest.mark.parametrize(
    ("gain_uv", "offset_mv", "first", "offset", "second"),
    [(380, 30, 0x04, 0x1E, 0xE0), (365, -7, 0x00, 0xF9, 0x00), (396, -128, 0x0C, 0x80, 0xE0), (377, 0, 0x04, 0, 0x80)],
)
def test_calibration_stands_in_three_registers(
    gain_uv: int, offset_mv: int, first: int, offset: int, second: int
) -> None:
    host = Host(gain_uv=gain_uv, offset_mv=offset_mv)
    assert (host.read(0x50, 2), host.read(0x59)) == (bytes((first, offset)), bytes((second,)))


def test_each_seed_is_another_chip_within_the_published_range() -> None:
    hosts = [Host(seed=seed, gain_uv=None, offset_mv=None) for seed in range(20)]
    seen = {(host.read(0x50, 2), host.read(0x59)) for host in hosts}
    gains = {365 + ((raw[0] & 0x0C) << 1 | low[0] >> 5) for raw, low in seen}
    assert len(seen) > 15
    assert min(gains) >= 365 and max(gains) <= 396
    again = Host(seed=7, gain_uv=None, offset_mv=None)
    assert again.read(0x50, 10) == hosts[7].read(0x50, 10)


# ---------------------------------------------------------------------- conversions
def test_cells_come_every_quarter_second_once_they_are_asked_for() -> None:
    host = Host()
    host.wait(1.0)
    assert host.cell(1) == 0
    host.start()
    host.wait(0.249)
    assert (host.cell(1), host.read(0x00)) == (0, b"\0")
    host.taps.cell_v = np.full(13, 2.395675)
    host.wait(0.002)
    assert (host.cell(1), host.read(0x00)) == (6275, b"\x80")
    host.taps.cell_v = np.full(13, 3.6)
    host.write(0x00, 0x80)
    host.wait(0.247)
    assert (host.cell(1), host.read(0x00)) == (6275, b"\0")
    host.wait(0.002)
    assert (host.cell(1), host.read(0x00)) == (9469, b"\x80")


def test_stopped_conversions_leave_old_values() -> None:
    host = Host()
    host.start()
    host.wait(0.3)
    host.write(0x04, 0x08, 0x00)
    host.taps.cell_v, host.taps.current_a = np.full(13, 3.0), 5.0
    host.wait(1.0)
    assert (host.cell(1), host.word(0x32)) == (9469, 0)
    assert host.chip.next_event_s == inf


@pytest.mark.parametrize(
    ("part", "cells", "empty"),
    [
        ("bq76940", 13, {9, 14}),
        ("bq76940", 15, set()),
        ("bq76940", 14, {14}),
        ("bq76940", 12, {4, 9, 14}),
        ("bq76920", 3, {3, 4, *range(6, 16)}),
        ("bq76920", 4, {4, *range(6, 16)}),
        ("bq76930", 10, set(range(11, 16))),
    ],
)
def test_cells_stand_where_ti_wires_them(part: Part, cells: int, empty: set[int]) -> None:
    host = Host(cells, part)
    host.start()
    host.taps.cell_v = 3.0 + 0.05 * np.arange(cells)
    host.wait(0.3)
    used = [number for number in range(1, 16) if number not in empty]
    assert [number for number in range(1, 16) if host.cell(number) == 0] == sorted(empty)
    shown = [host.cell(number) * 377e-6 + 0.030 for number in used]
    assert shown == pytest.approx(host.taps.cell_v, abs=0.0002)


def test_another_wiring_is_named_and_an_impossible_one_refused() -> None:
    host = Host(4, "bq76920", inputs=(1, 2, 4, 5))
    host.start()
    host.wait(0.3)
    assert [host.cell(number) > 0 for number in range(1, 6)] == [True, True, False, True, True]
    for inputs in ((1, 2, 3), (1, 2, 3, 6), (2, 1, 3, 4), (1, 1, 2, 3)):
        with pytest.raises(ValueError, match="inputs"):
            Host(4, "bq76920", inputs=inputs)
    with pytest.raises(ValueError, match="inputs"):
        Host(16)


def test_the_stack_is_four_gains_and_an_offset_for_each_cell() -> None:
    host = Host()
    host.start()
    host.wait(0.3)
    assert host.word(0x2A) == round((46800 - 13 * 30) * 1000 / (4 * 377))
    host.taps.stack_v = 0.0
    host.wait(0.3)
    assert host.word(0x2A) == 0


@pytest.mark.parametrize(
    ("current_a", "shunt_mohm", "raw"),
    [(-1.688, 1.0, 0xFF38), (1.688, 1.0, 200), (-3.376, 0.5, 0xFF38), (400.0, 1.0, 0x7FFF), (-400.0, 1.0, 0x8000)],
)
def test_current_counts_8_44_microvolts_positive_when_charging(current_a: float, shunt_mohm: float, raw: int) -> None:
    host = Host(shunt_mohm=shunt_mohm)
    host.start(*WIDE)
    host.taps.current_a = current_a
    host.wait(0.3)
    assert host.word(0x32) == raw


def test_without_its_configuration_the_counter_is_never_ready() -> None:
    host = Host()
    host.write(0x04, 0x18, 0x40)
    host.wait(1.0)
    assert host.read(0x00) == b"\0"


def _degc(count: int) -> float:
    volts = count * 382e-6
    ohm = 10e3 * volts / (3.3 - volts)
    return float(1.0 / (np.log(ohm / 10e3) / 3435.0 + 1.0 / 298.15) - 273.15)


def test_thermistors_come_every_two_seconds() -> None:
    host = Host()
    host.start()
    host.wait(0.25)
    assert [_degc(host.word(0x2C + 2 * k)) for k in range(3)] == pytest.approx([25.0, 40.0, -10.0], abs=0.1)
    host.taps.probe_degc = np.array([60.0, 60.0])
    host.wait(1.9)
    assert _degc(host.word(0x2C)) == pytest.approx(25.0, abs=0.1)
    host.wait(0.2)
    assert _degc(host.word(0x2C)) == pytest.approx(60.0, abs=0.1)
    assert host.word(0x30) * 382e-6 == pytest.approx(3.3, abs=0.001)


def test_the_die_takes_the_thermistors_place() -> None:
    host = Host(9, "bq76930")
    host.write(0x04, 0x10)
    host.wait(0.3)
    assert 25.0 - (host.word(0x2C) * 382e-6 - 1.2) / 0.0042 == pytest.approx(30.0, abs=0.1)
    assert (host.word(0x2E), host.word(0x30)) == (host.word(0x2C), 0)


def test_a_day_in_one_step_is_one_conversion_on_the_old_grid() -> None:
    host = Host()
    host.start()
    begun_s = host.now_s
    host.now_s += 86400.1
    host.chip.advance(host.now_s)
    assert host.cell(1) == 9469
    assert host.chip.next_event_s - begun_s == pytest.approx(86400.25, abs=1e-6)


# ---------------------------------------------------------------------- protections
@pytest.mark.parametrize(
    ("volts", "bit"), [(4.2010, 0), (4.2013, 0x04), (2.7988, 0), (2.7986, 0x08), (0.3, 0), (0.6, 0x08)]
)
def test_cell_limits_stand_where_the_registers_put_them(volts: float, bit: int) -> None:
    host = Host()
    host.start(0x87, 0x0F, 0x00, 0xB3, 0xCB)
    host.taps.cell_v[4] = volts
    host.wait(2.0)
    assert host.stat == bit


@pytest.mark.parametrize(
    ("protect_3", "volts", "bit", "delay_s"),
    [
        *((code << 4, 4.3, 0x04, delay_s) for code, delay_s in enumerate((1.0, 2.0, 4.0, 8.0))),
        *((code << 6, 2.7, 0x08, delay_s) for code, delay_s in enumerate((1.0, 4.0, 8.0, 16.0))),
    ],
)
def test_cell_limits_have_delays_and_count_anew(protect_3: int, volts: float, bit: int, delay_s: float) -> None:
    host = Host()
    host.start(0x87, 0x0F, protect_3, 0xB3, 0xCB)
    host.taps.cell_v[0] = volts
    host.wait(delay_s)
    host.taps.cell_v[0] = 3.6
    host.wait(0.25)
    host.taps.cell_v[0] = volts
    assert delay_s <= host.delay_s(bit) <= delay_s + 0.27


@pytest.mark.parametrize("rsns", [0, 1])
@pytest.mark.parametrize("code", range(16))
def test_overcurrent_limits(rsns: int, code: int) -> None:
    limits = "8 11 14 17 19 22 25 28 31 33 36 39 42 44 47 50", "17 22 28 33 39 44 50 56 61 67 72 78 83 89 94 100"
    host = Host()
    host.start(0x07 | rsns << 7, code, *WIDE[2:])
    limit_a = float(limits[rsns].split()[code])
    host.taps.current_a = -limit_a + 0.2
    host.wait(0.1)
    assert host.stat == 0
    host.taps.current_a = -limit_a - 0.2
    host.wait(0.1)
    assert (host.stat, host.allowed) == (0x01, (True, False))


@pytest.mark.parametrize("rsns", [0, 1])
@pytest.mark.parametrize("code", range(8))
def test_short_circuit_limits(rsns: int, code: int) -> None:
    limits = "22 33 44 56 67 78 89 100", "44 67 89 111 133 155 178 200"
    host = Host()
    host.start(code | rsns << 7, 0x7F, *WIDE[2:])
    limit_a = float(limits[rsns].split()[code])
    host.taps.current_a = -limit_a + 0.2
    host.wait(0.1)
    assert host.stat == 0
    host.taps.current_a = -limit_a - 0.2
    host.wait(0.1)
    assert (host.stat, host.allowed) == (0x02, (True, False))


@pytest.mark.parametrize(
    ("protect_1", "protect_2", "bit", "delay_s"),
    [
        *((0x87, code << 4, 0x01, ms / 1e3) for code, ms in enumerate((8, 20, 40, 80, 160, 320, 640, 1280))),
        *((0x80 | code << 3, 0x7F, 0x02, us / 1e6) for code, us in enumerate((70, 100, 200, 400))),
    ],
)
def test_currents_have_delays_and_count_anew(protect_1: int, protect_2: int, bit: int, delay_s: float) -> None:
    host = Host()
    host.start(protect_1, protect_2, *WIDE[2:])
    for current_a, seconds in ((-60.0, 0.9 * delay_s), (0.0, delay_s), (-60.0, 0.9 * delay_s)):
        host.taps.current_a = current_a
        host.chip.advance(host.now_s)
        host.wait(seconds)
        assert host.stat & bit == 0
    host.wait(0.2 * delay_s)
    assert host.stat == bit


def test_charging_has_no_limit() -> None:
    host = Host()
    host.start(0x00, 0x00, *WIDE[2:])
    host.taps.current_a = 150.0
    host.wait(2.0)
    assert (host.stat, host.allowed) == (0, (True, True))


def test_delays_can_be_disabled() -> None:
    host = Host()
    host.start(0x80, 0x70, 0xF0, 0xB3, 0xCB)
    host.write(0x05, 0xC3)
    host.taps.current_a, host.taps.cell_v[0] = -30.0, 4.3
    host.chip.advance(host.now_s)
    assert host.stat == 0x01
    host.wait(0.25)
    assert host.stat == 0x05


@pytest.mark.parametrize(
    ("spoil", "bit", "left"),
    [("high", 0x04, 0x42), ("low", 0x08, 0x41), ("over", 0x01, 0x41), ("short", 0x02, 0x41)],
)
def test_a_trip_stays_until_the_host_has_cleared_it_and_turned_on(spoil: str, bit: int, left: int) -> None:
    host = Host()
    host.start(0x07, 0x0F if spoil == "over" else 0x7F, 0x00, 0xB3, 0xCB)
    host.taps.cell_v[12] = {"high": 4.5, "low": 2.0}.get(spoil, 3.6)
    host.taps.current_a = {"over": -70.0, "short": -150.0}.get(spoil, 0.0)
    host.wait(1.27)
    assert (host.stat, host.read(0x05)[0], host.chip.alert) == (bit, left, True)
    host.taps.cell_v[12], host.taps.current_a = 3.6, 0.0
    host.wait(1.0)
    host.write(0x05, 0x43)
    assert host.read(0x05)[0] == left, "the bit stands: the switch stays off"
    host.write(0x00, ~bit & 0x7F)
    assert host.stat == bit, "a zero clears nothing"
    host.write(0x00, bit)
    assert (host.stat, host.read(0x05)[0]) == (0, left), "nothing turns on by itself"
    host.write(0x05, 0x43)
    assert host.allowed == (True, True)


def test_a_cell_limit_that_is_still_passed_trips_again_with_the_next_conversion() -> None:
    host = Host()
    host.start(0x87, 0x0F, 0x30, 0xB3, 0xCB)
    host.taps.cell_v[0] = 4.3
    host.wait(8.5)
    host.write(0x00, 0x84)
    assert host.stat == 0
    host.wait(0.25)
    assert host.stat == 0x04


def test_cell_limits_want_the_converter_and_current_limits_do_not() -> None:
    host = Host()
    host.start(0x80, 0x00, 0x00, 0xB3, 0xCB)
    host.write(0x04, 0x00)
    host.taps.cell_v[0] = 4.3
    host.wait(3.0)
    assert host.stat == 0
    host.taps.current_a = -30.0
    host.wait(0.1)
    assert host.stat == 0x01


def test_writing_the_same_again_does_not_start_conversions_anew() -> None:
    host = Host()
    host.start()
    for _ in range(3):
        host.wait(0.1)
        host.write(0x04, 0x18, 0x40)
    assert (host.cell(1), host.read(0x00)) == (9469, b"\x80")
    assert host.chip.next_event_s == pytest.approx(100.5)


def test_a_delay_does_not_run_on_while_the_converter_is_off() -> None:
    host = Host()
    host.start(0x87, 0x0F, 0x00, 0xB3, 0xCB)
    host.taps.cell_v[0] = 4.3
    host.wait(1.0)
    host.write(0x04, 0x08)
    host.wait(1.0)
    host.write(0x04, 0x18)
    host.wait(1.1)
    assert host.stat == 0
    host.wait(0.2)
    assert host.stat == 0x04


def test_alert_is_high_while_any_bit_stands() -> None:
    host = Host()
    assert not host.chip.alert
    host.start()
    host.wait(0.25)
    assert host.chip.alert
    host.write(0x00, 0x80)
    assert not host.chip.alert


def test_alert_driven_from_outside_opens_both_switches() -> None:
    host = Host()
    host.start(*WIDE)
    host.chip.override()
    assert (host.stat, host.allowed) == (0x10, (False, False))


# ---------------------------------------------------------------------- balancing
def test_balancing_follows_inputs_not_cells() -> None:
    host = Host(13)
    host.write(0x01, 0x15, 0x18, 0x11)
    assert np.flatnonzero(host.chip.balancing_mask).tolist() == [0, 2, 4, 8, 9, 12]
    host.chip.disturb()
    assert (host.stat, host.read(0x01, 3)) == (0x20, bytes(3))
    assert not host.chip.balancing_mask.any()


def test_a_part_has_only_its_own_balancing_registers() -> None:
    host = Host(5, "bq76920")
    host.write(0x01, 0x1F, 0x1F, 0x1F)
    assert host.read(0x01, 3) == b"\x1f\0\0"
    assert host.chip.balancing_mask.tolist() == [True] * 5


def test_bled_cells_read_low_until_a_whole_window_after_and_limits_do_not_mind() -> None:
    host = Host()
    host.start(0x87, 0x0F, 0x00, 0xFF, 0xCB)
    host.taps.cell_v[:] = 2.7988
    host.wait(0.25)
    undisturbed = host.cell(1)
    host.write(0x01, 0x01)
    host.wait(3.0)
    assert (host.cell(1) < undisturbed, host.cell(2) == undisturbed, host.stat) == (True, True, 0)
    host.wait(0.1)
    host.write(0x01, 0x00)
    host.wait(0.25)
    assert host.cell(1) < undisturbed
    host.wait(0.25)
    assert host.cell(1) == undisturbed


# ---------------------------------------------------------------------- supply
def test_ship_mode_wants_its_sequence_in_consecutive_writes() -> None:
    host = Host()
    host.start(*WIDE)
    for frames in ((0x00, 0x02, 0x01), (0x01, 0x02), (0x00, 0x01, 0x01, 0x02), (0x00, 0x01)):
        for value in frames:
            host.write(0x04, value)
        host.write(0x08, 0x00)
        assert host.read(0x05) == b"\x43"
    host.write(0x04, 0x02)
    assert host.read(0x05) == b"\x43"
    for value in (0x00, 0x01, 0x02):
        host.write(0x04, value)
    assert not host.chip.i2c_write(b"\x00")
    assert host.chip.i2c_read(1) is None
    assert (host.allowed, host.chip.alert, host.chip.next_event_s) == ((False, False), False, inf)


def test_a_pulse_on_ts1_ends_ship_mode_with_everything_lost() -> None:
    host = Host()
    host.start(*WIDE)
    host.write(0x01, 0x01)
    host.chip.boot()
    assert host.read(0x05) == b"\x43", "awake: a pulse does nothing"
    host.chip.ship()
    assert not host.chip.balancing_mask.any()
    host.wait(1.0)
    host.chip.boot()
    assert not host.chip.i2c_write(b"\x00")
    host.wait(0.0095)
    assert not host.chip.i2c_write(b"\x00")
    host.wait(0.001)
    assert host.read(0x00, 12) == bytes.fromhex("000000000000 000000 AC97 00")


def test_without_supply_a_pulse_wakes_nothing() -> None:
    host = Host()
    host.start(*WIDE)
    host.chip.power_down()
    host.chip.boot()
    host.wait(1.0)
    assert (host.chip.i2c_write(b"\0"), host.allowed) == (False, (False, False))
    host.chip.power_up()
    host.wait(0.02)
    assert (host.read(0x05), host.allowed) == (b"\0", (False, False))
    host.start(*WIDE)
    host.chip.power_up()
    assert host.read(0x05) == b"\x43", "nothing was missing"


def test_a_reset_stops_everything_and_keeps_the_calibration() -> None:
    host = Host()
    host.start(*WIDE)
    host.wait(0.3)
    host.chip.power_on_reset()
    assert (host.allowed, host.chip.alert, host.chip.i2c_write(b"\0")) == ((False, False), False, False)
    host.wait(1.0)
    assert (host.read(0x05), host.cell(1), host.read(0x50, 2)) == (b"\0", 0, b"\x04\x1e")


# ---------------------------------------------------------------------- faults
def test_a_frozen_chip_answers_and_proves_nothing() -> None:
    host = Host()
    host.start(0x80, 0x00, 0x00, 0xB3, 0xCB)
    host.wait(0.3)
    host.write(0x00, 0x80)
    host.chip.faults.frozen = True
    host.taps.cell_v[:], host.taps.current_a = 4.4, -60.0
    host.wait(2.0)
    assert (host.read(0x00), host.cell(1), host.word(0x32), host.allowed) == (b"\0", 9469, 0, (True, True))
    assert host.chip.next_event_s > host.now_s
    host.chip.faults.frozen = False
    host.wait(0.3)
    assert (host.stat, host.cell(1)) == (0x03, round(4370e3 / 377))


def test_a_mute_chip_works_and_acknowledges_nothing() -> None:
    host = Host()
    host.start()
    host.chip.faults.mute = True
    host.wait(0.3)
    assert (host.chip.i2c_write(b"\0"), host.chip.i2c_write(b""), host.chip.i2c_read(1)) == (False, False, None)
    host.chip.faults.mute = False
    assert host.cell(1) == 9469


def test_spoilt_cells_deceive_the_host_and_not_the_chips_limits() -> None:
    host = Host()
    host.start(0x87, 0x0F, 0x00, 0xB3, 0xCB)
    host.chip.faults.raw_cells[8] = 0x3FFF
    host.chip.faults.offset_v[12] = -1.2
    host.wait(1.6)
    assert (host.cell(10), host.cell(15), host.cell(1)) == (0x3FFF, round(2370e3 / 377), 9469)
    host.chip.faults.gain = 1.3
    host.wait(1.6)
    assert (host.cell(1), host.stat) == (round(4650e3 / 377), 0)


def test_spoilt_probes_and_current() -> None:
    host = Host()
    host.start(0x80, 0x00, *WIDE[2:])
    host.chip.faults.probe_degc.update({0: 80.0, 1: nan})
    host.chip.faults.offset_a = -30.0
    host.wait(0.3)
    assert _degc(host.word(0x2C)) == pytest.approx(80.0, abs=0.2)
    assert host.word(0x2E) * 382e-6 == pytest.approx(3.3, abs=0.001)
    assert int.from_bytes(host.read(0x32, 2), "big", signed=True) * 8.44e-3 == pytest.approx(-30.0, abs=0.01)
    assert host.stat == 0


def test_a_disturbed_chip_opens_and_reports_again_until_it_is_well() -> None:
    host = Host()
    host.start(*WIDE)
    host.write(0x01, 0x05)
    host.chip.faults.xready = True
    host.wait(0.02)
    assert (host.stat, host.allowed, host.read(0x01)) == (0x20, (False, False), b"\0")
    host.write(0x00, 0x20)
    host.wait(0.02)
    host.write(0x05, 0x43)
    assert (host.stat, host.allowed) == (0x20, (False, False))
    host.chip.faults.xready = False
    host.wait(0.02)
    host.write(0x00, 0x20)
    host.write(0x05, 0x43)
    assert (host.stat, host.allowed) == (0, (True, True))


def test_so_many_reads_carry_a_wrong_code() -> None:
    host = Host()
    host.chip.faults.wrong_crc = 2
    host.chip.i2c_write(b"\x05")
    codes = []
    for _ in range(3):
        host.chip.i2c_write(b"\x05")
        codes.append(host.chip.i2c_read(2))
    right = bytes((0, crc8(b"\x11\0")))
    assert [code == right for code in codes] == [False, False, True]


def test_a_stuck_switch_discharges_its_cell_even_without_supply() -> None:
    host = Host()
    host.chip.faults.stuck_balance = 0b1001
    host.write(0x01, 0x02)
    assert np.flatnonzero(host.chip.balancing_mask).tolist() == [0, 1, 3]
    host.chip.power_down()
    assert np.flatnonzero(host.chip.balancing_mask).tolist() == [0, 3]


def test_noise_is_small_and_the_same_for_the_same_seed() -> None:
    def readings(seed: int) -> list[int]:
        host = Host(seed=seed, noise_v=0.0004)
        host.start()
        found = []
        for _ in range(40):
            host.wait(0.25)
            found.append(host.cell(1))
        return found

    first = readings(1)
    assert first == readings(1) != readings(2)
    assert 0.5 < np.std(first) < 2.0


FRAME = st.one_of(
    st.binary(max_size=12),
    st.tuples(st.integers(0, 12), st.binary(max_size=6)).map(lambda pair: bytes([pair[0], *pair[1]])),
)


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(FRAME, max_size=8), count=st.integers(0, 300), coded=st.booleans(), current_a=st.floats(-300, 9))
def test_no_bytes_raise(frames: list[bytes], count: int, coded: bool, current_a: float) -> None:
    host = Host(coded=coded)
    host.taps.current_a = current_a
    for frame in frames:
        host.write(*frame) if coded and frame else host.chip.i2c_write(frame)
        answer = host.chip.i2c_read(count)
        assert answer is None or len(answer) == count
        host.wait(0.3, 0.1)
        assert host.chip.next_event_s > host.now_s
