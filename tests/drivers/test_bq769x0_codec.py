"""The bq769x0's bytes against TI's examples, and against whatever may come."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import bq769x0_codec as codec
from bms_daemon.drivers.bq769x0_settings import Settings
from bms_daemon.model import BusFault, Trip

OWN = codec.Calibration(377e-6, 0.030)
WHOLE = {
    "shunt_mohm": 1.0,
    "over_voltage_v": 4.2,
    "under_voltage_v": 2.8,
    "over_current_discharge_a": 50.0,
    "short_circuit_a": 150.0,
}


def test_a_write_carries_the_published_code() -> None:
    assert codec.protect_write(0x08, 0x05, b"\x40") == bytes.fromhex("4024")


def test_a_reads_code_does_not_cover_the_register() -> None:
    assert codec.check_read(0x08, bytes.fromhex("4085"), 1) == b"\x40"
    with pytest.raises(BusFault, match="crc"):
        codec.check_read(0x08, bytes.fromhex("4084"), 1)
    with pytest.raises(BusFault, match="2 were asked for"):
        codec.check_read(0x08, bytes.fromhex("408500"), 1)


@pytest.mark.parametrize(
    ("first", "offset", "second", "gain_v", "offset_v"),
    [(0x04, 30, 0xE0, 380e-6, 0.030), (0x00, 0x00, 0x00, 365e-6, 0.0), (0x0C, 0xE2, 0xE0, 396e-6, -0.030)],
)
def test_calibration_has_a_signed_offset(
    first: int, offset: int, second: int, gain_v: float, offset_v: float
) -> None:
    found = codec.calibration(first, offset, second)
    assert (found.gain_v, found.offset_v) == (pytest.approx(gain_v), pytest.approx(offset_v))


def test_voltage_limits_are_tis_examples() -> None:
    assert OWN.trip_v(0xB3, up=False) == pytest.approx(4.2011, abs=1e-4)
    assert OWN.trip_v(0xCB, up=True) == pytest.approx(2.7987, abs=1e-4)


@pytest.mark.parametrize("limit_v", [3.3, 3.65, 4.2, 4.25])
def test_an_upper_limit_is_rounded_down_and_a_lower_one_up_by_a_step_at_most(limit_v: float) -> None:
    found_v = OWN.trip_v(OWN.trip_code(limit_v, up=False), up=False)
    assert limit_v - codec.TRIP_STEP_V <= found_v <= limit_v + 1e-9
    lower_v = limit_v - 1.2
    found_v = OWN.trip_v(OWN.trip_code(lower_v, up=True), up=True)
    assert lower_v - 1e-9 <= found_v <= lower_v + codec.TRIP_STEP_V


@pytest.mark.parametrize(("limit_v", "up"), [(5.2, False), (2.9, False), (3.4, True), (1.2, True)])
def test_a_limit_beyond_the_chip_is_refused(limit_v: float, up: bool) -> None:
    with pytest.raises(ValueError, match="outside"):
        OWN.trip_code(limit_v, up)


def test_a_block_is_cells_stack_and_current() -> None:
    block = bytearray(codec.BLOCK_LEN)
    block[codec.CELLS - codec.BLOCK : codec.CELLS - codec.BLOCK + 2] = (6275).to_bytes(2, "big")
    block[codec.BAT - codec.BLOCK : codec.BAT - codec.BLOCK + 2] = (20000).to_bytes(2, "big")
    block[codec.CURRENT - codec.BLOCK :] = bytes.fromhex("FF38")
    block[codec.SYS_CTRL2 - codec.BLOCK] = 0x42
    found = codec.decode_block(bytes(block), OWN, cells=10, shunt_mohm=1.0)
    assert found.inputs_v[0] == pytest.approx(2.3957, abs=1e-4)
    assert found.stack_v == pytest.approx(4 * 377e-6 * 20000 + 0.3)
    assert found.current_a == pytest.approx(-1.688)
    assert (found.charge_on, found.discharge_on) == (False, True)


@pytest.mark.parametrize(
    ("status", "trip"),
    [(0x80, Trip.NONE), (0x08, Trip.UNDER_VOLTAGE), (0x04, Trip.OVER_VOLTAGE), (0x02, Trip.SHORT_CIRCUIT),
     (0x01, Trip.OVER_CURRENT_DISCHARGE), (0x20, Trip.INTERNAL), (0x10, Trip.INTERNAL)],
)  # fmt: skip
def test_status_bits_are_trips(status: int, trip: Trip) -> None:
    assert codec.trips(status) == trip


def test_a_thermistor_at_25_degc_halves_the_supply() -> None:
    raw = round(1.65 / 382e-6).to_bytes(2, "big") * 3
    assert codec.decode_thermistors(raw, 3) == pytest.approx(np.full(3, 10e3), rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"short_circuit_a": 5.0}, "below what the chip can do"),
        ({"over_voltage_v": 5.5}, "outside what the chip can do"),
        ({"under_voltage_v": 4.3}, "outside what the chip can do"),
        ({"probes": ("TS1", "TS1")}, "each once"),
        ({"part": "bq76920", "probes": ("TS2",)}, "TS1 to TS1"),
        ({"inputs": (3, 2, 1)}, "must rise"),
    ],
)
def test_what_the_chip_cannot_do_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings.model_validate(WHOLE | changes)


@pytest.mark.parametrize(
    ("part", "series", "inputs"),
    [("bq76940", 13, (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15)), ("bq76920", 4, (1, 2, 3, 5)),
     ("bq76940", 15, tuple(range(1, 16)))],
)  # fmt: skip
def test_inputs_are_those_that_ti_wires(part: str, series: int, inputs: tuple[int, ...]) -> None:
    assert Settings.model_validate({**WHOLE, "part": part}).cell_inputs(series) == inputs


@pytest.mark.parametrize(("part", "series"), [("bq76920", 6), ("bq76940", 16), ("bq76930", 5)])
def test_a_pack_that_does_not_fit_is_refused(part: str, series: int) -> None:
    with pytest.raises(ValueError, match="measures"):
        Settings.model_validate({**WHOLE, "part": part}).fit(series)


@fuzz
@given(raw=st.binary(max_size=12), length=st.integers(1, 5))
def test_no_read_passes_but_one_with_its_codes(raw: bytes, length: int) -> None:
    try:
        data = codec.check_read(0x08, raw, length)
    except BusFault:
        return
    assert raw == b"".join(
        bytes((byte, remainder(bytes((0x11, byte)) if at == 0 else bytes((byte,))))) for at, byte in enumerate(data)
    )


@fuzz
@given(block=st.binary(min_size=codec.BLOCK_LEN, max_size=codec.BLOCK_LEN), raw=st.binary(min_size=6, max_size=6))
def test_any_block_decodes_to_finite_numbers(block: bytes, raw: bytes) -> None:
    found = codec.decode_block(block, OWN, 13, 1.0)
    assert np.isfinite([*found.inputs_v, found.stack_v, found.current_a]).all()
    assert np.isfinite(codec.decode_thermistors(raw, 3)).all()


def remainder(data: bytes) -> int:
    """x^8 + x^2 + x + 1, bit by bit."""
    value = int.from_bytes(data, "big") << 8
    for bit in range(8 * len(data) + 7, 7, -1):
        if value >> bit & 1:
            value ^= 0x107 << (bit - 8)
    return value


# ------------------------------------------------------------------ balancing
@pytest.mark.parametrize(
    ("cells", "raw"),
    [([], "000000"), ([1], "010000"), ([5, 6], "100100"), ([1, 3, 5], "150000"), ([10, 11], "001001"), ([15], "000010"),
     ([1, 2], "000000"), ([1, 8, 9], "000000")],
)  # fmt: skip
def test_five_cells_a_register_and_never_neighbours_within_one(cells: list[int], raw: str) -> None:
    """TI: CELLBAL1 to 3 carry cells 1 to 5, 6 to 10 and 11 to 15; 5 and 6 may be on together, 1 and 2 may not."""
    wanted = np.isin(np.arange(1, 16), cells)
    assert codec.balancing(wanted) == bytes.fromhex(raw)
    if any(codec.balancing(wanted)):
        assert codec.balanced(codec.balancing(wanted)).tolist() == wanted.tolist()
