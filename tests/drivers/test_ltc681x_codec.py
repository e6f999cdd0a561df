"""The LTC681x family's bytes against published vectors, and against whatever may come."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import isospi_codec as isospi
from bms_daemon.drivers import ltc681x_codec as codec
from bms_daemon.drivers.ltc681x_parts import PARTS

# command and its code, as foxBMS' tables have them
COMMANDS = (
    "0001 3D6E", "0002 2B0A", "0024 B19E", "0004 07C2", "0360 F46C", "0560 D3A0", "0723 B9E4", "1234 1DD4", "BEEF FD2C",
    "0006 9A94", "0008 5E52", "000A C304", "0009 D560", "000B 4836", "000C EFCC", "000E 729A", "000D 64FE", "000F F9A8",
    "0721 24B2", "0722 32D6", "0028 E80E", "0029 633C", "0370 AF42", "02E0 3806", "03E0 B04A", "04E0 1FCA", "0026 2CC8",
    "0010 ED72", "0012 7024", "0711 C9C0", "0712 DFA4", "0713 5496", "0714 F36C", "0715 785E", "0568 3BAE", "0368 1C62",
    "0328 FBE8",
)  # fmt: skip
GROUPS = (
    "123456789ABC BC24", "FFFFFFFFFFFF 664C", "A0B0C0D0E0F0 792C", "012E9B33AC55 D522", "FC0000000000 4F82",
    "000000000000 C212",
)  # fmt: skip


@pytest.mark.parametrize("vector", COMMANDS)
def test_a_command_carries_its_code(vector: str) -> None:
    code, pec = vector.split()
    assert isospi.command(int(code, 16)) == bytes.fromhex(code + pec)


@pytest.mark.parametrize("vector", GROUPS)
def test_a_group_carries_its_code(vector: str) -> None:
    data, pec = (bytes.fromhex(each) for each in vector.split())
    assert isospi.pec15(data).to_bytes(2, "big") == pec
    group = np.frombuffer(data, dtype=np.uint8)[None]
    assert codec.group_codes(group).tolist() == [int.from_bytes(pec, "big")]
    assert isospi.write(0x0001, group, codec.Framing()) == bytes.fromhex("00013D6E") + data + pec
    (found,) = isospi.answers([bytes(4) + data + pec], 1, codec.Framing())
    assert found.good.all() and found.data.tobytes() == data


def test_the_farthest_device_is_written_first_and_the_nearest_read_first() -> None:
    near, far = bytes.fromhex("FC0000000000"), bytes.fromhex("123456789ABC")
    frame = isospi.write(0x0001, np.frombuffer(near + far, dtype=np.uint8).reshape(2, 6), codec.Framing())
    assert frame[4:10] == far and frame[12:18] == near
    raw = bytes(4) + near + bytes.fromhex("4F82") + far + bytes.fromhex("BC24")
    (found,) = isospi.answers([raw], 2, codec.Framing())
    assert [slot.tobytes() for slot in found.data] == [near, far]


@pytest.mark.parametrize(
    ("under_v", "over_v", "codes"),
    [(2.8, 4.2, (0x6D5, 0xA41)), (2.8001, 4.1999, (0x6D6, 0xA40))],
)
def test_limits_are_those_of_the_data_sheet_and_rounded_to_the_stricter_side(
    under_v: float, over_v: float, codes: tuple[int, int]
) -> None:
    found = codec.limit_codes(under_v, over_v)
    assert found == codes
    chip_under_v, chip_over_v = codec.limits_v(*found)
    assert chip_under_v >= under_v - 1e-9
    assert chip_over_v <= over_v + 1e-9


@pytest.mark.parametrize(("under_v", "over_v"), [(-0.1, 4.2), (0.0, 4.2), (2.8, 6.6)])
def test_limits_beyond_the_chip_are_refused(under_v: float, over_v: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        codec.limit_codes(under_v, over_v)


def layout_of(cells: int) -> codec.Layout:
    (part,) = {part for part in PARTS.values() if part.cells == cells}
    return codec.Layout(part, 0x6D5, 0xA41)


@pytest.mark.parametrize(
    ("cells", "on", "groups"),
    [
        (12, (), "fcd516a40000"), (12, (1, 8), "fcd516a48100"), (12, (9, 12), "fcd516a40009"),
        (18, (), "fcd516a40000 0f0000000000"), (18, (1, 13), "fcd516a40100 1f0000000000"),
        (18, (16, 17), "fcd516a40000 8f0100000000"), (18, (12, 18), "fcd516a40008 0f0200000000"),
        (15, (15,), "fcd516a40000 4f0000000000"),
    ],
)  # fmt: skip
def test_the_configuration_keeps_the_reference_on_and_discharges_what_it_is_told(
    cells: int, on: tuple[int, ...], groups: str
) -> None:
    discharge = np.isin(np.arange(1, cells + 1), on)[None]
    layout = layout_of(cells)
    found = layout.build(discharge)
    assert found.tobytes() == bytes.fromhex(groups)
    assert (layout.discharging(found) == discharge).all()


@pytest.mark.parametrize(
    ("held", "same"),
    [("fcd516a40000", True), ("04d516a40000", True), ("fed516a40000", True), ("f8d516a40000", False),
     ("fcd516a40100", False), ("fcd416a40000", False), ("fcd516a40010", False),
     ("fcd516a40000 0f0000000000", True), ("fcd516a40000 000000000000", True), ("fcd516a40000 0f0000000001", True),
     ("fcd516a40000 1f0000000000", False), ("fcd516a40000 0f0200000000", False), ("f8d516a40000 0f0000000000", False)],
)  # fmt: skip
def test_a_configuration_is_compared_without_the_pins_that_it_reads(held: str, same: bool) -> None:
    data = np.frombuffer(bytes.fromhex(held), dtype=np.uint8)[None]
    layout = layout_of(12 if data.size == 6 else 18)
    wanted = layout.build(np.zeros((1, layout.part.cells), dtype=bool))
    assert layout.same(data, wanted).tolist() == [same]


def test_status_flags_are_two_bits_a_cell() -> None:
    data = np.array([[0x10, 0x75, 0x01, 0x80, 0x20, 0x12]], dtype=np.uint8)  # C1UV; C8OV; C11OV
    found = codec.decode_status(12, data)
    assert found.digital_v[0] == pytest.approx(2.9968)
    assert np.flatnonzero(found.under[0]).tolist() == [0]
    assert np.flatnonzero(found.over[0]).tolist() == [7, 10]
    assert (found.mux_fail[0], found.hot[0]) == (True, False)


def test_flags_of_the_cells_from_13_stand_behind_the_pins() -> None:
    """AUXD: GPIO9, a reserved word, then C13UV, C13OV and so on."""
    statb = np.array([[0x10, 0x75, 0x01, 0x00, 0x00, 0x10]], dtype=np.uint8)
    auxd = np.array([[0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0x04]], dtype=np.uint8)  # C13UV; C16OV; C18UV
    found = codec.decode_status(18, statb, auxd)
    assert np.flatnonzero(found.under[0]).tolist() == [0, 12, 17]
    assert np.flatnonzero(found.over[0]).tolist() == [15]
    assert codec.decode_status(15, statb, auxd).under.shape == (1, 15)


@fuzz
@given(raw=st.binary(max_size=80), devices=st.integers(1, 8))
def test_no_answer_raises_and_only_one_with_its_code_is_good(raw: bytes, devices: int) -> None:
    (found,) = isospi.answers([raw], devices, codec.Framing())
    assert found.data.shape == (devices, 6)
    for device in range(devices):
        slot = raw[4 + 8 * device : 12 + 8 * device].ljust(8, b"\xff")
        assert found.good[device] == (bitwise(slot[:6]) == int.from_bytes(slot[6:], "big"))
        assert found.silent[device] == (slot == b"\xff" * 8)
    codec.decode_status(18, found.data, found.data)
    layout_of(18).discharging(isospi.data_of([found, found]))


def bitwise(data: bytes) -> int:
    """x15+x14+x10+x8+x7+x4+x3+1 over the bits, starting with 0x0010, and a 0 behind."""
    register = 0x0010
    for byte in data:
        for bit in range(7, -1, -1):
            register = (register << 1 ^ (0x4599 if (register >> 14 ^ byte >> bit) & 1 else 0)) & 0x7FFF
    return register << 1
