"""The bq76920, bq76930 and bq76940's bytes: checksums, registers, protection codes, without any I/O (TI SLUSBK2I)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms_daemon.drivers.bq76952_codec import crc8
from bms_daemon.model import BoolArray, BusFault, FloatArray, Trip

SYS_STAT, CELLBAL, SYS_CTRL1, SYS_CTRL2, PROTECT1, CC_CFG = 0x00, 0x01, 0x04, 0x05, 0x06, 0x0B
CELLS, BAT, THERMISTORS, CURRENT = 0x0C, 0x2A, 0x2C, 0x32
GAIN_1, OFFSET, GAIN_2 = 0x50, 0x51, 0x59
BLOCK, BLOCK_LEN = SYS_CTRL1, CURRENT + 2 - SYS_CTRL1  # from the settings to the current in one read
CC_READY, XREADY, OVERRIDE, UNDER, OVER, SHORT, OVER_CURRENT = 0x80, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
ADC_EN, TEMP_SEL, CC_EN, DSG_ON, CHG_ON, RSNS = 0x10, 0x08, 0x40, 0x02, 0x01, 0x80
CC_CFG_VALUE = 0x19
MOST_CELLS, GROUP = 15, 5

_MASK = 0x3FFF
_CURRENT_V, _THERMISTOR_V, _SUPPLY_V = 8.44e-6, 382e-6, 3.3
_GAIN_LOW, _GAIN_HIGH = 365e-6, 396e-6
TRIP_STEP_V = 16 * _GAIN_HIGH  # of the voltage limits, at most

SHORT_MV = (22, 33, 44, 56, 67, 78, 89, 100), (44, 67, 89, 111, 133, 155, 178, 200)
OVER_CURRENT_MV = (
    (8, 11, 14, 17, 19, 22, 25, 28, 31, 33, 36, 39, 42, 44, 47, 50),
    (17, 22, 28, 33, 39, 44, 50, 56, 61, 67, 72, 78, 83, 89, 94, 100),
)
"""By RSNS, then by code."""
SHORT_DELAYS_S = (70e-6, 100e-6, 200e-6, 400e-6)
OVER_CURRENT_DELAYS_S = (0.008, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
UNDER_DELAYS_S, OVER_DELAYS_S = (1.0, 4.0, 8.0, 16.0), (1.0, 2.0, 4.0, 8.0)

_TRIPS = (
    (UNDER, Trip.UNDER_VOLTAGE),
    (OVER, Trip.OVER_VOLTAGE),
    (SHORT, Trip.SHORT_CIRCUIT),
    (OVER_CURRENT, Trip.OVER_CURRENT_DISCHARGE),
    (XREADY | OVERRIDE, Trip.INTERNAL),
)


def protect_write(address: int, register: int, data: bytes) -> bytes:
    """Data bytes each followed by its CRC; the first one's covers address and register too."""
    covered = [bytes((address << 1, register, data[0])), *(data[at : at + 1] for at in range(1, len(data)))]
    return b"".join(bytes((byte, crc8(part))) for byte, part in zip(data, covered, strict=True))


def check_read(address: int, raw: bytes, length: int) -> bytes:
    """The data of a read with CRCs; unlike the bq76952's, the first one's does not cover the register.

    Raises BusFault("crc").
    """
    data, crcs = raw[0::2], raw[1::2]
    if len(raw) != 2 * length:
        raise BusFault("crc", f"{len(raw)} bytes came, {2 * length} were asked for")
    covered = [bytes(((address << 1) | 1, data[0])), *(data[at : at + 1] for at in range(1, length))]
    if crcs != bytes(crc8(part) for part in covered):
        raise BusFault("crc")
    return data


def balancing(cells: BoolArray) -> bytes:
    """CELLBAL1 to 3 for cells by input, bool (15,): five a register; none at all for neighbours within one."""
    groups = cells.reshape(-1, GROUP)
    if (groups[:, 1:] & groups[:, :-1]).any():
        return bytes(len(groups))
    return bytes(sum(1 << at for at in np.flatnonzero(group).tolist()) for group in groups)


