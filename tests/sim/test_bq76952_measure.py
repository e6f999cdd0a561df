"""What the bq76952 emulator measures, when, and how a test spoils it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from bq76952_bench import Bench, Pins

from bms_daemon.sim.bq76952 import Bq76952

GAIN_QUARTER_MOHM = struct.pack("<f", 7.5684 / 0.25)


@pytest.mark.parametrize(
    ("config", "gain", "current_a", "reads"),
    [
        (b"\x06", GAIN_QUARTER_MOHM, -100.0, -10000),
        (b"\x06", GAIN_QUARTER_MOHM, 100.0, 10000),
        (b"\x05", GAIN_QUARTER_MOHM, 20.0, 20000),
        (b"\x05", GAIN_QUARTER_MOHM, -100.0, -32767),
        (b"\x07", GAIN_QUARTER_MOHM, 100.0, 1000),
        (b"\x04", GAIN_QUARTER_MOHM, 1.0, 10000),
        (b"\x06", struct.pack("<f", 7.5684), 100.0, 2500),
        (b"\x06", struct.pack("<f", 0.25), 100.0, 83),
        (b"\x06", GAIN_QUARTER_MOHM[::-1], 100.0, None),
    ],
)
def test_current_follows_gain_and_unit(config: bytes, gain: bytes, current_a: float, reads: int | None) -> None:
    bench = Bench(shunt_mohm=0.25)
    bench.configure({0x91A8: gain, 0x9303: config})
    bench.pins.current_a = current_a
    bench.wait(0.01)
    assert bench.i16(0x3A) == reads if reads is not None else bench.i16(0x3A) != 10000


def test_current_moves_with_its_three_millisecond_slot() -> None:
    bench = Bench()
    bench.wait(0.0061)
    assert bench.i16(0x3A) == 0
    bench.pins.current_a = 2.0
    bench.wait(0.001)
    assert bench.i16(0x3A) == 0
    bench.wait(0.002)
    assert bench.i16(0x3A) == 2000


def test_cells_are_sampled_every_69_milliseconds() -> None:
    bench = Bench()
    bench.wait(0.068)
    assert bench.cells() == [0] * 16
    bench.wait(0.002)
    assert bench.cells() == [3300] * 16
    bench.pins.cell_v[:] = 3.4
    bench.wait(0.067)
    assert bench.cells() == [3300] * 16
    bench.wait(0.002)
    assert bench.cells() == [3400] * 16


def test_three_loops_are_a_full_scan() -> None:
    bench = Bench()
    bench.write(0x66, b"\x80\x00")
    seen = []
    for _ in range(9):
        bench.wait(0.069)
        seen.append(bool(bench.u16(0x62) & 0x80))
        bench.write(0x62, b"\x80\x00")
        assert not bench.u16(0x62) & 0x80
    assert seen == [False, False, True] * 3


def test_alarms_latch_only_what_is_enabled_and_drive_alert_only_on_its_pin() -> None:
    bench = Bench()
    bench.write(0x66, b"\x00\x00")
    bench.write(0x62, b"\xff\xff")
    bench.wait(0.3)
    assert bench.u16(0x62) == 0
    bench.write(0x66, b"\x80\x00")
    bench.wait(0.3)
    assert bench.u16(0x62) == 0x80
    assert not bench.chip.alert
    bench.configure({0x92FC: b"\x02"})
    bench.write(0x66, b"\x80\x00")
    bench.write(0x62, b"\xff\xff")
    assert not bench.chip.alert
    bench.wait(0.3)
    assert bench.chip.alert
    bench.write(0x62, b"\x80\x00")
    assert not bench.chip.alert


def test_the_default_alarm_mask_is_f800() -> None:
    assert Bench().u16(0x66) == 0xF800


def test_probes_go_to_the_pins_that_are_cell_thermistors_in_order() -> None:
    bench = Bench()
    bench.configure({0x92FF: b"\x07"})
    bench.wait(0.1)
    assert bench.i16(0x70) == pytest.approx(2931.5, abs=1)
    assert bench.i16(0x72) == 0
    assert bench.i16(0x74) == pytest.approx(3031.5, abs=1)
    assert bench.i16(0x68) == pytest.approx(3131.5, abs=1)


@pytest.mark.parametrize("other_use", [b"\x00", b"\x02", b"\x03", b"\x0f"])
def test_a_pin_with_another_use_takes_no_probe(other_use: bytes) -> None:
    bench = Bench()
    bench.configure({0x92FE: other_use, 0x92FF: b"\x07"})
    bench.wait(0.1)
    assert bench.i16(0x72) == 0
    assert bench.i16(0x74) == pytest.approx(3031.5, abs=1)


def test_a_pin_without_a_probe_reads_an_open_thermistor() -> None:
    bench = Bench()
    bench.configure({0x92FE: b"\x07", 0x92FF: b"\x07"})
    bench.wait(0.1)
    assert bench.i16(0x74) == pytest.approx(2331.5, abs=1)


def test_vcell_mode_hides_inputs_and_wiring_places_cells() -> None:
    pins = Pins(cell_v=np.arange(14) * 0.01 + 3.0)
    bench = Bench()
    bench.pins, bench.chip = pins, Bq76952(pins, noise_v=0.0, wiring=0xAFFF)
    bench.configure({0x9304: b"\xff\xaf"})
    bench.wait(0.1)
    assert bench.cells() == [*range(3000, 3120, 10), 0, 3120, 0, 3130]


def test_noise_is_small_and_the_same_for_the_same_seed() -> None:
    def readings(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        bench = Bench(noise_v=0.0004, seed=seed)
        rows = []
        for _ in range(60):
            bench.wait(0.069)
            rows.append(bench.cells())
        return np.array(rows[2:], dtype=float)

    first = readings(1)
    assert np.array_equal(first, readings(1))
    assert not np.array_equal(first, readings(2))
    assert 0.2 < first.std() < 0.8


def test_raw_counts_have_the_published_weight() -> None:
    bench = Bench()
    bench.pins.current_a = -10.0
    bench.wait(0.1)
    bench.u16(0x3A)
    volts, amps = struct.unpack("<ii", bench.ask(0x0071)[:8])
    assert volts * 0.7224e-6 == pytest.approx(3.3, rel=1e-3)
    assert amps * 29.56e-9 == pytest.approx(-0.010, rel=1e-3)


def test_dastatus5_sums_the_cells() -> None:
    bench = Bench()
    bench.pins.cell_v[3], bench.pins.cell_v[9] = 3.1, 3.5
    bench.pins.current_a = 3.0
    bench.wait(0.1)
    data = bench.ask(0x0075)
    assert struct.unpack_from("<3h", data, 4) == (3500, 3100, 5280)
    assert struct.unpack_from("<hh", data, 20) == (3000, 3000)
    assert struct.unpack_from("<h", data, 2) == (0,)


def _charge(bench: Bench) -> float:
    whole, fraction, _ = struct.unpack_from("<iII", bench.ask(0x0076))
    return float(whole + fraction / 2**32 - 0.5)


@pytest.mark.parametrize("current_a", [-20.0, 20.0])
def test_charge_accumulates_from_its_reset(current_a: float) -> None:
    bench = Bench()
    bench.pins.current_a = current_a
    bench.wait(5.0)
    bench.command(0x0082)
    assert _charge(bench) == pytest.approx(0.0, abs=0.2)
    bench.wait(9.0)
    assert _charge(bench) == pytest.approx(current_a / 3.6 * 9.0, rel=0.01)
    assert struct.unpack_from("<I", bench.ask(0x0076), 8)[0] == 9


Spoil = Callable[[Bench], None]


def _set(name: str, value: object) -> Spoil:
    return lambda bench: setattr(bench.chip.faults, name, value)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_set("raw_all", 0xFFFF), dict.fromkeys(range(16), -1)),
        (_set("raw_all", 0), dict.fromkeys(range(16), 0)),
        (_set("raw_cells", {4: 0xFFFF}), {4: -1}),
        (_set("raw_cells", {4: 2500, 5: 0}), {4: 2500, 5: 0}),
        (_set("dropped", {7}), {7: 0}),
        (_set("offset_v", {2: 0.4, 3: -0.4}), {2: 3700, 3: 2900}),
        (_set("gain", 1.005), dict.fromkeys(range(16), 3316)),
        (_set("wild", 5), dict.fromkeys(range(16), 53000 - 65536)),
    ],
)
def test_faults_spoil_the_readings_they_name(spoil: Spoil, expected: dict[int, int]) -> None:
    bench = Bench()
    spoil(bench)
    bench.wait(0.1)
    assert bench.cells() == [expected.get(k, 3300) for k in range(16)]


@pytest.mark.parametrize(("name", "value", "loops"), [("wild", 3, 3), ("spike_v", {0: 2.0}, 1)])
def test_passing_faults_pass(name: str, value: object, loops: int) -> None:
    bench = Bench()
    _set(name, value)(bench)
    bad = 0
    for _ in range(6):
        bench.wait(0.069)
        bad += bench.cells() != [3300] * 16
    assert bad == loops


def test_a_frozen_chip_answers_and_converts_nothing() -> None:
    bench = Bench()
    bench.write(0x66, b"\x82\x00")
    bench.wait(0.3)
    bench.chip.faults.frozen = True
    bench.write(0x62, b"\xff\xff")
    bench.pins.cell_v[:], bench.pins.current_a = 4.4, 9.0
    bench.wait(1.0)
    assert bench.cells() == [3300] * 16
    assert bench.i16(0x3A) == 0
    assert bench.u16(0x62) == 0
    bench.chip.faults.frozen = False
    bench.wait(0.3)
    assert bench.cells() == [4400] * 16
    assert bench.u16(0x62) == 0x82


def test_the_stack_and_a_probe_can_be_stuck() -> None:
    bench = Bench()
    bench.chip.faults.stack_v = 50.0
    bench.chip.faults.probe_degc[0] = 125.0
    bench.wait(0.1)
    assert bench.i16(0x34) == 5000
    assert bench.i16(0x70) == pytest.approx(3981.5, abs=1)
