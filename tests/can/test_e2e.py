"""End-to-end protection against the published check values and the counter rules of AUTOSAR profile 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.can.e2e import Check, Protect, Protection, Status, crc8_j1850

HOW = Protection(data_id=0xB102)


def frames(count: int, how: Protection = HOW, payload: bytes = bytes(8)) -> list[bytes]:
    protect = Protect(how)
    return [protect.complete(payload) for _ in range(count)]


def statuses(data: list[bytes], how: Protection = HOW) -> list[Status]:
    check = Check(how)
    return [check.check(frame) for frame in data]


@pytest.mark.parametrize(("data", "crc"), [(b"123456789", 0x4B), (bytes.fromhex("00C0DFACAA0740"), 0x6C), (b"", 0x00)])
def test_crc_matches_the_published_check_values(data, crc):
    assert crc8_j1850(data) == crc


def test_crc_of_a_frame_runs_over_data_id_low_then_high_then_the_bytes_after_it():
    frame = Protect(Protection(data_id=0x1234)).complete(bytes([0, 0xA0, 1, 2, 3, 4, 5, 6]))
    assert frame[0] == crc8_j1850(bytes([0x34, 0x12, 0xA0, 1, 2, 3, 4, 5, 6]))


def test_low_byte_mode_leaves_the_high_byte_out():
    frame = Protect(Protection(data_id=0x1234, low_byte_only=True)).complete(bytes(8))
    assert frame[0] == crc8_j1850(bytes([0x34]) + bytes(7))


def test_a_crc_elsewhere_in_the_frame_covers_the_bytes_before_it():
    how = Protection(data_id=1, crc_byte=7, counter_byte=6, counter_shift=4)
    frame = Protect(how).complete(bytes([9] * 6 + [0, 0]))
    assert frame[7] == crc8_j1850(bytes([1, 0] + [9] * 6 + [0]))


def test_the_counter_runs_from_0_to_14_and_starts_again():
    assert [frame[1] & 0x0F for frame in frames(17)] == [*range(15), 0, 1]


def test_the_counter_leaves_the_other_nibble_alone():
    assert [frame[1] for frame in frames(2, payload=bytes([0, 0xA0, 0, 0, 0, 0, 0, 0]))] == [0xA0, 0xA1]


def test_consecutive_frames_are_ok_after_the_first():
    assert statuses(frames(20)) == [Status.INITIAL] + [Status.OK] * 19


@pytest.mark.parametrize(
    ("step", "status"),
    [(1, Status.OK), (3, Status.OK), (4, Status.WRONG_SEQUENCE), (14, Status.WRONG_SEQUENCE), (15, Status.REPEATED)],
)
def test_a_jump_is_tolerated_up_to_the_largest_delta(step, status):
    sent = frames(20)
    assert statuses([sent[0], sent[step]])[-1] is status


def test_a_wrong_jump_is_followed_by_ok_again():
    sent = frames(20)
    assert statuses([sent[0], sent[7], sent[8]])[1:] == [Status.WRONG_SEQUENCE, Status.OK]


def test_five_repetitions_are_frozen_and_need_two_new_frames():
    check, sent = Check(HOW), frames(4)
    assert [check.check(frame) for frame in [sent[0], sent[1], *[sent[1]] * 4]][-1] is Status.REPEATED
    assert not check.frozen
    check.check(sent[1])
    assert check.frozen
    assert [check.check(frame) for frame in sent[2:]] == [Status.INITIAL, Status.OK]


def test_the_reserved_counter_is_an_error():
    frame = bytearray(frames(1)[0])
    frame[1] |= 0x0F
    frame[0] = HOW.crc(frame)
    assert statuses([bytes(frame)]) == [Status.ERROR]


def test_a_frame_under_another_data_id_is_an_error():
    assert statuses(frames(3, Protection(data_id=0xB101))) == [Status.ERROR] * 3


@given(bit=st.integers(0, 63), payload=st.binary(min_size=8, max_size=8))
def test_every_flipped_bit_is_found(bit, payload):
    frame = frames(1, payload=bytes([0, payload[1] & 0xF0]) + payload[2:])[0]
    flipped = bytearray(frame)
    flipped[bit // 8] ^= 1 << bit % 8
    assert statuses([bytes(flipped)]) == [Status.ERROR]


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=40))
def test_arbitrary_payloads_never_raise(data):
    assert len(statuses(data)) == len(data)
