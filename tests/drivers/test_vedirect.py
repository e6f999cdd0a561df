"""VE.Direct against a captured block, HEX frames inside it, and noise."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import re

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers.vedirect import Driver, Settings, reading_of
from bms_daemon.drivers.vedirect_codec import Decoder, HexFrame, decode_hex, encode_hex
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


# ------------------------------------------------------------------ HEX
@pytest.mark.parametrize(
    ("wire", "frame"),
    [
        (b":70010003E\n", HexFrame(7, b"\x00\x10\x00")),
        (b":7001000C80076\n", HexFrame(7, b"\x00\x10\x00\xc8\x00")),
        (b":154\n", HexFrame(1)),
        (b":451\n", HexFrame(4)),
    ],
    ids=["Victron's get of the capacity", "Victron's answer of 200 Ah", "ping", "product id"],
)
def test_a_frame_is_a_nibble_bytes_and_what_makes_their_sum_55(wire: bytes, frame: HexFrame) -> None:
    assert encode_hex(frame) == wire
    assert decode_hex(wire[1:-1]) == decode_hex(wire[1:-1] + b"\r") == frame
    assert feed(wire)[1].heard[0] == frame


@pytest.mark.parametrize(
    "digits", [b"", b"1", b"55", b"155", b"70010003D", b"7001000 3E", b"7001000g3E", b"154\r0", b":154"]
)
def test_what_is_no_frame_is_none(digits: bytes) -> None:
    assert decode_hex(digits) is None


@given(st.integers(0, 15), st.binary(max_size=40), st.integers(0, 80), st.integers(1, 255))
def test_every_frame_comes_back_and_none_with_a_wrong_byte(command: int, payload: bytes, at: int, change: int) -> None:
    frame = HexFrame(command, payload)
    wire = bytearray(encode_hex(frame))
    assert feed(bytes(wire))[1].heard[0] == frame
    position = 1 + at % (len(wire) - 2)
    wire[position] ^= change
    assert frame not in feed(bytes(wire))[1].heard


@pytest.mark.parametrize("wrong", [b":70010003F\n", b":7\n", b":\n", b":7001000C8007\n"])
def test_a_spoilt_frame_inside_a_block_is_stripped_and_not_heard(wrong: bytes) -> None:
    found, decoder = feed(CAPTURED[:40] + wrong + CAPTURED[40:])
    assert [one["V"] for one in found] == ["12065"]
    assert (decoder.hex_frames, len(decoder.heard)) == (1, 0)


def test_a_frame_without_an_end_is_noise() -> None:
    decoder = Decoder(max_block_bytes=256)
    decoder.feed(b":" + b"A" * 1000)
    assert decoder._hex is None
    assert [one["V"] for one in decoder.feed(CAPTURED * 2)] == ["12065"] * 2


def test_frames_that_nobody_takes_are_forgotten() -> None:
    _, decoder = feed(b"".join(encode_hex(HexFrame(10, bytes((k,)))) for k in range(100)))
    assert [frame.payload[0] for frame in decoder.heard] == list(range(92, 100))


@fuzz
@given(st.lists(st.one_of(st.binary(max_size=40), st.text("0123456789ABCDEF:\r\n", max_size=40).map(str.encode))))
def test_no_bytes_raise_and_what_is_heard_sums_up(parts: list[bytes]) -> None:
    _, decoder = feed(*parts)
    for frame in decoder.heard:
        assert encode_hex(frame).strip(b"\n") in b"".join(parts).replace(b"\r", b"")
        assert 0 <= frame.command <= 15


@fuzz
@given(st.binary(max_size=60))
def test_any_digits_are_a_frame_or_none(digits: bytes) -> None:
    frame = decode_hex(digits)
    assert frame is None or encode_hex(frame) == b":" + digits.rstrip(b"\r") + b"\n"


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


class Answering(Script):
    """A port that answers each question by these bytes, in turn; behind the last comes the text, if there is any."""

    def __init__(self, *answers: bytes, text: bytes = b"") -> None:
        super().__init__()
        self.answers, self.asked, self.text = list(answers), b"", text

    async def read(self) -> bytes:
        while not self.chunks:  # noqa: ASYNC110 time is manual: a sleep costs nothing
            await asyncio.sleep(0.1)
        return await super().read()

    async def write(self, data: bytes) -> None:
        self.asked += data
        if self.answers:
            self.chunks.append(self.answers.pop(0))
            self.chunks += [self.text] if self.text and not self.answers else []


PONG, PRODUCT = b":51641F9\n", encode_hex(HexFrame(1, b"\x03\x02"))


def set_up(*answers: bytes) -> bytes:
    """What is asked."""
    port = Answering(*answers, text=CAPTURED)
    run_manual(asyncio.wait_for(Driver(port, Settings(hex=True)).setup(), 5.0))
    return port.asked


def test_a_monitor_is_asked_three_things() -> None:
    assert set_up(PONG, PRODUCT, HEX) == b":154\n:451\n:70010003E\n"


def test_it_is_set_up_when_its_text_is_back_and_is_not_asked_again() -> None:
    async def story() -> bytes:
        port = Answering(PONG, PRODUCT, HEX)
        driver = Driver(port, Settings(hex=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(driver.setup(), 5.0)
        asked = port.asked
        await driver.setup()
        assert port.asked == asked, "which would stop its text anew"
        port.chunks.append(CAPTURED)
        await driver.read()
        return asked

    assert run_manual(story()) == b":154\n:451\n:70010003E\n"


def test_text_and_what_it_says_by_itself_are_no_answers() -> None:
    by_itself = encode_hex(HexFrame(10, b"\x00\x10\x00\xc8\x00"))
    assert set_up(CAPTURED[:20] + PONG + CAPTURED[20:], by_itself + PRODUCT, CAPTURED + by_itself + HEX)


def test_a_spoilt_answer_is_asked_for_once_more() -> None:
    assert set_up(b":51641F8\n", PONG, PRODUCT, HEX) == b":154\n:154\n:451\n:70010003E\n"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((), "no answer when asked for its ping: is the wire to the monitor's RX connected?"),
        ((PONG,), "no answer when asked for its product id"),
        ((PONG, PRODUCT, encode_hex(HexFrame(7, b"\x00\x10\x01"))), "answers :70010013D when asked for its capacity"),
        ((PONG, PRODUCT, encode_hex(HexFrame(7, b"\x01\x10\x00\x01"))), "when asked for its capacity"),
        ((PONG, encode_hex(HexFrame(3, b"\x04"))), "answers :3044E when asked for its product id"),
        ((b":4AAAAFD\n",), "answers :4AAAAFD when asked for its ping"),
    ],
    ids=["deaf", "deaf later", "a flag", "another register", "unknown", "an error"],
)
def test_a_monitor_that_does_not_answer_rightly_is_refused_in_words(answers: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(BusFault, match=re.escape(why)) as refused:
        set_up(*answers)
    assert refused.value.kind == "refused"


def test_what_it_said_before_it_was_asked_is_no_answer() -> None:
    driver = Driver(Answering(), Settings(hex=True))
    driver.decoder.feed(PONG)
    with pytest.raises(BusFault, match="asked for its ping"):
        run_manual(driver.setup())


def test_nothing_is_asked_unless_it_is_wanted() -> None:
    run_manual(Driver(Script(), Settings()).setup())


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