def balanced(raw: bytes) -> BoolArray:
    """bool (15,) of CELLBAL1 to 3."""
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8)[:, None], axis=1, bitorder="little")[:, :GROUP]
    found: BoolArray = bits.reshape(-1).astype(bool)
    return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """Each chip's own: volts of a count of its cells, and volts to be added."""

    gain_v: float
    offset_v: float

    def trip_code(self, limit_v: float, up: bool) -> int:
        """Of OV_TRIP or UV_TRIP: the middle 8 of 14 bits, to the stricter side. Raises ValueError beyond the chip."""
        base = 0x1000 if up else 0x2008
        exact = ((limit_v - self.offset_v) / self.gain_v - base) / 16
        code = math.ceil(exact - 1e-6) if up else math.floor(exact + 1e-6)
        if not 0 <= code <= 0xFF:
            raise ValueError(f"{limit_v:g} V is outside what the chip can do")
        return code

    def trip_v(self, code: int, up: bool) -> float:
        """What the chip makes of a code."""
        return ((0x1000 if up else 0x2008) + 16 * code) * self.gain_v + self.offset_v


def calibration(gain_1: int, offset: int, gain_2: int) -> Calibration:
    """From the registers that the factory wrote; the offset is a signed byte, in mV."""
    gain = 365 + ((gain_1 & 0x0C) << 1 | (gain_2 & 0xE0) >> 5)
    return Calibration(gain * 1e-6, (offset - 256 if offset > 127 else offset) * 1e-3)


def stricter(steps: Sequence[float], wanted: float) -> int:
    """The code of the largest step that is not above. Raises ValueError where all are."""
    found = [code for code, step in enumerate(steps) if step <= wanted * (1.0 + 1e-9)]
    if not found:
        raise ValueError(f"{wanted:g} is below what the chip can do, {min(steps):g}")
    return found[-1]


@dataclass(frozen=True, slots=True)
class Measurement:
    """The block from SYS_CTRL1 to the current: cells by input (15,) and stack in V, current in A, settings as held."""

    held: bytes
    inputs_v: FloatArray
    stack_v: float
    current_a: float
    charge_on: bool
    discharge_on: bool


def decode_block(block: bytes, own: Calibration, cells: int, shunt_mohm: float) -> Measurement:
    """48 bytes, words with the high byte first. ``cells``: as many offsets are in the stack's voltage."""
    words = np.frombuffer(block, dtype=">u2", count=MOST_CELLS + 1, offset=CELLS - BLOCK)
    inputs_v = (words[:MOST_CELLS] & _MASK).astype(np.float64) * own.gain_v + own.offset_v
    stack_v = 4.0 * own.gain_v * int(words[MOST_CELLS]) + cells * own.offset_v
    count = int.from_bytes(block[CURRENT - BLOCK :], "big", signed=True)
    switches = block[SYS_CTRL2 - BLOCK]
    current_a = count * _CURRENT_V / (shunt_mohm * 1e-3)
    held = block[: CC_CFG + 1 - BLOCK]
    return Measurement(held, inputs_v, stack_v, current_a, bool(switches & CHG_ON), bool(switches & DSG_ON))


def decode_thermistors(raw: bytes, count: int) -> FloatArray:
    """Ohm of thermistors below the chip's 10 kohm to 3.3 V, (count,)."""
    volts = (np.frombuffer(raw, dtype=">u2", count=count) & _MASK) * _THERMISTOR_V
    ohm: FloatArray = 10e3 * volts / np.maximum(_SUPPLY_V - volts, 1e-3)
    return ohm


def trips(status: int) -> Trip:
    """What SYS_STAT says that the chip has done."""
    found = Trip.NONE
    for mask, trip in _TRIPS:
        if status & mask:
            found |= trip
    return found
