"""The bq769x0's emulator by raw bytes: codes, conversions on schedule, protections, ship mode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.sim.bq769x0 import Bq769x0, Part
from bms_daemon.sim.bq769x0_protocol import crc
from bms_daemon.sim.plant import SimTaps


class Host:
    """The chip, its taps and the time; a host that knows TI's codes."""

    def __init__(self, cells: int = 13, part: Part = "bq76940", coded: bool = True) -> None:
        volts = np.full(cells, 3.6)
        self.taps = SimTaps(volts, float(volts.sum()), 0.0, 0.0, 0.0, np.array([25.0, 40.0, -10.0]), 30.0)
        self.chip = Bq769x0(self.taps, part, seed=2, crc=coded, shunt_mohm=1.0)
        self.coded, self.now_s = coded, 0.0
        self.wait(0.0)

    def wait(self, seconds: float, step_s: float = 0.02) -> None:
        end_s = self.now_s + seconds
        while True:
            self.chip.advance(self.now_s)
            if self.now_s >= end_s:
                return
            self.now_s = min(end_s, self.now_s + step_s)

    def write(self, register: int, *values: int) -> bool:
        frame = bytes((register,))
        for at, value in enumerate(values):
            code = crc(bytes((0x10, register, value)) if at == 0 else bytes((value,)))
            frame += bytes((value, code)) if self.coded else bytes((value,))
        return self.chip.i2c_write(frame)

    def read(self, register: int, count: int = 1) -> bytes:
        assert self.chip.i2c_write(bytes((register,)))
        raw = self.chip.i2c_read(2 * count if self.coded else count)
        assert raw is not None
        return raw[0::2] if self.coded else raw

    def start(self) -> None:
        assert self.write(0x0B, 0x19)
        assert self.write(0x04, 0x18, 0x40)

    def gain_v(self) -> tuple[float, float]:
        first, offset, second = *self.read(0x50, 2), self.read(0x59)[0]
        gain = 365 + ((first & 0x0C) << 1 | second >> 5)
        return gain * 1e-6, (offset - 256 if offset > 127 else offset) * 1e-3

    def cell_v(self, number: int) -> float:
        gain_v, offset_v = self.gain_v()
        return (int.from_bytes(self.read(0x0C + 2 * (number - 1), 2), "big") & 0x3FFF) * gain_v + offset_v


def test_published_codes() -> None:
    assert crc(b"123456789") == 0xF4
    assert crc(bytes.fromhex("100540")) == 0x24
    assert crc(bytes.fromhex("1140")) == 0x85


def test_a_write_with_a_wrong_code_is_ignored_and_a_read_carries_its_own() -> None:
    host = Host()
    assert host.chip.i2c_write(bytes.fromhex("054023"))
    assert host.read(0x05) == b"\0"
    assert host.chip.i2c_write(bytes.fromhex("054024"))
    assert host.chip.i2c_write(b"\x05")
    assert host.chip.i2c_read(2) == bytes.fromhex("4085")


def test_cells_come_every_quarter_second_once_they_are_asked_for() -> None:
    host = Host()
    host.wait(1.0)
    assert host.read(0x0C, 2) == b"\0\0"
    host.start()
    host.wait(0.2)
    assert host.read(0x00) == b"\0"
    host.wait(0.06)
    assert host.read(0x00) == b"\x80"
    assert host.cell_v(1) == pytest.approx(3.6, abs=0.003)
    host.write(0x00, 0x80)
    assert host.read(0x00) == b"\0"
    host.wait(0.26)
    assert host.read(0x00) == b"\x80"


def test_shorted_inputs_read_nothing_and_cells_stand_where_ti_wires_them() -> None:
    host = Host(13)
    host.start()
    host.wait(0.3)
    assert host.read(0x0C + 2 * 8, 2) == host.read(0x0C + 2 * 13, 2) == b"\0\0"
    assert host.cell_v(15) == pytest.approx(3.6, abs=0.003)
    gain_v, offset_v = host.gain_v()
    stack_v = 4 * gain_v * int.from_bytes(host.read(0x2A, 2), "big") + 13 * offset_v
    assert stack_v == pytest.approx(46.8, abs=0.05)


