"""The ADES1830 chain's emulator by raw bytes: counted commands, codes, two converters, flags, schedule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ltc681x_bench import pec_of

from bms_daemon.sim.ades1830 import Ades1830Chain
from bms_daemon.sim.ades1830_pec import behind, pec10
from bms_daemon.sim.isospi_inputs import Wiring
from bms_daemon.sim.plant import SimTaps

CFGA, CFGB = "820000ff0300", "00f87f000000"


def written(group: str) -> bytes:
    return bytes.fromhex(group) + bitwise(bytes.fromhex(group), 0).to_bytes(2, "big")


def bitwise(data: bytes, counter: int) -> int:
    """x10+x7+x3+x2+x+1 over the bits of the data and six of the counter, starting with 0x010."""
    register = 0x010
    for bit in f"{int.from_bytes(data, 'big'):048b}{counter:06b}":
        register = (register << 1 ^ (0x08F if register >> 9 ^ int(bit) else 0)) & 0x3FF
    return register


class Host:
    """Chip select by hand. Each frame begins when the one before it has ended."""

    def __init__(self, cells: tuple[int, ...] = (16, 5), probes: tuple[int, ...] = (10, 1)) -> None:
        volts = 3.0 + 0.01 * np.arange(sum(cells))
        degc = np.resize([25.0, 40.0, -10.0], sum(probes))
        self.taps = SimTaps(volts, float(volts.sum()), 0.0, 0.0, 0.0, degc, 30.0)
        self.chain = Ades1830Chain(self.taps, Wiring(cells, probes, 1))
        self.devices, self.now_s = len(cells), 10.0
        for _ in cells:
            self.send(b"\0", low_s=0.0003)
            self.now_s += 0.0005

    def configured(self, second: str = CFGB) -> Host:
        self.command("0001", written(CFGA) * self.devices)
        self.command("0024", written(second) * self.devices)
        self.wait(0.005)
        return self

    def send(self, data: bytes, low_s: float = 0.0) -> bytes:
        low_s = max(low_s, len(data) * 16e-6)
        self.now_s += low_s
        answer = self.chain.frame(self.now_s, data, low_s)
        self.now_s += 5e-6
        assert len(answer) == len(data)
        return answer

    def wait(self, seconds: float) -> None:
        """And wake the link, which idles by then."""
        self.now_s += seconds
        self.send(b"\0")
        self.now_s += 50e-6

    def command(self, code: str, data: bytes = b"") -> bytes:
        return self.send(bytes.fromhex(code) + pec_of(code) + data)[4:]

    def slots(self, code: str) -> list[tuple[bytes, int]]:
        """Groups and counters, once their codes are right."""
        raw = self.command(code, bytes(8 * self.devices))
        slots = [raw[8 * device : 8 * device + 8] for device in range(self.devices)]
        found = [(slot[:6], int.from_bytes(slot[6:], "big")) for slot in slots]
        assert all(word & 0x3FF == bitwise(group, word >> 10) for group, word in found)
        return [(group, word >> 10) for group, word in found]

    def counters(self) -> list[int]:
        return [counter for _, counter in self.slots("0026")]

    def words(self, code: str) -> np.ndarray:
        return np.array([np.frombuffer(group, dtype="<i2") for group, _ in self.slots(code)])

    def volts(self, code: str) -> np.ndarray:
        return self.words(code) * 150e-6 + 1.5


@settings(max_examples=300, deadline=None)
@given(groups=st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=8), counter=st.integers(0, 63))
def test_codes_are_those_of_the_register(groups: list[bytes], counter: int) -> None:
    found = behind(np.frombuffer(b"".join(groups), dtype=np.uint8).reshape(-1, 6), np.full(len(groups), counter))
    words = [int.from_bytes(each.tobytes(), "big") for each in found]
    assert words == [counter << 10 | bitwise(group, counter) for group in groups]
    assert [pec10(group, counter) for group in groups] == [bitwise(group, counter) for group in groups]


@pytest.mark.parametrize(
    ("group", "counter", "code"),
    [("123456789ABC", 0, 0x1CC), ("123456789ABC", 0xDE >> 2, 0x053), ("FFFFFFFFFFFF", 0, 0x196),
     ("FFFFFFFFFFFF", 0x3F, 0x0FE), ("BEEFBEEFBEEF", 0x35 >> 2, 0x1B7)],
)  # fmt: skip
def test_codes_are_the_published_ones(group: str, counter: int, code: int) -> None:
    assert pec10(bytes.fromhex(group), counter) == code


def test_commands_are_counted_and_reads_are_not() -> None:
    host = Host()
    assert host.counters() == [0, 0]
    host.command("0711")
    host.command("0360")
    assert host.counters() == host.counters() == [2, 2]
    host.command("0024", bytes.fromhex("123456789ABC01CC") * 2)
    assert host.slots("0026") == [(bytes.fromhex("123456789ABC"), 3)] * 2
    host.send(bytes.fromhex("07110000"))
    assert host.counters() == [3, 3], "a wrong code is not obeyed"
    for _ in range(61):
        host.command("0711")
    assert host.counters() == [1, 1], "after 63 comes 1"
    host.command("002E")
    assert host.counters() == [0, 0]


def test_a_group_with_a_wrong_code_is_neither_taken_nor_counted_and_the_farthest_is_written_first() -> None:
    host = Host()
    host.command("0024", bytes.fromhex("123456789ABC01CC" "BEEFBEEFBEEF0000"))
    assert host.slots("0026") == [(bytes.fromhex(CFGB), 0), (bytes.fromhex("123456789ABC"), 1)]


def test_a_device_that_misses_a_command_counts_less() -> None:
    host = Host()
    host.chain.faults.deaf = {1: 1}
    host.command("0711")
    host.command("0711")
    assert host.counters() == [2, 1]


def test_cells_are_converted_by_both_converters_in_8_ms() -> None:
    host = Host().configured()
    host.chain.faults.second_offset_v = {(1, 2): 0.05}
    host.command("0711")
    host.command("0360")
    host.wait(0.006)
    assert (host.words("0004") == -0x8000).all() and (host.words("0003") == 0x7FFF).all()
    host.wait(0.0025)
    assert host.volts("0004")[0] == pytest.approx([3.0, 3.01, 3.02], abs=0.002)
    assert host.volts("000B")[0, 0] == pytest.approx(3.15, abs=0.002)
    assert host.volts("0006")[1] == pytest.approx([3.19, 3.20, 0.0], abs=0.002), "unused inputs are shorted"
    assert (host.volts("0003") - host.volts("0004"))[1] == pytest.approx([0.0, 0.0, 0.05], abs=0.003)
    host.command("0717", written("ffff0000ffff") * 2)
    host.command("0360")
    host.wait(0.009)
    assert [group[:2] for group, _ in host.slots("0032")] == [b"\0\0", b"\x04\0"], "further apart than 9.1 mV"


def test_one_converter_alone_takes_1_ms_and_leaves_the_other() -> None:
    host = Host().configured()
    host.command("0260")
    host.wait(0.0011)
    assert host.volts("0004")[0, 0] == pytest.approx(3.0, abs=0.002)
    assert (host.words("0003") == 0x7FFF).all()


def test_pins_the_reference_the_die_and_the_supplies() -> None:
    host = Host().configured()
    host.command("0410")
    host.wait(0.017)
    assert (host.words("0019") == 0x7FFF).all()
    host.wait(0.002)
    assert host.volts("0019")[0, 0] == pytest.approx(1.5, abs=1e-3), "10 kohm at 25 degC below 10 kohm at 3 V"
    assert host.volts("001F")[0, 0] == pytest.approx(1.5, abs=1e-3), "GPIO10"
    assert host.volts("0030")[:, 0] == pytest.approx([3.0, 3.0])
    assert host.volts("0030")[0, 1] / 7.5e-3 - 273.0 == pytest.approx(30.0, abs=0.1)
    assert host.volts("0031")[0, :2] == pytest.approx([3.1, 5.0], abs=1e-3)


def test_flags_follow_the_limits() -> None:
    host = Host().configured("f4f14e000000")  # VUV 0x1F4: 2.7 V; VOV 0x4EF: 4.53 V
    host.chain.faults.raw_cells = {0: 7999, 4: 20225, 15: 20300}  # 2.69985 V, 4.53375 V, 4.545 V
    host.command("0360")
    host.wait(0.009)
    assert host.slots("0033")[0][0][:4] == bytes.fromhex("01020080")


def test_flags_stand_until_they_are_cleared_bit_by_bit() -> None:
    host = Host()
    assert host.slots("0032")[0][0][4:] == b"\xff\xff", "as delivered"
    host.command("0717", written("00000000fff7") * 2)
    assert host.slots("0032")[0][0][4:] == bytes.fromhex("0008")
    host.chain.faults.flags = {1: 0x4010}
    assert host.slots("0032")[1][0][4:] == bytes.fromhex("1048")


@pytest.mark.parametrize(("second", "cells"), [("00f87f000500", [0, 2]), ("00f87f000080", [15]), (CFGB, [])])
def test_switches_and_the_watchdog_that_ends_them(second: str, cells: list[int]) -> None:
    host = Host((16,), (0,)).configured(second)
    assert np.flatnonzero(host.chain.balancing_mask).tolist() == cells
    host.now_s += 2.5
    host.chain.advance(host.now_s)
    assert not host.chain.balancing_mask.any()
    host.send(b"\0", low_s=0.0003)
    host.now_s += 0.0006
    assert host.slots("0026") == [(bytes.fromhex(CFGB), 0)]
    assert host.slots("0032")[0][0][5] & 0x08, "it has slept"


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(st.binary(max_size=40), max_size=6))
def test_no_frame_raises(frames: list[bytes]) -> None:
    host = Host()
    for frame in frames:
        host.send(frame)
        host.send(frame[:2] + pec_of(frame[:2].hex()) + frame[2:])
