"""The bq76952 emulator on the wire: CRC, pointer, subcommand timing. Vectors: TI's application note, by value."""

from __future__ import annotations

import pytest
from bq76952_bench import Bench, crc8
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.sim.bq76952 import Bq76952


@pytest.mark.parametrize(
    ("data", "code"),
    [("103e22", 0x63), ("00", 0x00), ("10141168", 0x33), ("0b", 0x31), ("101411c5", 0x79)],
)
def test_the_benchs_own_crc_holds_the_published_vectors(data: str, code: int) -> None:
    assert crc8(bytes.fromhex(data)) == code


@pytest.mark.parametrize(("cell_v", "wire"), [(2.920, "68330b31"), (3.013, "c5790b31")])
def test_a_cell_reads_as_the_published_frame(cell_v: float, wire: str) -> None:
    bench = Bench()
    bench.pins.cell_v[0] = cell_v
    bench.wait(0.1)
    assert bench.chip.i2c_write(b"\x14")
    assert bench.chip.i2c_read(4) == bytes.fromhex(wire)


def test_the_published_write_frame_toggles_fet_enable() -> None:
    bench = Bench()
    assert bench.chip.i2c_write(bytes.fromhex("3e22630000"))
    bench.wait(0.01)
    assert bench.ask(0x0057)[0] & 0x10


@pytest.mark.parametrize("frame", ["3e22620000", "3e22630001", "3e22630100", "3e22ff0000"])
def test_a_write_with_a_bad_crc_is_neither_acknowledged_nor_executed(frame: str) -> None:
    bench = Bench()
    assert not bench.chip.i2c_write(bytes.fromhex(frame))
    bench.wait(0.01)
    assert not bench.ask(0x0057)[0] & 0x10


def test_a_chip_without_crc_speaks_plain_bytes() -> None:
    bench = Bench()
    bench.pins.cell_v[0] = 2.920
    bench.chip = Bq76952(bench.pins, crc=False, noise_v=0.0)
    bench.wait(0.1)
    assert bench.chip.i2c_write(b"\x3e\x22\x00")
    bench.wait(0.01)
    assert bench.chip.i2c_write(b"\x3e")
    assert bench.chip.i2c_read(2) == b"\x22\x00"
    assert bench.chip.i2c_write(b"\x14")
    assert bench.chip.i2c_read(2) == b"\x68\x0b"


def test_a_data_byte_without_its_crc_is_not_executed() -> None:
    bench = Bench()
    bench.chip.i2c_write(bytes.fromhex("3e226300"))
    bench.wait(0.01)
    assert not bench.ask(0x0057)[0] & 0x10


def test_reads_go_on_where_the_last_one_ended() -> None:
    bench = Bench()
    bench.pins.cell_v[:] = [3.0 + 0.01 * k for k in range(16)]
    bench.wait(0.1)
    whole = bench.read(0x14, 4)
    assert bench.read(0x14, 2) == whole[:2]
    wire = bench.chip.i2c_read(4)
    assert wire == bytes([whole[2], crc8(bytes([0x11, whole[2]])), whole[3], crc8(whole[3:])])


@pytest.mark.parametrize("cell", range(1, 17))
def test_every_cell_has_its_register(cell: int) -> None:
    bench = Bench()
    bench.pins.cell_v[cell - 1] = 4.321
    bench.wait(0.1)
    assert bench.i16(0x14 + 2 * (cell - 1)) == 4321
    assert sorted(bench.cells()) == [3300] * 15 + [4321]


def test_stack_pack_and_ld_read_in_ten_millivolts() -> None:
    bench = Bench()
    bench.wait(0.1)
    assert (bench.i16(0x34), bench.i16(0x36), bench.i16(0x38)) == (5280, 5270, 1200)


def test_device_number_says_7695() -> None:
    assert Bench().ask(0x0001) == b"\x95\x76"


@pytest.mark.parametrize(("subcommand", "not_yet_s", "done_s"), [(0x0001, 0.0001, 0.002), (0x0004, 0.008, 0.0086)])
def test_a_subcommand_echoes_only_when_it_is_done(subcommand: int, not_yet_s: float, done_s: float) -> None:
    bench = Bench()
    bench.write(0x3E, subcommand.to_bytes(2, "little"))
    bench.wait(not_yet_s)
    assert bench.read(0x3E, 4) == b"\xff\xff\xff\xff"
    bench.wait(done_s - not_yet_s)
    assert bench.u16(0x3E) == subcommand


def test_a_subcommand_in_two_transfers_does_nothing() -> None:
    bench = Bench()
    bench.write(0x3E, b"\x22")
    bench.write(0x3F, b"\x00")
    bench.wait(0.01)
    assert not bench.ask(0x0057)[0] & 0x10


def test_unknown_subcommands_answer_nothing_and_unknown_registers_read_zero() -> None:
    bench = Bench()
    bench.wait(0.1)
    assert bench.ask(0x00EE) == b""
    assert bench.read(0x80, 8) == bytes(8)


@pytest.mark.parametrize("silence", ["mute", "down"])
def test_a_silent_chip_acknowledges_nothing(silence: str) -> None:
    bench = Bench()
    if silence == "mute":
        bench.chip.faults.mute = True
    else:
        bench.chip.power_down()
    assert not bench.chip.i2c_write(b"\x14")
    assert bench.chip.i2c_read(4) is None


def test_after_a_reset_the_chip_is_silent_for_its_start_up_time() -> None:
    bench = Bench()
    bench.command(0x0012, wait_s=0.001)
    assert not bench.chip.i2c_write(b"\x12")
    bench.wait(0.005)
    assert bench.u16(0x12) & 0x08


@given(frames=st.lists(st.tuples(st.binary(max_size=48), st.integers(0, 200)), max_size=8), crc=st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_bytes_break_the_chip(frames: list[tuple[bytes, int]], crc: bool) -> None:
    bench = Bench()
    bench.chip = Bq76952(bench.pins, crc=crc)
    for data, count in frames:
        bench.chip.i2c_write(data)
        answer = bench.chip.i2c_read(count)
        assert answer is None or len(answer) == count
        bench.wait(0.01)


@given(subcommand=st.integers(0, 0x9400), data=st.binary(min_size=1, max_size=32))
@settings(max_examples=150, deadline=None)
def test_no_data_write_breaks_the_chip(subcommand: int, data: bytes) -> None:
    bench = Bench()
    bench.command(0x0090)
    bench.send(subcommand, data)
    bench.command(0x0092)
    bench.wait(0.3)
    assert bench.chip.next_event_s > 0.0
