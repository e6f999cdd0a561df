"""The bq76952's driver against a scripted chip: what goes over the wire, and what becomes of faults."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from scripted_bq76952 import ScriptedChip

from bms_daemon.drivers.bq76952 import Driver, Settings
from bms_daemon.model import BusFault, Trip
from bms_daemon.runtime.clock import run_manual

T = TypeVar("T")
NACK, CRC = BusFault("nack"), BusFault("crc")


def settings(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "shunt_mohm": 0.25,
        "probes": ("TS1", "TS3"),
        "over_voltage_v": 3.75,
        "under_voltage_v": 2.783,
        "over_current_charge_a": 120.0,
        "over_current_discharge_a": 200.0,
        "over_current_discharge_fast_a": 296.0,
        "short_circuit_a": 400.0,
    }
    return Settings(**{**base, **changes})


def make(series: int = 16, crc: bool = False, **changes: Any) -> tuple[ScriptedChip, Driver]:
    chip = ScriptedChip(crc)
    return chip, Driver(chip, settings(crc=crc, **changes), series)


def run(main: Coroutine[Any, Any, T]) -> T:
    return run_manual(main)


# ------------------------------------------------------------------ setup
@pytest.mark.parametrize("crc", [False, True])
def test_setup_returns_the_limits_that_the_settings_promise(crc: bool) -> None:
    _, driver = make(crc=crc)
    accepted = run(driver.setup())
    assert accepted == settings().hardware_limits()
    assert accepted["under_voltage_v"] == pytest.approx(2.783)


@pytest.mark.parametrize(
    ("address", "data"),
    [
        (0x91A8, struct.pack("<f", 7.568359375 / 0.25)),
        (0x91AC, struct.pack("<f", 7.568359375 / 0.25 * 298261.6178)),
        (0x9234, b"\x82\x28"),
        (0x9261, b"\xfc"),
        (0x9263, b"\x02"),
        (0x9265, b"\x98"),
        (0x926D, b"\x80\xe0"),
        (0x9275, b"\x37"),
        (0x9278, b"\x4a"),
        (0x9279, b"\x97\x00"),
        (0x9280, b"\x0f"),
        (0x9282, b"\x19"),
        (0x9284, b"\x25"),
        (0x9286, b"\x05"),
        (0x9287, b"\x09"),
        (0x92B2, b"\x02\x00"),
        (0x92FC, b"\x02"),
        (0x92FD, b"\x07"),
        (0x92FE, b"\x00"),
        (0x92FF, b"\x07"),
        (0x9301, b"\x02"),
        (0x9302, b"\x02"),
        (0x9303, b"\x06"),
        (0x9304, b"\xff\xff"),
    ],
)
def test_setup_writes_data_memory(address: int, data: bytes) -> None:
    chip, driver = make()
    run(driver.setup())
    assert chip.memory[address : address + len(data)] == data


@pytest.mark.parametrize("protection", [0x02, 0x40, 0x20])
def test_fets_start_off_and_latched_discharge_faults_turn_discharge_off(protection: int) -> None:
    chip, driver = make()
    run(driver.setup())
    assert chip.memory[0x9308] & 0x20
    assert chip.memory[0x926B] & protection


def test_the_host_watchdog_turns_both_directions_off() -> None:
    chip, driver = make()
    run(driver.setup())
    assert chip.memory[0x9267] & 0x02
    assert chip.memory[0x926B] & 0x02


@pytest.mark.parametrize(
    ("address", "named"),
    [(0x91A8, "CC gain"), (0x9278, "COV threshold"), (0x9263, "enabled protections C"), (0x92B2, "HWD delay")],
)
def test_what_the_chip_does_not_take_is_refused_by_name(address: int, named: str) -> None:
    chip, driver = make()
    chip.stubborn.add(address)
    with pytest.raises(BusFault, match=f"refused: {named}"):
        run(driver.setup())
    assert not chip.registers[0x7F] & 0x05


def test_setup_leaves_configuration_mode_with_switches_off_and_alarms_on() -> None:
    chip, driver = make()
    run(driver.setup())
    assert not chip.in_config_update
    assert chip.registers[0x7F] == 0
    assert chip.registers[0x66:0x68] == b"\x80\xe0"
    assert chip.alarm_writes == [b"\xff\xff"]
    assert chip.stored[0x0097] == b"\x0f"
    assert chip.commands.index(0x0095) < chip.commands.index(0x0092)


@pytest.mark.parametrize(("enabled", "toggles"), [(False, 1), (True, 0)])
def test_fet_enable_is_toggled_only_when_fets_are_not_enabled(enabled: bool, toggles: int) -> None:
    chip, driver = make()
    chip.fet_en = enabled
    run(driver.setup())
    assert chip.commands.count(0x0022) == toggles
    assert chip.fet_en


def test_setup_twice_leaves_fets_enabled() -> None:
    chip, driver = make()

    async def twice() -> None:
        await driver.setup()
        await driver.setup()

    run(twice())
    assert chip.fet_en


def test_a_glitch_at_first_contact_is_tried_again() -> None:
    chip, driver = make()
    chip.device_numbers = [0xFFFF, 0x0000, 0x7695]
    chip.faults = [NACK, NACK]
    run(driver.setup())
    assert chip.fet_en


def test_another_chip_is_refused_and_nothing_is_configured() -> None:
    chip, driver = make()
    chip.device_numbers = [0x7694]
    with pytest.raises(BusFault, match="0x7694"):
        run(driver.setup())
    assert 0x0090 not in chip.commands
    assert chip.stored == {}


def test_a_chip_that_never_enters_configuration_mode_is_refused() -> None:
    chip, driver = make()
    chip._command = lambda code: ScriptedChip._command(chip, code) if code != 0x0090 else None  # type: ignore[method-assign]
    with pytest.raises(BusFault, match="refused: the chip does not enter CONFIG_UPDATE"):
        run(driver.setup())


# ------------------------------------------------------------------ scan
@pytest.mark.parametrize("crc", [False, True])
def test_a_scan_brings_every_value(crc: bool) -> None:
    chip, driver = make(crc=crc)
    chip.registers[0x12] = 0
    chip.put_words(0x14, *range(3301, 3317), 5293, 5290, 40, -1234)
    chip.registers[0x03], chip.registers[0x7F] = 0x04, 0x01
    scan = run(driver.scan())
    assert scan.cell_v.tolist() == pytest.approx([3.301 + n / 1000 for n in range(16)])
    assert (scan.stack_v, scan.pack_v, scan.link_v) == pytest.approx((52.93, 52.90, 0.40))
    assert scan.current_a == pytest.approx(-12.34)
    assert (scan.trips, scan.charge_on, scan.discharge_on) == (Trip.UNDER_VOLTAGE, True, False)
    assert not scan.was_reset
    assert scan.retries == 0


def test_cells_are_taken_from_their_inputs() -> None:
    chip, driver = make(series=3, inputs=(1, 2, 16))
    chip.put_words(0x14, 3001, 3002)
    chip.put_words(0x32, 3016)
    assert run(driver.scan()).cell_v.tolist() == pytest.approx([3.001, 3.002, 3.016])


def test_a_scan_is_few_and_long_reads() -> None:
    chip, driver = make()
    run(driver.scan())
    assert sorted(chip.reads) == [(0x02, 18), (0x14, 40), (0x62, 2), (0x7F, 1)]


def test_a_conversion_counts_each_time_that_the_chip_proves_one() -> None:
    chip, driver = make()

    async def counts() -> list[int]:
        seen = []
        for fresh in (True, False, True, True):
            chip.registers[0x62] |= 0x80 if fresh else 0
            seen.append((await driver.scan()).conversions)
        return seen

    assert run(counts()) == [1, 1, 2, 3]


def test_latched_alarms_are_cleared_by_writing_what_was_read() -> None:
    chip, driver = make()
    chip.registers[0x62:0x64] = b"\x80\x40"
    run(driver.scan())
    assert chip.alarm_writes == [b"\x80\x40"]
    assert chip.registers[0x62:0x64] == b"\0\0"


def test_the_proof_is_read_before_the_values_that_it_proves() -> None:
    chip, driver = make()
    run(driver.scan())
    order = [register for register, _ in chip.reads]
    assert order.index(0x62) < order.index(0x14)


@pytest.mark.parametrize("fault", [NACK, CRC])
@pytest.mark.parametrize("position", range(4))
def test_one_failed_transfer_is_repeated_and_counted(fault: BusFault, position: int) -> None:
    chip, driver = make()
    chip.put_words(0x14, 3333)
    chip.faults = [None] * position + [fault]

    async def twice() -> list[int]:
        first, second = await driver.scan(), await driver.scan()
        assert first.cell_v[0] == pytest.approx(3.333)
        return [first.retries, second.retries]

    assert run(twice()) == [1, 0]


@pytest.mark.parametrize("position", range(4))
def test_a_transfer_that_fails_twice_fails_the_scan(position: int) -> None:
    chip, driver = make()
    chip.faults = [None] * position + [NACK, NACK]
    with pytest.raises(BusFault, match="nack"):
        run(driver.scan())


def test_a_bus_that_hangs_is_not_tried_again() -> None:
    chip, driver = make()
    chip.faults = [BusFault("timeout")]
    with pytest.raises(BusFault, match="timeout"):
        run(driver.scan())
    assert chip.reads == []


def test_a_wrong_crc_on_the_wire_is_repeated() -> None:
    chip, driver = make(crc=True)
    honest, broken = chip._read, [True]

    def once_broken(register: int, read_len: int) -> bytes:
        raw = honest(register, read_len)
        if register == 0x14 and broken.pop():
            broken.append(False)
            return raw[:6] + bytes((raw[6] ^ 0x10,)) + raw[7:]
        return raw

    chip._read = once_broken  # type: ignore[method-assign]
    assert run(driver.scan()).retries == 1


@pytest.mark.parametrize("bit", [0x08, 0x01])
def test_a_reset_at_run_time_shows(bit: int) -> None:
    chip, driver = make()
    chip.registers[0x12] = bit
    assert run(driver.scan()).was_reset


def test_temperatures_come_in_the_order_of_the_probes() -> None:
    chip, driver = make()
    chip.put_words(0x68, 3031)
    chip.put_words(0x70, 2981, 0, 2882)
    temps = run(driver.scan_temps())
    assert temps.probe_degc.tolist() == pytest.approx([24.95, 15.05])
    assert temps.die_degc == pytest.approx(29.95)


# ------------------------------------------------------------------ switch
@pytest.mark.parametrize(
    ("charge", "discharge", "data", "status"),
    [(True, True, 0x0A, 0x05), (True, False, 0x0B, 0x01), (False, True, 0x0E, 0x04), (False, False, 0x0F, 0x00)],
)
def test_switches_follow_and_are_confirmed(charge: bool, discharge: bool, data: int, status: int) -> None:
    chip, driver = make()
    chip.fet_en = True
    run(driver.switch(charge, discharge))
    assert chip.stored[0x0097] == bytes((data,))
    assert chip.registers[0x7F] == status


@pytest.mark.parametrize(("held", "wanted"), [(0x00, True), (0x05, False), (0x04, True)])
def test_switches_that_do_not_follow_are_refused_in_20_ms(held: int, wanted: bool) -> None:
    chip, driver = make()
    chip.obeys_fets, chip.registers[0x7F] = False, held

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(BusFault, match="refused: switches stay"):
            await driver.switch(wanted, wanted)
        return loop.time()

    assert run(timed()) == pytest.approx(0.02, abs=0.003)
