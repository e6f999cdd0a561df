"""The smart battery's emulator by raw bytes: codes, every command, measuring on schedule, what it asks and warns of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.sim.plant import SimTaps
from bms_daemon.sim.sbs import SmartBattery, pec


class Host:
    """The battery, its taps and the time."""

    def __init__(self, coded: bool = True) -> None:
        self.taps = SimTaps(np.full(4, 3.7), 14.8, 0.0, 0.0, -1.0, np.array([25.0]), 30.0)
        self.battery = SmartBattery(self.taps, 1, capacity_ah=5.0, soc=0.6, pec=coded)
        self.coded, self.now_s = coded, 0.0
        self.wait(0.0)

    def wait(self, seconds: float, step_s: float = 0.05) -> None:
        end_s = self.now_s + seconds
        while True:
            self.battery.advance(self.now_s)
            if self.now_s >= end_s:
                return
            self.now_s = min(end_s, self.now_s + step_s)

    def word(self, command: int) -> int:
        assert self.battery.i2c_write(bytes((command,)))
        raw = self.battery.i2c_read(3 if self.coded else 2)
        assert raw is not None
        if self.coded:
            assert raw[2] == pec(bytes((0x16, command, 0x17)) + raw[:2])
        return int.from_bytes(raw[:2], "little")

    def signed(self, command: int) -> int:
        return (self.word(command) ^ 0x8000) - 0x8000


@pytest.mark.parametrize(("covered", "code"), [("B407B5D23A", 0x30), ("B42207C8", 0x48), ("160917E02E", 0xE2)])
def test_published_codes(covered: str, code: int) -> None:
    assert pec(bytes.fromhex(covered)) == code


@pytest.mark.parametrize("coded", [True, False])
def test_every_command_of_the_standard_answers(coded: bool) -> None:
    host = Host(coded)
    host.wait(2.0)
    for command in [*range(0x1D), *range(0x3C, 0x40)]:
        host.word(command)
    assert not host.battery.i2c_write(b"\x2f")
    assert not host.battery.i2c_write(b"\x3b")
    assert host.battery.i2c_write(b"\x22")
    raw = host.battery.i2c_read(5)
    assert raw == b"\x04LION"


def test_words_are_what_it_measures() -> None:
    host = Host()
    host.wait(3.0)
    assert host.word(0x08) == pytest.approx(2982, abs=1)
    assert host.word(0x09) == pytest.approx(14800, abs=10)
    assert host.signed(0x0A) == pytest.approx(-1000, abs=10)
    assert [host.word(0x3F - cell) for cell in range(4)] == pytest.approx([3700] * 4, abs=5)
    assert host.word(0x0D) == 60
    assert host.word(0x0F) == pytest.approx(3000, abs=5)
    assert (host.word(0x1A), host.word(0x18), host.word(0x1B)) == (0x0031, 5000, 0x58B1)
    assert host.word(0x16) & 0x80


def test_voltages_are_measured_once_a_second_and_currents_four_times() -> None:
    host = Host()
    host.wait(2.0)
    host.taps.stack_v, host.taps.current_a = 15.2, 2.0
    host.wait(0.3)
    assert host.word(0x09) < 15000
    assert host.signed(0x0A) > 1900
    host.wait(1.0)
    assert host.word(0x09) > 15000


def test_it_counts_what_flows() -> None:
    host = Host()
    host.taps.current_a = 2.5
    host.wait(3600.0, 1.0)
    assert host.word(0x0D) == pytest.approx(100, abs=1)


def test_a_full_battery_wants_no_charge_and_an_empty_one_no_discharge() -> None:
    host = Host()
    host.wait(2.0)
    assert host.word(0x14) == 2500
    host.taps.cell_v = np.array([3.7, 3.7, 3.7, 4.22])
    host.wait(1.1)
    assert (host.word(0x14), host.word(0x16) & 0x4020) == (0, 0x4020)
    host.taps.cell_v = np.array([3.7, 2.9, 3.7, 3.7])
    host.wait(1.1)
    assert host.word(0x16) & 0x0810 == 0x0810
    host.taps.probe_degc = np.array([70.0])
    host.wait(1.1)
    assert host.word(0x16) & 0x1000


def test_after_a_reset_it_has_measured_nothing() -> None:
    host = Host()
    host.wait(2.0)
    host.battery.power_on_reset()
    assert not host.word(0x16) & 0x80
    assert host.word(0x09) == 0
    host.wait(1.2)
    assert host.word(0x16) & 0x80


def test_a_word_is_written_with_its_code_or_not_at_all() -> None:
    host = Host()
    frame = bytes.fromhex("030060")
    assert host.battery.i2c_write(frame + bytes((pec(b"\x16" + frame),)))
    assert host.word(0x03) == 0x6000
    assert not host.battery.i2c_write(bytes.fromhex("03000000"))
    assert host.word(0x03) == 0x6000
    assert not host.battery.i2c_write(bytes.fromhex("090000")), "a voltage is not written"


def test_faults() -> None:
    host = Host()
    host.wait(2.0)
    faults = host.battery.faults
    faults.busy = 1
    assert host.word(0x16) & 15 == 1
    assert host.word(0x16) & 15 == 0
    faults.raw = {0x09: 1234}
    assert host.word(0x09) == 1234
    faults.missing = {0x0D}
    assert not host.battery.i2c_write(b"\x0d")
    faults.frozen = True
    host.taps.current_a = 4.0
    host.wait(2.0)
    assert host.signed(0x0A) < 0
    faults.mute = True
    assert host.battery.i2c_read(2) is None


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(st.binary(max_size=6), max_size=8), count=st.integers(0, 40), coded=st.booleans())
def test_no_bytes_raise(frames: list[bytes], count: int, coded: bool) -> None:
    host = Host(coded)
    for frame in frames:
        host.battery.i2c_write(frame)
        found = host.battery.i2c_read(count)
        assert found is not None and len(found) == count
        host.wait(0.5, 0.25)
