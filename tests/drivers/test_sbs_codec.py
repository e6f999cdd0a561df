"""Smart battery words against published codes, and against whatever may come."""

from __future__ import annotations

import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import sbs_codec as codec
from bms_daemon.drivers.bq76952_codec import crc8
from bms_daemon.drivers.sbs import Settings
from bms_daemon.model import BusFault, Trip


@pytest.mark.parametrize(("covered", "code"), [("B407B5D23A", 0x30), ("B42207C8", 0x48), ("16001000", 0x44)])
def test_the_code_is_smbus_own(covered: str, code: int) -> None:
    assert crc8(bytes.fromhex(covered)) == code


def test_a_word_with_its_code() -> None:
    assert codec.word_of(0x0B, 0x09, bytes.fromhex("E02EE2"), pec=True) == 12000
    with pytest.raises(BusFault, match="crc"):
        codec.word_of(0x0B, 0x09, bytes.fromhex("E02EE3"), pec=True)
    with pytest.raises(BusFault, match="3 were asked for"):
        codec.word_of(0x0B, 0x09, bytes.fromhex("E02E"), pec=True)
    assert codec.word_of(0x0B, 0x09, bytes.fromhex("E02E"), pec=False) == 12000


@pytest.mark.parametrize(("word", "value"), [(0xFFFF, -1), (0x7FFF, 32767), (0x8000, -32768), (12, 12)])
def test_currents_are_signed(word: int, value: int) -> None:
    assert codec.signed(word) == value


@pytest.mark.parametrize(
    ("word", "volts", "amps", "pec"),
    [(0x0031, 1.0, 1.0, True), (0x0021, 1.0, 1.0, False), (0x1131, 10.0, 10.0, True), (0x2010, 1.0, 100.0, False)],
)
def test_the_specification_says_scale_and_codes(word: int, volts: float, amps: float, pec: bool) -> None:
    assert codec.scale_of(word) == codec.Scale(volts, amps, pec)


@pytest.mark.parametrize("word", [0x0000, 0xFFFF, 0x0041, 0x0431])
def test_what_no_battery_says_is_refused(word: int) -> None:
    with pytest.raises(BusFault, match="no smart battery"):
        codec.scale_of(word)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (0x0080, codec.Status(Trip.NONE, True, False, False, "")),
        (0x0041, codec.Status(Trip.NONE, False, False, False, "busy")),
        (0x4080, codec.Status(Trip.NONE, True, True, False, "")),
        (0x0880, codec.Status(Trip.NONE, True, False, True, "")),
        (0x9080, codec.Status(Trip.OVER_VOLTAGE | Trip.OVER_TEMPERATURE, True, False, False, "")),
        (0x008F, codec.Status(Trip.NONE, True, False, False, "unknown")),
    ],
)
def test_status_bits(word: int, status: codec.Status) -> None:
    assert codec.decode_status(word) == status


def test_more_cells_than_it_can_tell_are_refused_unless_they_are_shared() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        Settings().fit(7)
    Settings(cells="shared").fit(7)


@fuzz
@given(raw=st.binary(max_size=5), command=st.integers(0, 255), pec=st.booleans())
def test_no_answer_passes_but_one_with_its_code(raw: bytes, command: int, pec: bool) -> None:
    try:
        word = codec.word_of(0x0B, command, raw, pec)
    except BusFault:
        return
    assert raw[:2] == word.to_bytes(2, "little")
    assert len(raw) == 2 + pec
    codec.decode_status(word)
