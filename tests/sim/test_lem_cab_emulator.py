"""The LEM CAB emulator: both layouts from raw bytes, schedule, stop and start, faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.model import FloatArray
from bms_daemon.sim.lem_cab import LemCab


class Pins:
    cell_v: FloatArray = np.full(4, 3.3)
    stack_v = 13.2
    pack_v = 13.1
    link_v = 0.0
    current_a = 0.0
    probe_degc: FloatArray = np.zeros(0)
    die_degc = 25.0


def _bench(current_a: float = 0.0, layout: Literal["u32", "u24"] = "u32") -> tuple[Pins, LemCab]:
    """A sensor without noise that has begun at 0 s."""
    pins = Pins()
    pins.current_a = current_a
    sensor = LemCab(pins, layout=layout, noise_a=0.0)
    assert sensor.advance(0.0) == []
    return pins, sensor


def _listen(sensor: LemCab, until_s: float) -> list[tuple[float, bytes]]:
    """From event to event, with the time of each frame."""
    heard = []
    while (now_s := sensor.next_event_s) < until_s:
        heard += [(now_s, data) for _, data in sensor.advance(now_s)]
    sensor.advance(until_s)
    return heard


@pytest.mark.parametrize(
    ("current_a", "data"),
    [
        (0.0, "8000000000012c01"),
        (0.001, "8000000100012c01"),
        (-0.001, "7fffffff00012c01"),
        (300.0, "800493e000012c01"),
        (-500.0, "7ff85ee000012c01"),
        (1e9, "ffffffff00012c01"),
        (-1e9, "0000000000012c01"),
    ],
)
def test_the_published_values_with_32_bits(current_a: float, data: str) -> None:
    _, sensor = _bench(current_a)
    assert sensor.advance(0.01) == [(0x3C2, bytes.fromhex(data))]


@pytest.mark.parametrize(
    ("current_a", "data"),
    [(0.0, "0080000000012c01"), (0.001, "0080000100012c01"), (-500.0, "00785ee000012c01"), (1e9, "00ffffff00012c01")],
)
def test_values_with_24_bits(current_a: float, data: str) -> None:
    _, sensor = _bench(current_a, "u24")
    assert sensor.advance(0.01) == [(0x3C2, bytes.fromhex(data))]


def test_identifier_name_and_revision_are_the_builders() -> None:
    sensor = LemCab(Pins(), frame_id=0x3C0, name=500, revision=9, noise_a=0.0)
    sensor.advance(0.0)
    assert sensor.advance(0.01) == [(0x3C0, bytes.fromhex("800000000001f409"))]


def test_a_frame_every_ten_milliseconds_with_the_value_of_its_moment() -> None:
    pins, sensor = _bench()
    assert [now_s for now_s, _ in _listen(sensor, 1.005)] == pytest.approx([0.01 * (k + 1) for k in range(100)])
    pins.current_a = 1.0
    assert sensor.advance(1.009) == []
    pins.current_a = 2.0
    assert sensor.advance(1.01)[0][1][:4] == bytes.fromhex("800007d0")
    assert sensor.next_event_s == pytest.approx(1.02)


def test_it_starts_with_its_first_advance_and_makes_up_for_a_second_at_most() -> None:
    sensor = LemCab(Pins())
    assert sensor.next_event_s <= 5e6
    assert sensor.advance(5e6) == []
    assert sensor.next_event_s == pytest.approx(5e6 + 0.01)
    assert 99 <= len(sensor.advance(6e6)) <= 101
    assert 6e6 < sensor.next_event_s < 6e6 + 0.011


def test_it_stops_and_starts_by_command() -> None:
    _, sensor = _bench()
    sensor.advance(0.015)
    sensor.hear(0x6F0, b"\x28")
    assert sensor.next_event_s == pytest.approx(0.015)
    assert sensor.advance(0.016) == []
    assert sensor.next_event_s == math.inf
    assert sensor.advance(100.0) == []
    sensor.hear(0x6F0, b"\x29" + bytes(7))
    assert sensor.advance(100.0) == []
    assert [now_s for now_s, _ in _listen(sensor, 100.025)] == pytest.approx([100.01, 100.02])


def test_a_start_while_it_sends_moves_nothing() -> None:
    _, sensor = _bench()
    sensor.advance(0.015)
    sensor.hear(0x6F0, b"\x29")
    sensor.advance(0.016)
    assert sensor.next_event_s == pytest.approx(0.02)


@pytest.mark.parametrize(("frame_id", "data"), [(0x6F0, b""), (0x6F0, b"\x00\x28"), (0x6F1, b"\x28"), (0x3C2, b"\x28")])
def test_what_is_no_command_is_ignored(frame_id: int, data: bytes) -> None:
    _, sensor = _bench()
    sensor.hear(frame_id, data)
    assert len(_listen(sensor, 0.055)) == 5


def test_noise_is_small_and_the_same_for_the_same_seed() -> None:
    def values(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        sensor = LemCab(Pins(), seed=seed)
        sensor.advance(0.0)
        heard = [int.from_bytes(data[:4], "big") - 0x80000000 for _, data in _listen(sensor, 10.0)]
        return np.array(heard, dtype=float)

    first = values(1)
    assert np.array_equal(first, values(1))
    assert not np.array_equal(first, values(2))
    assert 18.0 < first.std() < 22.0


# ------------------------------------------------------------------ faults
def test_a_silent_sensor_says_nothing_and_comes_back() -> None:
    _, sensor = _bench()
    sensor.faults.silent = True
    assert _listen(sensor, 1.0) == []
    sensor.faults.silent = False
    assert len(_listen(sensor, 1.105)) == 10


def test_a_stuck_sensor_repeats_its_value() -> None:
    pins, sensor = _bench(1.0)
    sensor.advance(0.01)
    sensor.faults.stuck = True
    pins.current_a = 50.0
    assert {data[:4].hex() for _, data in _listen(sensor, 1.0)} == {"800003e8"}
    sensor.faults.stuck = False
    assert sensor.advance(1.011)[0][1][:4] == bytes.fromhex("8000c350")


@pytest.mark.parametrize(("layout", "at"), [("u32", 4), ("u24", 0)])
def test_the_error_indication_is_bit_0_and_its_reason_the_rest(layout: Literal["u32", "u24"], at: int) -> None:
    _, sensor = _bench(0.0, layout)
    sensor.faults.error = True
    assert sensor.advance(0.01)[0][1][at] == 0x01
    sensor.faults.error_info = 0x41
    assert sensor.advance(0.02)[0][1][at] == 0x83
    sensor.faults.error = False
    assert sensor.advance(0.03)[0][1][at] == 0x82


@pytest.mark.parametrize(("layout", "data"), [("u32", "ffffffff01012c01"), ("u24", "01ffffff00012c01")])
def test_an_extreme_raw_value_stands_beside_the_error(layout: Literal["u32", "u24"], data: str) -> None:
    _, sensor = _bench(5.0, layout)
    sensor.faults.error, sensor.faults.raw = True, 0xFFFFFFFF
    assert sensor.advance(0.01)[0][1] == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("spoil", "reads_ma"),
    [
        (lambda faults: setattr(faults, "offset_a", 2.0), -5625),
        (lambda faults: setattr(faults, "gain", 2.0), -15250),
        (lambda faults: setattr(faults, "inverted", True), 7625),
    ],
    ids=["offset", "gain", "sign"],
)
def test_current_faults(spoil: Callable[[object], None], reads_ma: int) -> None:
    _, sensor = _bench(-7.625)
    spoil(sensor.faults)
    assert int.from_bytes(sensor.advance(0.01)[0][1][:4], "big") - 0x80000000 == reads_ma


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0x6F0, 0x3C2]), st.binary(max_size=9), st.floats(0.0, 20.0)), max_size=10
    ),
    current_a=st.floats(allow_nan=True, allow_infinity=True),
)
def test_no_bytes_and_no_current_make_it_raise(steps: list[tuple[int, bytes, float]], current_a: float) -> None:
    _, sensor = _bench(current_a)
    now_s = 0.0
    for frame_id, data, seconds in steps:
        sensor.hear(frame_id, data)
        now_s += seconds
        assert all(len(said) == 8 for _, said in sensor.advance(now_s))
        assert sensor.next_event_s > now_s
