"""The bq76952 emulator's data memory: transactions, defaults, CONFIG_UPDATE."""

from __future__ import annotations

import pytest
from bq76952_bench import Bench


@pytest.mark.parametrize(
    ("head", "data", "seal"),
    [("8091", "7a30", "4406"), ("6192", "8c", "8005"), ("7592", "37", "c105")],
)
def test_published_writes_take_effect(head: str, data: str, seal: str) -> None:
    bench = Bench()
    bench.command(0x0090)
    bench.write(0x3E, bytes.fromhex(head))
    bench.wait(0.002)
    bench.write(0x40, bytes.fromhex(data))
    bench.write(0x60, bytes.fromhex(seal))
    bench.wait(0.001)
    address = int.from_bytes(bytes.fromhex(head), "little")
    assert bench.ask(address).startswith(bytes.fromhex(data))


@pytest.mark.parametrize("seal", ["4506", "4405", "44ff", "4404", "4400"])
def test_a_wrong_checksum_or_length_changes_nothing(seal: str) -> None:
    bench = Bench()
    bench.command(0x0090)
    bench.write(0x3E, bytes.fromhex("80917a30"))
    bench.write(0x60, bytes.fromhex(seal))
    bench.wait(0.001)
    assert bench.ask(0x9180)[:2] == b"\0\0"


def test_checksum_and_length_must_come_together() -> None:
    bench = Bench()
    bench.command(0x0090)
    bench.write(0x3E, bytes.fromhex("80917a30"))
    bench.write(0x60, b"\x44")
    bench.write(0x61, b"\x06")
    bench.wait(0.001)
    assert bench.ask(0x9180)[:2] == b"\0\0"


def test_outside_config_update_nothing_is_written() -> None:
    bench = Bench()
    bench.send(0x9261, b"\x8c")
    assert bench.ask(0x9261)[0] == 0x88


def test_a_subcommand_on_the_heels_of_a_write_is_lost() -> None:
    bench = Bench()
    bench.command(0x0090)
    bench.write(0x3E, bytes.fromhex("61928c"))
    bench.write(0x60, bytes.fromhex("8005"))
    bench.wait(0.00015)
    bench.command(0x9261)
    assert bench.u16(0x3E) == 0xFFFF
    bench.command(0x9261)
    assert bench.u16(0x3E) == 0x9261


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x9234, "8229"),
        (0x9261, "880000"),
        (0x9265, "98"),
        (0x92FD, "07"),
        (0x9303, "05"),
        (0x9308, "0d"),
        (0x9339, "1401"),
        (0x92FE, "00"),
    ],
)
def test_defaults_are_the_published_ones(address: int, value: str) -> None:
    answer = Bench().ask(address)
    assert len(answer) == 32
    assert answer.startswith(bytes.fromhex(value))


def test_config_update_takes_two_milliseconds_in_and_one_out() -> None:
    bench = Bench()
    seen = []
    for subcommand, wait_s in ((0x0090, 0.0015), (0x0092, 0.0008)):
        bench.command(subcommand, wait_s)
        seen.append(bench.u16(0x12) & 1)
        bench.wait(0.001)
        seen.append(bench.u16(0x12) & 1)
    assert seen == [0, 1, 1, 0]


def test_config_update_stops_fets_and_measurements() -> None:
    bench = Bench()
    bench.drive()
    assert bench.allowed == (True, True)
    bench.wait(0.1)
    bench.command(0x0090)
    assert bench.allowed == (False, False)
    bench.pins.cell_v[:] = 3.9
    bench.pins.current_a = 5.0
    bench.wait(0.5)
    assert bench.cells() == [3300] * 16
    assert bench.i16(0x3A) == 0
    bench.command(0x0092)
    bench.wait(0.1)
    assert bench.cells() == [3900] * 16
    assert bench.allowed == (True, True)


def test_por_is_set_by_a_reset_and_cleared_by_leaving_config_update() -> None:
    bench = Bench()
    assert bench.u16(0x12) & 0x18 == 0x08
    bench.configure({0x9261: b"\x8c"})
    assert not bench.u16(0x12) & 0x08
    bench.chip.power_on_reset(watchdog=True)
    bench.wait(0.005)
    assert bench.u16(0x12) & 0x18 == 0x18
    assert bench.ask(0x9261)[0] == 0x88


def test_the_configuration_signature_follows_the_configuration() -> None:
    bench = Bench()
    before = bench.ask(0x0005)
    bench.configure({0x9261: b"\x8c"})
    changed = bench.ask(0x0005)
    bench.configure({0x9261: b"\x88"})
    assert changed != before == bench.ask(0x0005)