def test_current_counts_8_44_microvolts_positive_when_charging() -> None:
    host = Host()
    host.start()
    host.taps.current_a = -20.0
    host.wait(0.3)
    count = int.from_bytes(host.read(0x32, 2), "big", signed=True)
    assert count * 8.44e-6 / 1e-3 == pytest.approx(-20.0, abs=0.05)


def test_thermistors_come_every_two_seconds() -> None:
    host = Host()
    host.start()
    host.wait(0.3)
    first = int.from_bytes(host.read(0x2C, 2), "big")
    assert first * 382e-6 == pytest.approx(1.65, abs=0.01)
    host.taps.probe_degc = np.array([60.0, 60.0, 60.0])
    host.wait(1.0)
    assert int.from_bytes(host.read(0x2C, 2), "big") == first
    host.wait(1.3)
    assert int.from_bytes(host.read(0x2C, 2), "big") < first


@pytest.mark.parametrize(
    ("spoil", "bit", "left"),
    [("high", 0x04, 0x42), ("low", 0x08, 0x41), ("over", 0x01, 0x41), ("short", 0x02, 0x41)],
)
def test_a_protection_switches_off_and_stays_until_the_host_has_cleared_it(spoil: str, bit: int, left: int) -> None:
    host = Host()
    host.start()
    host.write(0x06, 0x07, 0x0F, 0x00, 0xB3, 0xCB)
    host.write(0x05, 0x43)
    host.wait(0.3)
    assert host.chip.charge_allowed and host.chip.discharge_allowed
    volts = {"high": 4.5, "low": 2.0}.get(spoil, 3.6)
    host.taps.cell_v = np.append(host.taps.cell_v[:-1], volts)
    host.taps.current_a = {"over": -70.0, "short": -150.0}.get(spoil, 0.0)
    host.wait(1.6)
    assert host.read(0x00)[0] & bit
    assert host.chip.alert
    assert host.read(0x05)[0] == left
    host.taps.cell_v = np.full(13, 3.6)
    host.taps.current_a = 0.0
    host.wait(1.0)
    host.write(0x05, 0x43)
    assert host.read(0x05)[0] == left, "the bit stands: the switch stays off"
    host.write(0x00, host.read(0x00)[0] & 0x3F)
    assert host.read(0x05)[0] == left, "nothing turns on by itself"
    host.write(0x05, 0x43)
    assert host.read(0x05)[0] == 0x43


def test_ship_mode_wants_its_sequence() -> None:
    host = Host()
    for value in (0x00, 0x02, 0x01):
        host.write(0x04, value)
    assert host.read(0x04)
    for value in (0x00, 0x01, 0x02):
        host.write(0x04, value)
    assert not host.chip.i2c_write(b"\x00")
    assert not (host.chip.charge_allowed or host.chip.discharge_allowed)
    host.chip.power_up()
    host.wait(0.05)
    assert host.read(0x05) == b"\0"


def test_disturbed_transfers_stop_balancing_and_both_switches() -> None:
    host = Host()
    host.start()
    host.write(0x05, 0x43)
    host.write(0x01, 0x05)
    assert np.flatnonzero(host.chip.balancing_mask).tolist() == [0, 2]
    host.chip.disturb()
    assert host.read(0x00)[0] & 0x20
    assert not (host.chip.balancing_mask.any() or host.chip.charge_allowed or host.chip.discharge_allowed)


def test_a_frozen_chip_answers_and_proves_nothing() -> None:
    host = Host()
    host.start()
    host.chip.faults.frozen = True
    host.wait(1.0)
    assert host.read(0x00) == b"\0"
    host.chip.faults.mute = True
    assert not host.chip.i2c_write(b"\0")
    assert host.chip.i2c_read(1) is None


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(st.binary(max_size=12), max_size=8), count=st.integers(0, 130), coded=st.booleans())
def test_no_bytes_raise(frames: list[bytes], count: int, coded: bool) -> None:
    host = Host(coded=coded)
    for frame in frames:
        host.chip.i2c_write(frame)
        host.chip.i2c_read(count)
        host.wait(0.3, 0.1)
