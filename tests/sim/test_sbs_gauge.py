"""When the smart battery's emulator measures, what its own protection does, and what can be wrong with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sbs_bench import Bench

from bms_daemon.sim.sbs import Faults

INITIALIZED = 0x80


# ---------------------------------------------------------------------- when it measures
def test_voltages_are_measured_once_a_second_and_currents_four_times() -> None:
    bench = Bench(cell_v=3.7)
    bench.pins.stack_v, bench.pins.current_a, bench.pins.probe_degc = 15.2, 2.0, np.array([30.0, 31.0])
    bench.wait(0.24)
    assert bench.i16(0x0A) == pytest.approx(-1000, abs=8)
    bench.wait(0.02)
    assert bench.i16(0x0A) == pytest.approx(2000, abs=8)
    bench.wait(0.73)
    assert (bench.u16(0x09), bench.u16(0x08)) == (14800, 2982)
    bench.wait(0.02)
    assert (bench.u16(0x09), bench.u16(0x08)) == (15200, pytest.approx(3042, abs=1))


@pytest.mark.parametrize("renewed_s", [0.1, 0.5, 0.6, 2.0])
def test_voltages_may_be_renewed_at_another_pace(renewed_s: float) -> None:
    bench = Bench(renewed_s=renewed_s)
    bench.wait(3 * renewed_s + 0.01)
    bench.pins.stack_v = 15.0
    bench.wait(renewed_s - 0.02)
    assert bench.u16(0x09) == 14800
    bench.wait(0.02)
    assert bench.u16(0x09) == 15000


def test_the_phase_moves_the_second() -> None:
    bench = Bench(phase_s=0.6)
    assert bench.u16(0x09) == 14800
    bench.pins.stack_v = 15.0
    bench.wait(0.59)
    assert bench.u16(0x09) == 14800
    bench.wait(0.02)
    assert bench.u16(0x09) == 15000


def test_a_jump_is_one_measurement_and_the_grid_stays() -> None:
    bench = Bench()
    bench.now_s += 1e6 + 0.1
    bench.pins.stack_v, bench.pins.current_a = 15.0, 1.0
    bench.battery.advance(bench.now_s)
    assert bench.u16(0x09) == 15000
    assert bench.battery.next_event_s == pytest.approx(100.0 + 1e6 + 0.25, abs=1e-3)
    assert bench.i16(0x0B) == pytest.approx(1000, abs=8)


def test_its_next_event_lies_ahead() -> None:
    bench = Bench(phase_s=0.37)
    for _ in range(40):
        event_s = bench.battery.next_event_s
        assert bench.now_s < event_s <= bench.now_s + 0.2501
        bench.now_s = event_s
        bench.battery.advance(event_s)


@pytest.mark.parametrize(("probes", "reads"), [([], 3132), ([math.nan], 2332), ([math.nan, 25.0], 2982)])
def test_temperature_is_its_hottest_probe_or_its_own(probes: list[float], reads: int) -> None:
    bench = Bench()
    bench.pins.probe_degc = np.array(probes)
    bench.wait(1.0)
    assert bench.u16(0x08) == pytest.approx(reads, abs=1)


def test_the_same_seed_is_the_same_noise() -> None:
    def currents() -> list[int]:
        bench, found = Bench(), []
        for _ in range(40):
            bench.wait(0.25)
            found.append(bench.i16(0x0A))
        return found

    first = currents()
    assert first == currents()
    assert len(set(first)) > 2


def test_after_a_reset_it_has_measured_nothing_and_remembers_its_count() -> None:
    bench = Bench()
    bench.pins.current_a = 5.0
    bench.wait(720.0, 1.0)
    bench.write(0x04, 500)
    bench.write(0x01, 7)
    bench.battery.power_on_reset()
    measured = [*range(0x08, 0x17), 0x3C, 0x3D, 0x3E, 0x3F]
    assert [bench.u16(command) for command in measured] == [0] * len(measured)
    assert (bench.u16(0x01), bench.u16(0x04), bench.u16(0x18)) == (500, 0, 5000)
    bench.wait(0.24)
    assert not bench.u16(0x16) & INITIALIZED
    bench.wait(0.02)
    assert bench.u16(0x16) & INITIALIZED
    assert (bench.u16(0x0D), bench.u16(0x09)) == (80, 14800)
    assert bench.i16(0x0B) == pytest.approx(5000, abs=8)


# ---------------------------------------------------------------------- what it asks for, and its protection
def test_bands_of_cell_voltage() -> None:
    bench = Bench()
    seen = []
    for volts in (4.22, 4.17, 4.30, 4.20, 4.16, 3.7):
        bench.cells(3.7, 3.7, 3.7, volts)
        seen.append((bench.u16(0x16) & 0xD830, bench.u16(0x14), *bench.allowed))
    over, full, none = (0xC020, 0, False, True), (0x4020, 0, True, True), (0, 2500, True, True)
    assert seen == [full, full, over, over, full, none]


def test_bands_of_low_cells() -> None:
    bench = Bench()
    seen = []
    for volts in (2.9, 3.05, 2.4, 2.9, 3.05, 3.2):
        bench.cells(3.7, volts, 3.7, 3.7)
        seen.append((bench.u16(0x16) & 0xD830, *bench.allowed))
    assert seen == [
        (0x0810, True, True), (0x0810, True, True), (0x0810, True, False),
        (0x0810, True, False), (0x0810, True, True), (0, True, True),
    ]  # fmt: skip


def test_bands_of_temperature() -> None:
    bench = Bench()
    seen = []
    for degc in (46.0, 61.0, 57.0, 71.0, 67.0, 57.0, 54.0, -0.5, 0.5, 44.0):
        bench.pins.probe_degc = np.array([-5.0, degc])
        bench.wait(1.0)
        seen.append((bench.u16(0x16) & 0xD830, bench.u16(0x14), *bench.allowed))
    fine, mild = (0, 2500, True, True), (0, 0, True, True)
    hot, worse = (0x5000, 0, False, True), (0x5800, 0, False, False)
    assert seen == [mild, hot, hot, worse, worse, hot, mild, mild, fine, fine]


@pytest.mark.parametrize(
    ("current_a", "bits", "allowed"), [(15.5, 0x4000, (False, True)), (-15.5, 0x0800, (True, False))]
)
def test_over_current_opens_its_fet_until_ten_seconds_of_rest(
    current_a: float, bits: int, allowed: tuple[bool, bool]
) -> None:
    bench = Bench()
    bench.pins.current_a = math.copysign(14.5, current_a)
    bench.wait(1.0)
    assert bench.allowed == (True, True)
    bench.pins.current_a = current_a
    bench.wait(0.26)
    assert (bench.u16(0x16) & 0xD830, bench.allowed) == (bits, allowed)
    bench.pins.current_a = 0.0
    bench.wait(9.7)
    assert bench.allowed == allowed
    bench.wait(0.5)
    assert (bench.u16(0x16) & 0xD830, bench.allowed) == (0, (True, True))


def test_over_current_is_not_over_while_a_fifth_of_the_capacity_flows() -> None:
    bench = Bench()
    bench.pins.current_a = -15.5
    bench.wait(0.26)
    bench.pins.current_a = -1.0
    bench.wait(30.0)
    assert bench.allowed == (True, False)


@pytest.mark.parametrize(("current_a", "reads"), [(40.0, 32767), (-40.0, -32767)])
def test_a_current_beyond_its_word_stays_at_the_end(current_a: float, reads: int) -> None:
    bench = Bench()
    bench.pins.current_a = current_a
    bench.wait(0.26)
    assert bench.i16(0x0A) == reads


def test_it_bleeds_nothing_and_alerts_nobody() -> None:
    bench = Bench()
    assert bench.battery.balancing_mask.tolist() == [False] * 4
    assert bench.battery.balancing_mask.dtype == bool
    assert bench.battery.alert is False


def test_written_twice_the_ship_command_puts_it_to_sleep() -> None:
    bench = Bench()
    assert bench.write(0x00, 0x0010)
    assert bench.write(0x00, 0x0001)
    assert bench.write(0x00, 0x0010)
    assert bench.allowed == (True, True)
    assert bench.write(0x00, 0x0010)
    assert bench.allowed == (False, False)
    assert not bench.battery.i2c_write(b"\x09")
    bench.battery.power_on_reset()
    assert bench.allowed == (True, True)
    assert bench.battery.i2c_write(b"\x09")


# ---------------------------------------------------------------------- faults
@pytest.mark.parametrize("name", ["mute", "wrong_address"])
def test_who_is_not_there_acknowledges_nothing_and_works_on(name: str) -> None:
    bench = Bench()
    bench.battery.i2c_write(b"\x09")
    setattr(bench.battery.faults, name, True)
    assert bench.battery.i2c_read(3) is None
    assert not bench.battery.i2c_write(b"\x09")
    assert not bench.battery.i2c_write(b"")
    bench.pins.stack_v = 15.0
    bench.wait(1.0)
    setattr(bench.battery.faults, name, False)
    assert bench.u16(0x09) == 15000


def test_a_frozen_gauge_answers_and_does_nothing_else() -> None:
    bench = Bench()
    bench.battery.faults.frozen = True
    assert bench.battery.next_event_s == math.inf
    bench.pins.current_a, bench.pins.stack_v = 5.0, 17.2
    bench.cells(4.3, 4.3, 4.3, 4.3)
    bench.wait(720.0, 1.0)
    assert (bench.u16(0x09), bench.u16(0x16), bench.allowed) == (14800, 0x00C0, (True, True))
    bench.battery.faults.frozen = False
    assert bench.battery.next_event_s == bench.now_s
    bench.wait(1.0)
    assert (bench.u16(0x09), bench.u16(0x0D), bench.allowed) == (17200, 60, (False, True))


def test_wrong_codes_are_as_many_as_asked() -> None:
    bench = Bench(cell_v=3.0)
    bench.battery.faults.pec_errors = 2
    found = []
    for size in (3, 2, 3, 3):
        bench.battery.i2c_write(b"\x09")
        found.append(bench.battery.i2c_read(size))
    good, bad = bytes.fromhex("E02EE2"), bytes.fromhex("E02EE3")
    assert found == [bad, good[:2], bad, good]


def test_busy_is_said_as_often_as_asked() -> None:
    bench = Bench()
    bench.battery.faults.busy = 2
    assert [bench.u16(0x16) & 0x0F for _ in range(3)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("name", "value", "command", "reads"),
    [
        ("voltage_offset_v", -0.5, 0x09, 14300),
        ("current_gain", 1.5, 0x0A, 64036),
        ("current_inverted", True, 0x0A, 1000),
        ("soc_offset", 0.25, 0x0D, 85),
        ("soc_offset", -0.7, 0x0F, 0),
        ("cell_offset_v", {1: 0.3}, 0x3E, 4000),
        ("raw", {0x08: -1}, 0x08, 0xFFFF),
        ("raw", {0x16: 0x4880}, 0x16, 0x4880),
        ("alarms", 0x9000, 0x16, 0x90C0),
    ],
)
def test_faults_spoil_the_words_they_name(name: str, value: Any, command: int, reads: int) -> None:
    bench = Bench()
    setattr(bench.battery.faults, name, value)
    bench.wait(1.0)
    assert bench.u16(command) == pytest.approx(reads, abs=8 if command in (0x0A, 0x3E) else 0)
    setattr(bench.battery.faults, name, getattr(Faults(), name))
    bench.wait(1.0)
    assert bench.u16(command) != reads


def test_the_counter_believes_a_wrong_current() -> None:
    bench = Bench()
    bench.battery.faults.current_inverted = True
    bench.wait(3600.0, 1.0)
    assert bench.u16(0x0D) == 80


def test_a_missing_command_is_not_acknowledged() -> None:
    bench = Bench()
    bench.battery.faults.missing = {0x0D, 0x22}
    assert not bench.battery.i2c_write(b"\x0d")
    assert bench.u16(0x16) & 0x0F == 3
    assert not bench.battery.i2c_write(b"\x22")
    assert bench.u16(0x09) == 14800
