"""The ADES1830's bytes against published vectors, and against whatever may come."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import ades1830_codec as codec
from bms_daemon.drivers import isospi_codec as isospi

# group, counter and code, as foxBMS' tests have them
GROUPS = (
    ("123456789ABC", 0, 0x1CC), ("123456789ABC", 0xDE >> 2, 0x053), ("FFFFFFFFFFFF", 0, 0x196),
    ("FFFFFFFFFFFF", 0x3F, 0x0FE), ("BEEFBEEFBEEF", 0x35 >> 2, 0x1B7),
)  # fmt: skip


def group_of(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), dtype=np.uint8)[None]


@pytest.mark.parametrize(("text", "counter", "code"), GROUPS)
def test_a_group_carries_its_code(text: str, counter: int, code: int) -> None:
    assert codec.pec10(group_of(text), np.array([counter])).tolist() == [code]
    framing = codec.Counted()
    framing.heard([codec.CLRCELL] * counter)
    slot = bytes.fromhex(text) + (counter << 10 | code).to_bytes(2, "big")
    (found,) = isospi.answers([bytes(4) + slot], 1, framing)
    assert found.good.all() and found.data.tobytes() == slot[:6]


def test_a_write_is_coded_as_if_nothing_had_been_counted() -> None:
    framing = codec.Counted()
    framing.heard([codec.CLRCELL] * 7)
    frame = isospi.write(codec.WRCFGB, group_of("123456789ABC"), framing)
    assert frame == bytes.fromhex("0024B19E 123456789ABC 01CC")


def test_commands_count_up_to_63_and_then_from_1() -> None:
    framing = codec.Counted()
    framing.heard([0x0711] * 63)
    assert framing.counter == 63
    framing.heard([0x0360])
    assert framing.counter == 1
    framing.heard([0x0711, 0x002E])
    assert framing.counter == 0
    framing.heard([0x002E, 0x0711, 0x0360])
    assert framing.counter == 2


@pytest.mark.parametrize("off", [-1, 1])
def test_a_device_that_has_counted_otherwise_is_not_good(off: int) -> None:
    framing = codec.Counted()
    framing.heard([codec.CLRCELL] * 5)
    group = group_of("123456789ABC")
    slot = group.tobytes() + (5 << 10 | int(codec.pec10(group, np.array([5]))[0])).to_bytes(2, "big")
    other = group.tobytes() + ((5 + off) << 10 | int(codec.pec10(group, np.array([5 + off]))[0])).to_bytes(2, "big")
    (found,) = isospi.answers([bytes(4) + slot + other], 2, framing)
    assert found.good.tolist() == [True, False]


def test_a_line_that_nobody_drives_is_neither_ones_nor_zeros_with_a_code() -> None:
    framing = codec.Counted()
    for counter in range(64):
        framing.counter = counter
        for line in (b"\xff", b"\0"):
            (found,) = isospi.answers([line * 12], 1, framing)
            assert not found.good.any()


def test_volts_are_150_uv_a_count_from_1_5_v_and_nothing_where_there_was_no_conversion() -> None:
    words = np.array([0, 10000, -10000, -0x8000, 0x7FFF], dtype=np.int16)
    assert codec.volts(words) == pytest.approx([1.5, 3.0, 0.0, np.nan, np.nan], nan_ok=True)
    assert codec.die_degc(np.array([2.235])) == pytest.approx([25.0])


@pytest.mark.parametrize(
    ("under_v", "over_v", "codes"),
    [(1.5, 3.9, (0, 1000)), (1.5001, 3.8999, (1, 999)), (2.7, 4.2, (500, 1125)), (1.2, 4.2, (-125, 1125))],
)
def test_limits_are_rounded_to_the_stricter_side(under_v: float, over_v: float, codes: tuple[int, int]) -> None:
    found = codec.limit_codes(under_v, over_v)
    assert found == codes
    chip_under_v, chip_over_v = codec.limits_v(*found)
    assert chip_under_v >= under_v - 1e-9
    assert chip_over_v <= over_v + 1e-9


@pytest.mark.parametrize(("under_v", "over_v"), [(-4.0, 4.2), (2.8, 6.5)])
def test_limits_beyond_the_chip_are_refused(under_v: float, over_v: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        codec.limit_codes(under_v, over_v)


LAYOUT = codec.Layout(0x1F4, 0x465)


@pytest.mark.parametrize(
    ("on", "second"),
    [((), "f45146000000"), ((1, 8), "f45146008100"), ((9, 16), "f45146000081"), (range(1, 17), "f4514600ffff")],
)
def test_the_configuration_keeps_the_reference_on_and_discharges_what_it_is_told(
    on: tuple[int, ...], second: str
) -> None:
    discharge = np.isin(np.arange(1, 17), on)[None]
    found = LAYOUT.build(discharge)
    assert found.tobytes() == bytes.fromhex("820000ff0300" + second)
    assert (LAYOUT.discharging(found) == discharge).all()


def test_limits_below_1_5_v_are_negative_in_12_bits() -> None:
    assert codec.Layout(-125, 1125).build(np.zeros((1, 16), dtype=bool))[0, 6:9].tobytes() == bytes.fromhex("835f46")


@pytest.mark.parametrize(
    ("held", "same"),
    [("820000ff0300 f45146000000", True), ("820000000000 f45146000000", True), ("020000ff0300 f45146000000", False),
     ("820000ff0310 f45146000000", False), ("820000ff0300 f45146000100", False), ("820000ff0300 f35146000000", False),
     ("010000ff0300 00f87f000000", False)],
)  # fmt: skip
def test_a_configuration_is_compared_without_the_pins_that_it_reads(held: str, same: bool) -> None:
    assert LAYOUT.same(group_of(held), LAYOUT.build(np.zeros((1, 16), dtype=bool))).tolist() == [same]


def test_limits_flags_are_two_bits_a_cell() -> None:
    under, over = codec.under_over(group_of("018000400040"))
    assert (np.flatnonzero(under[0]).tolist(), np.flatnonzero(over[0]).tolist()) == ([0, 15], [7])


@pytest.mark.parametrize(
    ("byte", "bit", "name"),
    [(4, 7, "VA_OV"), (4, 4, "VD_UV"), (4, 0, "SMED"), (5, 7, "VDEL"), (5, 3, "SLEEP"), (5, 2, "THSD")],
)
def test_flags_have_the_names_and_places_of_the_tables(byte: int, bit: int, name: str) -> None:
    group = np.zeros((1, 6), dtype=np.uint8)
    group[0, byte] = 1 << bit
    assert [codec.FLAGS[place] for place in np.flatnonzero(codec.flags(group)[0])] == [name]


@fuzz
@given(raw=st.binary(max_size=80), devices=st.integers(1, 8), counter=st.integers(0, 63))
def test_no_answer_raises_and_only_one_with_its_code_and_count_is_good(raw: bytes, devices: int, counter: int) -> None:
    framing = codec.Counted()
    framing.counter = counter
    (found,) = isospi.answers([raw], devices, framing)
    for device in range(devices):
        slot = raw[4 + 8 * device : 12 + 8 * device].ljust(8, b"\xff")
        assert found.good[device] == (int.from_bytes(slot[6:], "big") == counter << 10 | bitwise(slot[:6], counter))
    codec.flags(found.data)
    codec.under_over(found.data)
    codec.volts(found.words.view("<i2"))
    LAYOUT.discharging(isospi.data_of([found, found]))


def bitwise(data: bytes, counter: int) -> int:
    """x10+x7+x3+x2+x+1 over the bits of the data and six of the counter, starting with 0x010."""
    register = 0x010
    for bit in f"{int.from_bytes(data, 'big'):048b}{counter:06b}":
        register = (register << 1 ^ (0x08F if register >> 9 ^ int(bit) else 0)) & 0x3FF
    return register
