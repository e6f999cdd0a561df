"""Frames of the IVT-S and the CAB sensors against examples, and against whatever may come."""

from __future__ import annotations

from math import isnan

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import ivts_codec as codec
from bms_daemon.drivers import lem_cab


def test_a_result_has_its_counter_value_and_status() -> None:
    assert codec.decode(bytes.fromhex("0003FFFFCFC7"), "big") == codec.Result(0, -12345, 3, False, False)
    assert codec.decode(bytes.fromhex("0203C7CFFFFF"), "little") == codec.Result(2, -12345, 3, False, False)


@pytest.mark.parametrize(
    ("status", "invalid", "failed"),
    [(0x10, False, False), (0x20, True, False), (0x40, False, True), (0x80, False, True), (0xF5, True, True)],
)
def test_bits_say_what_is_wrong(status: int, invalid: bool, failed: bool) -> None:
    found = codec.decode(bytes((1, status, 0, 0, 0, 1)), "big")
    assert found is not None
    assert (found.invalid, found.failed, found.counter) == (invalid, failed, status & 15)


@pytest.mark.parametrize("frame", ["", "00", "0003FFFFCF", "0003FFFFCFC700", "0803FFFFCFC7"])
def test_what_is_no_result_is_none(frame: str) -> None:
    assert codec.decode(bytes.fromhex(frame), "big") is None


@pytest.mark.parametrize(
    ("result", "period_ms", "order", "frame"),
    [(0, 100, "big", "20020064"), (0, 100, "little", "20420064"), (2, 0, "big", "22000000"),
     (1, 1000, "big", "210203e8")],
)  # fmt: skip
def test_a_result_is_configured(result: int, period_ms: int, order: codec.ByteOrder, frame: str) -> None:
    assert codec.configure(result, period_ms, order)[:4].hex() == frame


def test_modes() -> None:
    assert (codec.STOP[:3].hex(), codec.RUN[:3].hex(), codec.KEEP[:1].hex()) == ("340001", "340101", "32")


@pytest.mark.parametrize(
    ("command", "answer", "accepted"),
    [("20020064", "a0020064", True), ("20020064", "a0020065", False), ("340001", "b40001", True),
     ("340001", "b40101", False), ("32", "b2ffff", True), ("32", "ff32", False), ("20020064", "ff020064", False)],
)  # fmt: skip
def test_an_answer_repeats_what_was_commanded(command: str, answer: str, accepted: bool) -> None:
    sent = bytes.fromhex(command).ljust(8, b"\0")
    assert codec.answers(sent, bytes.fromhex(answer))
    assert codec.accepts(sent, bytes.fromhex(answer).ljust(8, b"\0")) is accepted
    assert not codec.answers(sent, b"")


@fuzz
@given(data=st.binary(max_size=8), order=st.sampled_from(["big", "little"]))
def test_no_frame_raises_and_no_value_leaves_32_bits(data: bytes, order: codec.ByteOrder) -> None:
    found = codec.decode(data, order)
    assert found is None or (-(2**31) <= found.value < 2**31 and 0 <= found.counter < 16 and 0 <= found.number < 8)


@pytest.mark.parametrize(
    ("frame", "layout", "current_a"),
    [
        ("8000000100000000", "u32", 0.001),
        ("7fffffff00000000", "u32", -0.001),
        ("8001869f00000000", "u32", 99.999),
        ("0080000100000000", "u24", 0.001),
        ("007fffff00000000", "u24", -0.001),
    ],
)
def test_a_cab_counts_from_the_middle(frame: str, layout: lem_cab.Layout, current_a: float) -> None:
    assert lem_cab.decode(bytes.fromhex(frame), layout) == pytest.approx(current_a)


@pytest.mark.parametrize(
    ("frame", "layout"),
    [("8000000101000000", "u32"), ("ffffffff00000000", "u32"), ("0000000000000000", "u32"), ("80000001", "u32"),
     ("0180000100000000", "u24"), ("00ffffff00000000", "u24"), ("0000000000000000", "u24")],
)  # fmt: skip
def test_a_cab_that_says_so_or_cannot_be_right_says_nothing(frame: str, layout: lem_cab.Layout) -> None:
    assert isnan(lem_cab.decode(bytes.fromhex(frame), layout))


@fuzz
@given(data=st.binary(max_size=10), layout=st.sampled_from(["u32", "u24"]))
def test_no_frame_of_a_cab_raises(data: bytes, layout: lem_cab.Layout) -> None:
    found = lem_cab.decode(data, layout)
    assert isnan(found) or abs(found) <= 2**31 * 1e-3
