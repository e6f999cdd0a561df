"""What LTC6812, LTC6813 and ADBMS1818 have beyond an LTC6811, by raw bytes."""

from __future__ import annotations

import numpy as np
import pytest
from ltc681x_bench import INIT, Host, command, pec_of

LARGE = ("ltc6812", "ltc6813", "adbms1818")
SECOND = "0f0000000000"


def host_of(part: str, cells: int = 15, probes: int = 9) -> Host:
    host = Host((cells,), (probes,), part=part)
    host.send(command(0x0024) + bytes.fromhex(SECOND) + pec_of(SECOND))
    return host


def convert(host: Host, code: int, lasts_s: float = 0.0024) -> None:
    host.send(command(code))
    host.now_s += lasts_s


@pytest.mark.parametrize("part", LARGE)
def test_the_second_group_of_configuration_is_written_and_read_by_its_own_commands(part: str) -> None:
    host = Host((15,), (0,), part=part)
    assert host.send(bytes.fromhex("00262CC8") + bytes(8))[4:10] == bytes.fromhex(SECOND), "as delivered"
    host.send(bytes.fromhex("0024B19E") + bytes.fromhex("123456789ABC") + bytes.fromhex("BC24"))
    assert host.send(bytes.fromhex("00262CC8") + bytes(8))[4:] == bytes.fromhex("123456789ABCBC24")
    assert host.read(0x0002) == [INIT]


def test_an_ltc6811_knows_none_of_it() -> None:
    host = Host((12,), (2,))
    for code in (0x0026, 0x0009, 0x000B, 0x000D, 0x000F):
        assert host.read(code) == [b"\xff" * 6]
    host.send(command(0x0024) + bytes.fromhex("123456789ABC") + bytes.fromhex("BC24"))
    assert host.read(0x0002) == [INIT]


@pytest.mark.parametrize(("part", "last", "beyond"), [("ltc6812", 0x0009, 0x000B), ("ltc6813", 0x000B, None),
                                                      ("adbms1818", 0x000B, None)])  # fmt: skip
def test_cells_from_13_are_in_groups_e_and_f(part: str, last: int, beyond: int | None) -> None:
    host = host_of(part, cells=18 if beyond is None else 15)
    convert(host, 0x0360)
    assert host.words(0x0009)[0] * 100e-6 == pytest.approx([3.12, 3.13, 3.14], abs=0.002)
    highest = 3.17 if beyond is None else 3.14
    assert host.words(last)[0, 2] * 100e-6 == pytest.approx(highest, abs=0.002)
    if beyond is not None:
        assert host.read(beyond) == [b"\xff" * 6]


@pytest.mark.parametrize("part", LARGE)
def test_pins_from_6_are_in_groups_c_and_d_and_take_longer(part: str) -> None:
    host = host_of(part)
    convert(host, 0x0560, 0.0030)
    assert (host.words(0x000D) == 0xFFFF).all()
    host.now_s += 0.0012
    assert host.words(0x000E)[0, 2] * 100e-6 == pytest.approx(3.0), "the reference stays between GPIO5 and GPIO6"
    cold, middle, warm = (host.words(code)[0, at] for code, at in ((0x000D, 0), (0x000D, 1), (0x000D, 2)))
    assert cold > middle * 1.5 > warm * 1.5 > 0, "GPIO6 at -10, GPIO7 at 25, GPIO8 at 40 degC"
    assert host.words(0x000F)[0, 0] == cold, "GPIO9"


@pytest.mark.parametrize("part", LARGE)
def test_the_pins_from_6_need_their_own_pull_downs_off(part: str) -> None:
    host = host_of(part)
    host.send(command(0x0024) + bytes.fromhex("0d0000000000") + pec_of("0d0000000000"))
    convert(host, 0x0560, 0.0042)
    assert (host.words(0x000D)[0] == 0).tolist() == [False, True, False]


@pytest.mark.parametrize("part", LARGE)
def test_a_count_of_the_sum_is_30_of_a_cell_and_the_die_has_its_own_scale(part: str) -> None:
    host = host_of(part)
    convert(host, 0x0568)
    total, die, _ = host.words(0x0010)[0].tolist()
    assert total * 30 * 100e-6 == pytest.approx(sum(3.0 + 0.01 * k for k in range(15)), abs=0.01)
    assert die * 100e-6 / 7.6e-3 - 276.0 == pytest.approx(30.0, abs=0.1)


def test_flags_of_the_cells_from_13_stand_behind_gpio9() -> None:
    host = host_of("ltc6813", cells=18, probes=0)
    limits = "fc2d67ff0000"  # VUV 0x72D is 2.9408 V, so that only unconverted cells would be under; VOV 0xFF6
    host.send(command(0x0001) + bytes.fromhex(limits) + pec_of(limits))
    host.chain.faults.raw_cells = {12: 20000, 15: 65500, 17: 20000}
    convert(host, 0x0360)
    convert(host, 0x0568)
    assert host.read(0x0012)[0][2:5] == bytes(3)
    assert host.read(0x000F)[0][4:] == bytes.fromhex("8104"), "C13 under, C16 over, C18 under"


@pytest.mark.parametrize(
    ("first", "second", "cells"),
    [(INIT.hex(), "1f0000000000", [12]), (INIT.hex(), "8f0300000000", [15, 16, 17]),
     ("fc0000000108", SECOND, [0, 11]), (INIT.hex(), "0ffc00000000", [])],
)  # fmt: skip
def test_switches_of_the_cells_from_13_are_in_the_second_group(first: str, second: str, cells: list[int]) -> None:
    host = host_of("ltc6813", cells=18)
    for code, group in ((0x0001, first), (0x0024, second)):
        host.send(command(code) + bytes.fromhex(group) + pec_of(group))
    assert np.flatnonzero(host.chain.balancing_mask).tolist() == cells
    host.now_s += 2.5
    host.chain.advance(host.now_s)
    assert not host.chain.balancing_mask.any(), "the watchdog ends it"
    host.send(b"\0", low_s=0.0003)
    host.now_s += 0.0004
    assert host.read(0x0026) == [bytes.fromhex(SECOND)]


def test_self_tests_reach_every_cell_and_pin() -> None:
    host = host_of("ltc6813", cells=18)
    for code, reads in (("0327", (0x0004, 0x0009, 0x000B)), ("0527", (0x000C, 0x000D))):
        host.send(bytes.fromhex(code) + pec_of(code))
        host.now_s += 0.0042
        assert all((host.words(read) == 0x9555).all() for read in reads)
    assert host.words(0x000F)[0, 0] == 0x9555
