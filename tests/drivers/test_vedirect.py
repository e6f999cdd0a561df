"""VE.Direct against a captured block, HEX frames inside it, and noise."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers.vedirect import Driver, Settings, reading_of
from bms_daemon.drivers.vedirect_codec import Decoder
from bms_daemon.model import BusFault, ShuntReading
from bms_daemon.runtime.clock import run_manual

CAPTURED = (
    b"\r\nPID\t0x203\r\nV\t12065\r\nI\t-7625\r\nP\t-92\r\nCE\t-65473\r\nSOC\t839\r\nTTG\t942\r\nAlarm\tOFF\r\nRelay\tOFF"
    b"\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq"
)
HEX = b":7001000C80076\n"


def block(*fields: tuple[str, str]) -> bytes:
    text = "".join(f"\r\n{label}\t{value}" for label, value in fields).encode() + b"\r\nChecksum\t"
    return text + bytes((-sum(text) % 256,))


HISTORY = block(("H1", "-102738"), ("H2", "-36966"), ("H17", "55"), ("H18", "75"))


def ending_in(checksum: int) -> bytes:
    """A block whose checksum byte is this one."""
    texts = ("~" * n + " " * m + chr(c) for n in range(4) for m in range(4) for c in range(0x21, 0x7F))
    made = (block(("V", "12000"), ("I", "500"), ("MON", text)) for text in texts)
    return next(frame for frame in made if frame[-1] == checksum)


def feed(*parts: bytes) -> tuple[list[dict[str, str]], Decoder]:
    decoder = Decoder()
    return [found for part in parts for found in decoder.feed(part)], decoder


def test_the_captured_block_is_understood() -> None:
    found, decoder = feed(CAPTURED)
    assert len(found) == 1
    assert (found[0]["PID"], found[0]["V"], found[0]["I"], found[0]["SOC"], found[0]["FW"]) == (
        "0x203",
        "12065",
        "-7625",
        "839",
        "0308",
    )
    assert "Checksum" not in found[0]
    assert decoder.rejected == 0


@given(st.lists(st.integers(0, 2 * len(CAPTURED)), max_size=6))
def test_chunks_of_any_size_give_the_same_blocks(cuts: list[int]) -> None:
    stream = CAPTURED * 2
    edges = [0, *sorted(cuts), len(stream)]
    found, _ = feed(*(stream[a:b] for a, b in itertools.pairwise(edges)))
    assert [one["I"] for one in found] == ["-7625", "-7625"]


def test_a_hex_frame_anywhere_before_the_checksum_byte_is_stripped() -> None:
    for position in range(len(CAPTURED) - 1):
        found, decoder = feed(CAPTURED[:position] + HEX + CAPTURED[position:])
        assert [one["V"] for one in found] == ["12065"]
        assert decoder.hex_frames == 1


@pytest.mark.parametrize("byte", [0x3A, 0x0A, 0x0D, 0x09, 0x00, 0xFF])
def test_the_checksum_may_be_any_byte(byte: int) -> None:
    frame = ending_in(byte)
    found, decoder = feed(frame + CAPTURED)
    assert len(found) == 2
    assert decoder.rejected == 0


@pytest.mark.parametrize("wrong", [0x00, 0x09, 0x0D, 0x30, 0x3A, 0xFF])
def test_after_any_one_wrong_byte_at_most_one_more_block_is_lost(wrong: int) -> None:
    for position in range(len(CAPTURED)):
        if CAPTURED[position] == wrong:
            continue
        damaged = CAPTURED[:position] + bytes((wrong,)) + CAPTURED[position + 1 :]
        found, _ = feed(damaged + CAPTURED + CAPTURED)
        assert 1 <= len(found) <= 2
        assert all(one["V"] == "12065" and one["I"] == "-7625" for one in found)


def test_noise_that_looks_like_a_hex_frame_costs_only_its_own_block() -> None:
    for position in range(CAPTURED.index(b"Checksum"), len(CAPTURED) - 2):
        damaged = CAPTURED[:position] + b":" + CAPTURED[position + 1 :]
        found, _ = feed(damaged + CAPTURED)
        assert [one["I"] for one in found] == ["-7625"]


def test_a_start_in_the_middle_costs_only_that_block() -> None:
    for start in range(1, len(CAPTURED)):
        found, _ = feed(CAPTURED[start:] + CAPTURED)
        assert [one["I"] for one in found] == ["-7625"]


def test_a_lost_end_does_not_take_the_next_block_along() -> None:
    found, decoder = feed(CAPTURED[:60] + CAPTURED)
    assert [one["I"] for one in found] == ["-7625"]
    assert decoder.rejected == 1


@fuzz
@given(st.binary(max_size=700))
def test_noise_neither_raises_nor_fills_memory(noise: bytes) -> None:
    decoder = Decoder(max_block_bytes=256)
    decoder.feed(noise)
    assert len(decoder._block) <= 256
    decoder.feed(b"\n" * 600)
    assert [one["V"] for one in decoder.feed(CAPTURED * 3)][-1] == "12065"


def test_a_flood_without_an_end_is_dropped() -> None:
    decoder = Decoder(max_block_bytes=256)
    decoder.feed(b"x" * 100_000)
    assert len(decoder._block) <= 256
    assert decoder.rejected >= 300


def test_one_percent_of_wrong_bytes_never_publishes_a_wrong_value() -> None:
    noise = random.Random(20)
    good = 0
    decoder = Decoder()
    for _ in range(2000):
        sent = bytes(noise.randrange(256) if noise.random() < 0.01 else byte for byte in CAPTURED)
        for found in decoder.feed(sent):
            reading = reading_of(found, Settings())
            if reading is not None:
                good += 1
                assert (reading.current_a, reading.voltage_v) == pytest.approx((-7.625, 12.065))
    assert good > 300


# ------------------------------------------------------------------ readings
def nan_equal(reading: ShuntReading | None, *expected: float) -> bool:
    return reading is not None and (reading.current_a, reading.voltage_v, reading.soc) == pytest.approx(
        expected, nan_ok=True
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"V": "12065", "I": "-7625", "P": "-92", "SOC": "839"}, (-7.625, 12.065, 0.839)),
        ({"V": "12065", "I": "7625", "SOC": "1000"}, (7.625, 12.065, 1.0)),
        ({"I": "0"}, (0.0, math.nan, math.nan)),
        ({"I": "0", "V": "---", "SOC": "---"}, (0.0, math.nan, math.nan)),
        ({"I": "10", "V": "-5", "SOC": "1001"}, (0.01, math.nan, math.nan)),
        ({"I": "10", "V": "1000001", "SOC": "-1"}, (0.01, math.nan, math.nan)),
    ],
)
def test_fields_become_units_or_nan(fields: dict[str, str], expected: tuple[float, ...]) -> None:
    assert nan_equal(reading_of(fields, Settings()), *expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"V": "12000"},
        {"V": "12000", "I": "---"},
        {"V": "12000", "I": ""},
        {"V": "12000", "I": "1e5"},
        {"V": "12000", "I": "2000001"},
        {"V": "12000", "I": "9999999999"},
        {"V": "12065", "I": "-7625", "P": "92"},
        {"V": "12065", "I": "-97625", "P": "-92"},
    ],
)
def test_no_current_no_reading(fields: dict[str, str]) -> None:
    assert reading_of(fields, Settings()) is None


# ------------------------------------------------------------------ driver
class Script:
    """A port that gives these chunks and is then gone."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    async def read(self) -> bytes:
        if not self.chunks:
            raise BusFault("gone")
        return self.chunks.pop(0)

    async def write(self, data: bytes) -> None:
        raise AssertionError("a monitor is only listened to")

    def close(self) -> None: ...


def test_a_history_block_is_passed_over() -> None:
    driver = Driver(Script(HISTORY, CAPTURED[:40], CAPTURED[40:]), Settings())
    assert nan_equal(run_manual(driver.read()), -7.625, 12.065, 0.839)


def test_the_newest_of_several_blocks_wins() -> None:
    newer = block(("V", "12000"), ("I", "1000"))
    driver = Driver(Script(CAPTURED + newer + HISTORY), Settings())
    assert nan_equal(run_manual(driver.read()), 1.0, 12.0, math.nan)


def test_a_lost_port_is_the_callers_fault() -> None:
    with pytest.raises(BusFault, match="gone"):
        run_manual(Driver(Script(CAPTURED[:50]), Settings()).read())
