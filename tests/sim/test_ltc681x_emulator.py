"""The LTC6811 chain's emulator by raw bytes: wake-up, order, codes, conversions on schedule, watchdog."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ltc681x_bench import INIT, INIT_PEC, Host, command, pec_of

from bms_daemon.sim.isospi_pec import pec, pecs


@settings(max_examples=300, deadline=None)
@given(groups=st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=20))
def test_codes_are_those_of_the_data_sheets_register(groups: list[bytes]) -> None:
    found = pecs(np.frombuffer(b"".join(groups), dtype=np.uint8).reshape(-1, 6))
    assert [each.tobytes() for each in found] == [pec_of(group.hex()) for group in groups]
    assert [pec(group) for group in groups] == [pec_of(group.hex()) for group in groups]


def test_a_sleeping_chain_answers_nothing_and_wakes_device_by_device() -> None:
    host = Host(wake=False)
    assert host.read(0x0002) == [b"\xff" * 6] * 2
    host.send(b"\0", low_s=0.0003)
    host.now_s += 0.0004
    first = host.read(0x0002)
    assert first[0] == bytes.fromhex("f80000000000")
    assert first[1] == b"\xff" * 6
    host.send(b"\0", low_s=0.0003)
    host.now_s += 0.0004
    assert host.read(0x0002)[1] == bytes.fromhex("f80000000000")


def test_an_idle_port_must_be_woken_before_it_hears() -> None:
    host = Host()
    host.now_s += 0.01
    assert host.read(0x0002)[0] == b"\xff" * 6, "the frame that wakes is lost"
    host.now_s += 30e-6
    assert host.read(0x0002)[0] == INIT


def test_a_published_frame_is_understood_and_its_answer_carries_the_published_code() -> None:
    host = Host()
    answer = host.send(command(0x0002) + bytes(16))
    assert answer[4:] == (INIT + INIT_PEC) * 2
    assert host.send(bytes.fromhex("00022B0B") + bytes(16))[4:] == b"\xff" * 16, "a wrong code is not obeyed"


def test_the_farthest_device_is_written_first_and_the_nearest_answers_first() -> None:
    host = Host()
    far, far_pec = bytes.fromhex("123456789ABC"), bytes.fromhex("BC24")
    host.send(command(0x0001) + far + far_pec + INIT + INIT_PEC)
    held = host.read(0x0002)
    assert held[0] == INIT
    assert held[1][1:] == far[1:]


def test_a_group_with_a_wrong_code_is_not_taken() -> None:
    host = Host()
    host.send(command(0x0001) + bytes.fromhex("0400000000004F82") + INIT + INIT_PEC)
    assert host.read(0x0002) == [INIT, INIT]


def test_cells_are_converted_after_2_3_ms_and_not_sooner() -> None:
    host = Host()
    host.send(command(0x0711))
    host.send(command(0x0360))
    host.now_s += 0.001
    assert (host.words(0x0004) == 0xFFFF).all()
    assert host.send(command(0x0714) + b"\0\0")[4:] == b"\0\0"
    host.now_s += 0.0015
    assert host.words(0x0004)[0] * 100e-6 == pytest.approx([3.0, 3.01, 3.02], abs=0.002)
    assert host.words(0x0004)[1] * 100e-6 == pytest.approx([3.12, 3.13, 3.14], abs=0.002)
    assert host.words(0x0006)[1] * 100e-6 == pytest.approx([3.15, 0.0, 0.0], abs=0.002), "unused inputs are shorted"
    assert host.send(command(0x0714) + b"\0\0")[4:] == b"\xff\xff"


def test_pins_and_the_reference_and_the_status() -> None:
    host = Host()
    host.send(command(0x0560))
    host.send(command(0x0568))
    host.now_s += 0.003
    first, second = host.words(0x000C), host.words(0x000E)
    assert second[:, 2] * 100e-6 == pytest.approx([3.0, 3.0])
    assert first[0, 0] * 100e-6 == pytest.approx(1.5, abs=1e-3), "10 kohm at 25 degC below 10 kohm"
    assert first[0, 1] < 15000 < first[1, 0], "warm below, cold above the middle"
    sums, analog = host.words(0x0010)[:, 0] * 2e-3, host.words(0x0010)[:, 2] * 100e-6
    assert sums == pytest.approx([36.66, 12.54], abs=0.05)
    assert analog == pytest.approx([5.0, 5.0])
    assert host.words(0x0010)[0, 1] * 100e-6 / 7.5e-3 - 273.0 == pytest.approx(30.0, abs=0.1)


def test_thermistors_need_their_pull_downs_off() -> None:
    host = Host()
    host.send(command(0x0001) + bytes.fromhex("040000000000") + pec_of("040000000000") + INIT + INIT_PEC)
    host.now_s += 0.0045
    host.send(b"\0")
    host.now_s += 0.001
    host.send(command(0x0560))
    host.now_s += 0.003
    assert host.words(0x000C)[1, 0] == 0


def test_flags_follow_the_limits_and_clearing_the_status_sets_them_all() -> None:
    host = Host()
    limits = "fcff0cbc0000"  # VUV 0xCFF: 5.3 V; VOV 0xBC0: 4.8 V
    host.send(command(0x0001) + (bytes.fromhex(limits) + pec_of(limits)) * 2)
    host.send(command(0x0360))
    host.now_s += 0.0024
    flags = host.read(0x0012)[0]
    assert flags[2:5] == bytes.fromhex("555555"), "every cell is under, none over"
    assert flags[5] & 0x02, "never diagnosed"
    host.send(command(0x0715))
    host.now_s += 0.0005
    assert not host.read(0x0012)[0][5] & 0x02
    host.send(command(0x0713))
    assert host.read(0x0012)[0][2:5] == b"\xff\xff\xff"
    assert host.read(0x0010)[0] == b"\xff" * 6


@pytest.mark.parametrize(
    ("code", "read", "word"),
    [("0327", 0x0004, 0x9555), ("0347", 0x0004, 0x6AAA), ("02A7", 0x0004, 0x9565), ("0527", 0x000C, 0x9555)],
)
def test_self_tests_leave_their_patterns(code: str, read: int, word: int) -> None:
    host = Host()
    host.send(bytes.fromhex(code) + pec_of(code))
    host.now_s += 0.0024
    assert (host.words(read) == word).all()
    host.chain.faults.self_test_bad = {1}
    host.send(b"\0")
    host.send(bytes.fromhex(code) + pec_of(code))
    host.now_s += 0.0024
    assert (host.words(read)[0] == word).all() and (host.words(read)[1] != word).all()


@pytest.mark.parametrize("wire", [0, 5, 12])
def test_a_loose_wire_follows_the_current_into_it(wire: int) -> None:
    host = Host()
    host.chain.faults.open_wires = {(0, wire)}

    def pulled(code: int) -> np.ndarray:
        for _ in range(2):
            host.send(command(code))
            host.now_s += 0.0024
        return np.concatenate([host.words(read)[0] for read in (0x0004, 0x0006, 0x0008)]) * 100e-6

    up, down = pulled(0x0368), pulled(0x0328)
    assert bool(up[0] == 0.0) is (wire == 0)
    assert bool(up[5] - down[5] < -0.4) is (wire == 5)
    assert ((up - down)[1:5] > -0.4).all()


def test_without_commands_for_two_seconds_it_sleeps_and_forgets() -> None:
    host = Host()
    host.send(command(0x0001) + (bytes.fromhex("fc0000000500") + pec_of("fc0000000500")) * 2)
    assert np.flatnonzero(host.chain.balancing_mask).tolist() == [0, 2, 12, 14]
    host.now_s += 2.5
    host.chain.advance(host.now_s)
    assert not host.chain.balancing_mask.any()
    assert host.read(0x0002) == [b"\xff" * 6] * 2
    for _ in range(3):
        host.send(b"\0", low_s=0.0003)
        host.now_s += 0.0004
    assert host.read(0x0002) == [bytes.fromhex("f80000000000")] * 2


def test_a_cell_that_is_discharged_reads_less_where_the_host_permits_it() -> None:
    host = Host()
    host.send(command(0x0001) + (bytes.fromhex("fc0000000100") + pec_of("fc0000000100")) * 2)
    host.send(command(0x0370))
    host.now_s += 0.0024
    permitted = host.words(0x0004)[0, 0]
    host.send(command(0x0360))
    host.now_s += 0.0024
    assert host.words(0x0004)[0, 0] - permitted > 500


@pytest.mark.parametrize(("mute", "answered"), [(None, 2), (1, 1), (0, 0)])
def test_behind_a_break_nobody_answers(mute: int | None, answered: int) -> None:
    host = Host()
    host.chain.faults.mute = mute
    assert sum(group != b"\xff" * 6 for group in host.read(0x0002)) == answered


def test_frozen_devices_obey_and_do_not_convert() -> None:
    host = Host()
    host.chain.faults.frozen = True
    host.send(command(0x0711))
    host.send(command(0x0360))
    host.now_s += 0.003
    assert (host.words(0x0004) == 0xFFFF).all()


@settings(max_examples=500, deadline=None)
@given(frames=st.lists(st.binary(max_size=40), max_size=6))
def test_no_frame_raises(frames: list[bytes]) -> None:
    host = Host()
    for frame in frames:
        host.send(frame)
        host.send(frame[:2] + pec_of(frame[:2].hex()) + frame[2:])
