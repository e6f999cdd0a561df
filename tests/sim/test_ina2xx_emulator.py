"""The INA monitors' emulator by raw bytes: conversions on schedule, flags that are read once, a lost calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.sim.ina2xx import Ina2xx, Part
from bms_daemon.sim.plant import SimTaps


class Host:
    """The chip, its taps and the time."""

    def __init__(self, part: Part = "ina228") -> None:
        self.taps = SimTaps(np.full(4, 3.0), 12.0, 12.0, 11.98, -10.0, np.array([25.0]), 30.0)
        self.chip, self.now_s = Ina2xx(self.taps, part, shunt_mohm=2.0), 0.0
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.chip.advance(self.now_s)

    def write(self, register: int, word: int) -> None:
        assert self.chip.i2c_write(bytes((register,)) + word.to_bytes(2, "big"))

    def read(self, register: int, count: int = 2) -> int:
        assert self.chip.i2c_write(bytes((register,)))
        raw = self.chip.i2c_read(count)
        assert raw is not None
        return int.from_bytes(raw, "big")


@pytest.mark.parametrize(
    ("part", "identity"),
    [("ina226", {0xFE: 0x5449, 0xFF: 0x2260}), ("ina228", {0x3E: 0x5449}), ("ina238", {0x3E: 0x5449})],
)
def test_it_says_what_it_is(part: Part, identity: dict[int, int]) -> None:
    host = Host(part)
    assert {register: host.read(register) for register in identity} == identity


def test_an_ina226_converts_in_35_ms_and_tells_of_it_once() -> None:
    host = Host("ina226")
    host.write(0x00, 0x4527)
    host.wait(0.034)
    assert host.read(0x06) == 0
    host.wait(0.002)
    assert host.read(0x06) == 0x0008
    assert host.read(0x06) == 0
    assert ((host.read(0x01) ^ 0x8000) - 0x8000) * 2.5e-6 == pytest.approx(-0.02, abs=2e-5)
    assert host.read(0x02) == 0x2570


def test_an_ina228_converts_in_50_ms_into_twenty_bits() -> None:
    host = Host("ina228")
    host.write(0x01, 0xFB6A)
    host.wait(0.052)
    assert host.read(0x0B) == 0x0003
    code = host.read(0x04, 3)
    assert code & 0x0F == 0
    assert (((code >> 4) ^ 0x80000) - 0x80000) * 312.5e-9 == pytest.approx(-0.02, abs=2e-5)
    assert (host.read(0x05, 3) >> 4) * 195.3125e-6 == pytest.approx(11.98, abs=1e-3)


def test_what_is_too_much_is_the_end_of_the_range() -> None:
    host = Host("ina238")
    host.taps.current_a = -1000.0
    host.wait(1.0)
    assert host.read(0x04) == 0x8000


def test_a_loss_of_supply_and_the_reset_bit_lose_the_calibration() -> None:
    for lose in (lambda host: host.chip.power_on_reset(), lambda host: host.write(0x00, 0x8000)):
        host = Host("ina228")
        host.write(0x02, 4050)
        assert host.read(0x02) == 4050
        lose(host)
        assert host.read(0x02) == 0x1000


def test_an_ina228_counts_what_flows_while_nobody_reads() -> None:
    """10 A across 2 mohm with SHUNT_CAL 4050: a count of CURRENT is 4050 / 13107.2e6 / 0.002 = 154.5 uA."""
    host = Host("ina228")
    host.write(0x02, 4050)
    before = host.read(0x0A, 5)
    host.wait(3600.0)
    passed = ((host.read(0x0A, 5) - before + 2**39) % 2**40) - 2**39
    assert passed * 4050 / 13107.2e6 / 0.002 == pytest.approx(-36000.0)
    host.write(0x00, 0x4000)
    assert (host.read(0x0A, 5), host.read(0x00)) == (0, 0), "RSTACC clears the count and itself"


def test_a_change_between_two_instants_counts_as_a_straight_line() -> None:
    host = Host("ina228")
    host.write(0x02, 4050)
    before = host.read(0x0A, 5)
    host.taps.current_a = 30.0
    host.wait(1.0)
    assert ((host.read(0x0A, 5) - before) % 2**40) * 4050 / 13107.2e6 / 0.002 == pytest.approx(10.0, rel=1e-3)


def test_the_count_rolls_over_and_says_so_until_it_is_read() -> None:
    host = Host("ina228")
    host.write(0x02, 40)
    host.taps.current_a = -0.7
    host.wait(0.1)
    host.wait(2**39 * 40 / 13107.2e6 / 0.002 / 0.7)
    assert host.read(0x0B) & 0x0400
    assert host.read(0x0A, 5) < 2**39, "below zero for so long that it is above"
    assert not host.read(0x0B) & 0x0400


def test_a_current_beyond_the_calibration_is_flagged() -> None:
    host = Host("ina228")
    host.write(0x02, 40)
    host.wait(1.0)
    assert host.read(0x0B) & 0x0200, "10 A are more than 2^19 counts of 1.5 uA"


@pytest.mark.parametrize("part", ["ina226", "ina238"])
def test_the_others_count_nothing(part: Part) -> None:
    host = Host(part)
    host.wait(3600.0)
    assert host.read(0x0A) == 0
    assert not host.read(0x0B) & 0x0600


def test_faults() -> None:
    host = Host()
    host.wait(1.0)
    assert host.read(0x0B) & 0x0002
    host.chip.faults.frozen = True
    host.wait(1.0)
    assert not host.read(0x0B) & 0x0002
    host.chip.faults.memory_error = True
    assert not host.read(0x0B) & 0x0001
    host.chip.faults.mute = True
    assert not host.chip.i2c_write(b"\0")
    assert host.chip.i2c_read(2) is None


@given(
    frames=st.lists(st.binary(max_size=5), max_size=8),
    count=st.integers(0, 10),
    part=st.sampled_from(["ina226", "ina228", "ina238"]),
)
def test_no_bytes_raise(frames: list[bytes], count: int, part: Part) -> None:
    host = Host(part)
    for frame in frames:
        host.chip.i2c_write(frame)
        found = host.chip.i2c_read(count)
        assert found is not None and len(found) == count
        host.wait(0.2)
