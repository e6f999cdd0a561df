"""What the bq76952 emulator does by itself: protections, FETs, host watchdog, balancing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bq76952_bench import Bench

LOOP_S = 0.069
Stress = Callable[[Bench], None]


def _cell(volts: float) -> Stress:
    return lambda bench: bench.pins.cell_v.__setitem__(6, volts)


def _amps(amps: float) -> Stress:
    return lambda bench: setattr(bench.pins, "current_a", amps)


def _probe(degc: float) -> Stress:
    return lambda bench: setattr(bench.pins, "probe_degc", np.array([20.0, degc]))


def _die(degc: float) -> Stress:
    return lambda bench: setattr(bench.pins, "die_degc", degc)


CUV_SET = {0x9275: b"\x37", 0x9276: b"\x64\x00"}  # 2.783 V, 330 ms
COV_SET = {0x9278: b"\x48", 0x9279: b"\x64\x00"}  # 3.643 V, 330 ms

# Enable address and bit, settings, status register, condition, delay s, what stays allowed, slack s.
ROWS = [
    pytest.param(0x9261, 0x04, CUV_SET, 0x03, _cell(2.75), 0.330, (True, False), LOOP_S, id="CUV"),
    pytest.param(0x9261, 0x08, COV_SET, 0x03, _cell(3.65), 0.330, (False, True), LOOP_S, id="COV"),
    pytest.param(0x9261, 0x10, {0x9280: b"\x0a\x1e"}, 0x03, _amps(21.0), 0.1056, (False, True), 0.002, id="OCC"),
    pytest.param(0x9261, 0x20, {0x9282: b"\x0a\x1e"}, 0x03, _amps(-21.0), 0.1056, (True, False), 0.002, id="OCD1"),
    pytest.param(0x9261, 0x40, {0x9284: b"\x14\x01"}, 0x03, _amps(-41.0), 0.0099, (True, False), 0.002, id="OCD2"),
    pytest.param(0x9261, 0x80, {0x9286: b"\x05\x1f"}, 0x03, _amps(-101.0), 0.00045, (False, False), 0.002, id="SCD"),
    pytest.param(0x9262, 0x10, {0x929A: b"\x2d\x03"}, 0x05, _probe(46.0), 3.0, (False, True), LOOP_S, id="OTC"),
    pytest.param(0x9262, 0x20, {0x929D: b"\x37\x03"}, 0x05, _probe(56.0), 3.0, (True, False), LOOP_S, id="OTD"),
    pytest.param(0x9262, 0x40, {0x92A3: b"\x46\x02"}, 0x05, _die(71.0), 2.0, (False, False), LOOP_S, id="OTINT"),
    pytest.param(0x9262, 0x01, {0x92A6: b"\x00\x02"}, 0x05, _probe(-1.0), 2.0, (False, True), LOOP_S, id="UTC"),
    pytest.param(0x9262, 0x02, {0x92A9: b"\xf6\x02"}, 0x05, _probe(-11.0), 2.0, (True, False), LOOP_S, id="UTD"),
    pytest.param(0x9262, 0x04, {0x92AC: b"\xec\x02"}, 0x05, _die(-21.0), 2.0, (False, False), LOOP_S, id="UTINT"),
]


def _armed(enable: int, bit: int, settings: dict[int, bytes]) -> Bench:
    bench = Bench()
    bench.drive({**settings, enable: bytes([bit]), 0x92FF: b"\x07"})
    bench.wait(0.1)
    assert bench.allowed == (True, True)
    return bench


@pytest.mark.parametrize(("enable", "bit", "settings", "status", "stress", "delay_s", "allowed", "slack_s"), ROWS)
def test_a_protection_alerts_then_trips_after_its_delay_and_turns_its_fets_off(
    enable: int, bit: int, settings: dict[int, bytes], status: int, stress: Stress, delay_s: float,
    allowed: tuple[bool, bool], slack_s: float,
) -> None:  # fmt: skip
    bench = _armed(enable, bit, settings)
    stress(bench)
    if delay_s > 0.005:
        assert bench.time_until(status - 1, bit) <= slack_s + 0.001
        assert bench.u8(status) == 0
        assert bench.allowed == (True, True)
        slack_s = 0.002
    assert delay_s - slack_s <= bench.time_until(status, bit) <= delay_s + slack_s
    assert bench.u8(status - 1) == 0
    assert bench.allowed == allowed


@pytest.mark.parametrize(("enable", "bit", "settings", "status", "stress", "delay_s", "allowed", "slack_s"), ROWS)
def test_a_protection_that_is_not_enabled_does_nothing(
    enable: int, bit: int, settings: dict[int, bytes], status: int, stress: Stress, delay_s: float,
    allowed: tuple[bool, bool], slack_s: float,
) -> None:  # fmt: skip
    bench = _armed(enable, 0, settings)
    stress(bench)
    bench.wait(delay_s + 0.3)
    assert bench.u8(status) == 0
    assert bench.allowed == (True, True)


@pytest.mark.parametrize(("enable", "bit", "settings", "status", "stress", "delay_s", "allowed", "slack_s"), ROWS)
def test_a_condition_that_ends_before_the_delay_trips_nothing(
    enable: int, bit: int, settings: dict[int, bytes], status: int, stress: Stress, delay_s: float,
    allowed: tuple[bool, bool], slack_s: float,
) -> None:  # fmt: skip
    bench = _armed(enable, bit, settings)
    calm = Bench().pins
    stress(bench)
    bench.wait(0.6 * delay_s)
    bench.pins.cell_v[:], bench.pins.current_a = calm.cell_v, calm.current_a
    bench.pins.probe_degc, bench.pins.die_degc = calm.probe_degc, calm.die_degc
    bench.wait(delay_s + 0.2)
    assert bench.u8(status) == 0


@pytest.mark.parametrize(
    ("bit", "settings", "stress", "inside_hysteresis", "recovered"),
    [
        (0x04, {0x9275: b"\x37"}, _cell(2.70), _cell(2.85), _cell(2.90)),
        (0x08, {0x9278: b"\x48"}, _cell(3.70), _cell(3.60), _cell(3.53)),
        (0x10, {0x9280: b"\x0a\x1e"}, _amps(21.0), _amps(20.5), _amps(19.0)),
    ],
    ids=["CUV", "COV", "OCC"],
)
def test_recovery_needs_hysteresis_and_the_recovery_time(
    bit: int, settings: dict[int, bytes], stress: Stress, inside_hysteresis: Stress, recovered: Stress
) -> None:
    bench = _armed(0x9261, bit, {**settings, 0x92AF: b"\x03"})
    stress(bench)
    bench.time_until(0x03, bit)
    inside_hysteresis(bench)
    bench.wait(5.0)
    assert bench.u8(0x03) == bit
    recovered(bench)
    bench.wait(2.9)
    assert bench.u8(0x03) == bit
    bench.wait(0.3)
    assert bench.u8(0x03) == 0
    assert bench.allowed == (True, True)


def test_by_default_a_low_cell_and_a_hot_one_go_unnoticed_and_a_high_cell_does_not() -> None:
    bench = Bench()
    bench.pins.cell_v[0], bench.pins.probe_degc[0] = 1.0, 90.0
    bench.wait(5.0)
    assert bench.read(0x02, 6) == bytes(6)
    bench.pins.cell_v[1] = 4.5
    bench.wait(0.5)
    assert bench.u8(0x03) == 0x08


def test_a_trip_sets_ssa_and_draws_alert() -> None:
    bench = _armed(0x9261, 0x08, {0x9278: b"\x48"})
    bench.write(0x62, b"\xff\xff")
    assert not bench.chip.alert
    _cell(3.7)(bench)
    bench.time_until(0x03, 0x08)
    assert bench.u16(0x62) & 0x4000
    assert bench.chip.alert
    assert bench.u16(0x12) & 0x0800
    assert bench.ask(0x0081)[12:14] == (3700).to_bytes(2, "little")


@pytest.mark.parametrize(("mask", "delay_s"), [(b"\x98", 0.0), (b"\x18", 0.0), (b"\x10", 0.25)])
def test_an_unusual_chg_mask_is_a_quarter_second_slow(mask: bytes, delay_s: float) -> None:
    bench = _armed(0x9261, 0x10, {0x9280: b"\x0a\x01", 0x9265: mask})
    _amps(21.0)(bench)
    bench.time_until(0x03, 0x10)
    if delay_s:
        bench.wait(delay_s - 0.01)
        assert bench.chip.charge_allowed
        bench.wait(0.02)
    assert not bench.chip.charge_allowed


@pytest.mark.parametrize(
    ("latch", "bit", "stress", "subcommand"),
    [(0x40, 0x80, _amps(-101.0), 0x009C), (0x20, 0x20, _amps(-101.0), 0x009B)],
    ids=["SCDL", "OCDL"],
)
def test_a_latched_fault_waits_for_its_recovery_command(latch: int, bit: int, stress: Stress, subcommand: int) -> None:
    bench = Bench()
    bench.drive({0x9261: bytes([bit, 0, latch]), 0x9282: b"\x0a\x01", 0x9286: b"\x05\x02"})
    stress(bench)
    bench.wait(0.1)
    _amps(0.0)(bench)
    bench.wait(10.0)
    assert bench.read(0x03, 5)[::2] == bytes([0, 0, latch])
    assert bench.chip.discharge_allowed is False
    bench.command(subcommand)
    assert bench.u8(0x07) == 0
    assert bench.allowed == (True, True)


def test_a_silent_host_trips_the_watchdog_and_a_talking_one_ends_it() -> None:
    bench = Bench()
    bench.drive({0x9263: b"\x02", 0x92B2: b"\x02\x00"})
    for _ in range(5):
        bench.wait(1.5)
        assert bench.u8(0x07) == 0
    bench.wait(1.9)
    assert bench.allowed == (True, True)
    bench.chip.i2c_write(bytes.fromhex("3e22620000"))
    bench.wait(0.2)
    assert bench.allowed == (False, False)
    bench.u8(0x12)
    assert bench.allowed == (True, True)


@pytest.mark.parametrize(
    ("data", "fet_status", "allowed"),
    [
        (0x00, 0x05, (True, True)),
        (0x0F, 0x00, (False, False)),
        (0x04, 0x04, (False, True)),
        (0x01, 0x01, (True, False)),
        (0x08, 0x05, (True, True)),
        (0x02, 0x05, (True, True)),
    ],
)
def test_fet_control_forces_off_in_its_own_layout(data: int, fet_status: int, allowed: tuple[bool, bool]) -> None:
    bench = Bench()
    bench.drive()
    bench.send(0x0097, bytes([data]))
    assert bench.u8(0x7F) & 0x0F == fet_status
    assert bench.allowed == allowed


def test_the_published_fet_control_seal_is_accepted() -> None:
    bench = Bench()
    bench.drive()
    bench.write(0x3E, bytes.fromhex("97000f"))
    bench.write(0x60, bytes.fromhex("5905"))
    assert bench.allowed == (False, False)


@pytest.mark.parametrize(
    ("subcommand", "allowed"),
    [(0x0093, (True, False)), (0x0094, (False, True)), (0x0095, (False, False)), (0x0096, (True, True))],
)
def test_fet_commands_force_off_what_they_name(subcommand: int, allowed: tuple[bool, bool]) -> None:
    bench = Bench()
    bench.drive()
    bench.command(subcommand)
    assert bench.allowed == allowed


def test_fet_enable_toggles() -> None:
    bench = Bench()
    seen = []
    for _ in range(3):
        bench.command(0x0022)
        seen.append(bench.ask(0x0057)[0] & 0x10)
    assert seen == [0x10, 0, 0x10]


def test_fet_init_off_waits_for_the_host() -> None:
    bench = Bench()
    bench.drive({0x9308: b"\x2d"})
    bench.configure({0x9308: b"\x2d"})
    assert bench.allowed == (False, False)
    bench.command(0x0096)
    assert bench.allowed == (True, True)


def test_outputs_without_their_function_drive_nothing() -> None:
    bench = Bench()
    bench.drive({0x9301: b"\x00", 0x9302: b"\x00"})
    assert bench.u8(0x7F) & 0x05 == 0x05
    assert bench.allowed == (False, False)


def test_with_sleep_left_on_an_idle_chip_turns_charge_off() -> None:
    bench = Bench()
    bench.drive({0x9234: b"\x82\x29"})
    bench.wait(11.0)
    assert bench.u16(0x12) & 0x8000
    assert bench.allowed == (False, True)
    bench.command(0x009A)
    assert bench.allowed == (True, True)


@pytest.mark.parametrize(("trip", "register", "value"), [({"a": 0x08}, 0x03, 0x08), ({"pf": (0, 0, 4, 0)}, 0x0F, 4)])
def test_the_back_door_trips_what_it_is_told(trip: dict[str, int], register: int, value: int) -> None:
    bench = Bench()
    bench.drive()
    bench.chip.trip(**trip)  # type: ignore[arg-type]
    assert bench.u8(register) == value
    assert not bench.chip.charge_allowed
    bench.chip.trip()
    assert bench.u8(register) == 0
    assert bench.allowed == (True, True)


def test_power_loss_drops_the_outputs_and_the_configuration() -> None:
    bench = Bench()
    bench.drive()
    bench.chip.power_down()
    assert bench.allowed == (False, False)
    bench.wait(1.0)
    bench.chip.power_up()
    bench.wait(0.1)
    assert bench.u16(0x12) & 0x08
    assert bench.allowed == (False, False)
    assert bench.ask(0x9261)[0] == 0x88


def test_balancing_starts_by_the_published_frame_and_stops_by_itself_after_twenty_seconds() -> None:
    bench = Bench()
    bench.wait(0.1)
    bench.write(0x3E, bytes.fromhex("83000500"))
    bench.write(0x60, bytes.fromhex("7706"))
    bench.wait(0.001)
    assert bench.ask(0x0083) == b"\x05\x00"
    assert bench.bled == 0x0005
    bench.wait(19.9)
    assert bench.bled == 0x0005
    bench.wait(0.2)
    assert bench.ask(0x0083) == b"\x00\x00"


@pytest.mark.parametrize(
    ("mask", "settings", "probe_degc"),
    [
        (0x0003, {}, 20.0),
        (0x0005, {0x9335: b"\x10"}, 20.0),
        (0x0005, {}, 61.0),
        (0x0005, {}, -21.0),
        (0x8000, {0x9304: b"\xff\x7f"}, 20.0),
    ],
    ids=["neighbours", "CB_NO_CMD", "hot", "cold", "no cell there"],
)
def test_balancing_is_refused(mask: int, settings: dict[int, bytes], probe_degc: float) -> None:
    bench = Bench()
    bench.pins.probe_degc[0] = probe_degc
    bench.configure(settings)
    bench.wait(0.1)
    bench.send(0x0083, mask.to_bytes(2, "little"))
    assert bench.ask(0x0083) == b"\x00\x00"


def test_balancing_time_counts_through_refreshes_and_cb_is_an_alarm() -> None:
    bench = Bench()
    bench.wait(0.1)
    bench.command(0x009A)
    bench.write(0x66, b"\x04\x00")
    bench.send(0x0083, b"\x05\x00")
    assert bench.u16(0x62) == 0x04
    bench.wait(15.0)
    bench.send(0x0083, b"\x05\x00")
    bench.wait(15.0)
    assert bench.bled == 0x0005
    assert bench.ask(0x0085) == b"\x1e\x00"
    bench.send(0x0083, b"\x00\x00")
    assert bench.bled == 0
    assert bench.ask(0x0085) == b"\x00\x00"


@pytest.mark.parametrize(("config", "mask"), [(b"\x00", 0), (b"\x04", 0x0005)])
def test_balancing_in_sleep_needs_its_setting(config: bytes, mask: int) -> None:
    bench = Bench()
    bench.configure({0x9335: config})
    bench.wait(11.0)
    bench.send(0x0083, b"\x05\x00")
    assert bench.bled == mask


def test_deep_sleep_needs_its_command_twice_within_four_seconds() -> None:
    bench = Bench()
    bench.drive()
    bench.command(0x000F)
    bench.wait(4.5)
    bench.command(0x000F)
    assert bench.allowed == (True, True)
    bench.command(0x000F)
    assert bench.u8(0x00) & 0x04
    assert bench.allowed == (False, False)
    bench.command(0x000E)
    assert bench.u8(0x00) == 0
    assert bench.allowed == (True, True)


def test_shutdown_silences_the_chip_until_it_is_woken() -> None:
    bench = Bench()
    bench.drive()
    bench.command(0x0010)
    assert not bench.chip.i2c_write(b"\x12")
    assert bench.allowed == (False, False)
    bench.chip.power_up()
    bench.wait(0.1)
    assert bench.u16(0x12) & 0x08


def test_balancing_by_level_takes_the_highest_cells_without_neighbours() -> None:
    bench = Bench()
    bench.configure({0x933A: b"\x02"})
    bench.pins.cell_v[4:8] = [3.40, 3.45, 3.44, 3.42]
    bench.wait(0.1)
    bench.send(0x0084, (3350).to_bytes(2, "little"))
    assert bench.bled == 1 << 5 | 1 << 7
