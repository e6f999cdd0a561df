"""The ADES1830's bytes: checksums with a counter of commands, configuration, status, without any I/O.

Sources: foxBMS 2's tables and tests for the ADES183x; what they leave open is said in docs/bring-up/ades1830.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from bms_daemon.drivers.isospi_codec import GROUP
from bms_daemon.model import FloatArray

CELLS, GPIOS = 16, 10
COUNT_V, ZERO_V = 150e-6, 1.5
WRCFGA, RDCFGA, WRCFGB, RDCFGB = 0x0001, 0x0002, 0x0024, 0x0026
RDCV = (0x0004, 0x0006, 0x0008, 0x000A, 0x0009, 0x000B)  # three cells each, from the lowest
RDSV = (0x0003, 0x0005, 0x0007, 0x000D, 0x000E, 0x000F)  # the same by the second converters
RDAUX = (0x0019, 0x001A, 0x001B, 0x001F)  # GPIO1 to 10
RDSTATA, RDSTATB, RDSTATC, RDSTATD = 0x0030, 0x0031, 0x0032, 0x0033
CLRCELL, CLRAUX, CLRFLAG, RSTCC = 0x0711, 0x0712, 0x0717, 0x002E
ADCV, BOTH = 0x0260, 1 << 8  # RD: the second converters too; not continuous, discharge paused
ADAX = 0x0410
CLEARED, NEVER = -0x8000, 0x7FFF  # in registers without a conversion
ALL_FLAGS = np.array([0xFF, 0xFF, 0x00, 0x00, 0xFF, 0xFF], dtype=np.uint8)
FLAGS = ("SMED", "SED", "CMED", "CED", "VD_UV", "VD_OV", "VA_UV", "VA_OV",
         "OSCCHK", "TMODCHK", "THSD", "SLEEP", "SPIFLT", "COMP", "VDE", "VDEL")  # fmt: skip
"""Of STATC, bytes 4 and 5, from the lowest bit."""
SLEPT, HOT = FLAGS.index("SLEEP"), FLAGS.index("THSD")
BROKEN = np.array([name not in ("SLEEP", "THSD", "SPIFLT", "COMP") for name in FLAGS])
"""Which say that a device is not to be trusted. SPIFLT is noise; what COMP rests at is not published."""
_FEEDBACK, _SEED, _WIDTH = 0x08F, 0x010, 10
_COUNTER_BITS, _COUNTER_TOP = 6, 63
_SLACK = 1e-6  # of a code: an exact multiple must not fall to the next one by its last bit
_LIMIT_V = 16 * COUNT_V  # a step of the chip's voltage limits
_LIMIT_CODES = -0x800, 0x7FF
_CFGA = bytes.fromhex("820000ff0300")  # reference on, converters compared at 9 mV, pins free of their pull-downs
_COMPARED = np.frombuffer(bytes.fromhex("87fff80000ff" "ffffffffffff"), dtype=np.uint8)
_SWITCHES = slice(80, 96)  # bits of cells 1 to 16, through CFGA and CFGB


def _after(register: np.ndarray, bits: int) -> np.ndarray:
    """The checksum's register when so many zeros have followed."""
    for _ in range(bits):
        register = (register << 1 ^ np.where(register >> (_WIDTH - 1), _FEEDBACK, 0)) & 0x3FF
    return register


_OF_BYTES = np.stack([_after(np.arange(256) << 2, 8 * (GROUP - place) + _COUNTER_BITS) for place in range(GROUP)])
_OF_COUNTER = _after(np.arange(64) << 4, _COUNTER_BITS)
_OF_NOTHING = _after(np.array(_SEED), 8 * GROUP + _COUNTER_BITS)
_PLACES = np.arange(GROUP)


def pec10(groups: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Of many groups, uint8 (..., 6), and what their devices have counted, (...): a checksum is its bits' sum."""
    codes: np.ndarray = np.bitwise_xor.reduce(_OF_BYTES[_PLACES, groups], axis=-1) ^ _OF_COUNTER[counter] ^ _OF_NOTHING
    return codes


class Counted:
    """Behind a group: six bits of what a device has counted, ten of checksum.

    Every command counts but those that read. A device that has not counted as the host has, has missed a command or was
    reset: what it says is not good, and the host is not ``in_step`` until it has set every counter to 0.
    """

    def __init__(self) -> None:
        self.counter, self.in_step = 0, False

    def codes(self, groups: np.ndarray) -> np.ndarray:
        return pec10(groups, np.zeros(groups.shape[:-1], dtype=int))

    def good(self, groups: np.ndarray, sent: np.ndarray) -> np.ndarray:
        counter = sent >> _WIDTH
        whole: np.ndarray = (sent & 0x3FF) == pec10(groups, counter)
        counted: np.ndarray = counter == self.counter
        self.in_step &= bool((counted | ~whole).all())
        good: np.ndarray = whole & counted
        return good

    def heard(self, codes: Sequence[int]) -> None:
        for code in codes:
            self.in_step |= code == RSTCC
            self.counter = 0 if code == RSTCC else self.counter % _COUNTER_TOP + 1


def volts(words: np.ndarray) -> FloatArray:
    """Of int16 codes; NaN of registers that were cleared or have never been written."""
    found: FloatArray = np.where((words == CLEARED) | (words == NEVER), np.nan, words * COUNT_V + ZERO_V)
    return found


def die_degc(volts: FloatArray) -> FloatArray:
    """Of what the sensor of the die shows: 7.5 mV/K."""
    return volts / 7.5e-3 - 273.0


def limit_codes(under_v: float, over_v: float) -> tuple[int, int]:
    """VUV and VOV; rounded to the stricter side. Raises ValueError for what the chip cannot do."""
    under = ceil((under_v - ZERO_V) / _LIMIT_V - _SLACK)
    over = floor((over_v - ZERO_V) / _LIMIT_V + _SLACK)
    for name, code in (("under_voltage_v", under), ("over_voltage_v", over)):
        if not _LIMIT_CODES[0] <= code <= _LIMIT_CODES[1]:
            raise ValueError(f"{name} is outside what the chip can do, up to {limits_v(0, _LIMIT_CODES[1])[1]:.3f} V")
    return under, over


def limits_v(under: int, over: int) -> tuple[float, float]:
    """What the chip makes of VUV and VOV."""
    return round(under * _LIMIT_V + ZERO_V, 9), round(over * _LIMIT_V + ZERO_V, 9)


@dataclass(frozen=True, slots=True)
class Layout:
    """CFGA and CFGB, side by side."""

    under: int
    over: int
    writes: tuple[int, ...] = (WRCFGA, WRCFGB)
    reads: tuple[int, ...] = (RDCFGA, RDCFGB)

    def build(self, discharge: np.ndarray) -> np.ndarray:
        limits = (self.over & 0xFFF) << 12 | self.under & 0xFFF
        groups = np.frombuffer(_CFGA + limits.to_bytes(3, "little") + bytes(1), dtype=np.uint8)
        switches = np.packbits(discharge, axis=1, bitorder="little")
        return np.concatenate([np.tile(groups, (len(discharge), 1)), switches], axis=1)

    def discharging(self, held: np.ndarray) -> np.ndarray:
        return np.unpackbits(held, axis=1, bitorder="little")[:, _SWITCHES].astype(bool)

    def same(self, held: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """GPO bits read the pins: they are left out."""
        same: np.ndarray = ((held ^ wanted) & _COMPARED == 0).all(axis=1)
        return same


def under_over(statd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of STATD, uint8 (devices, 6): bool (devices, 16) each, two bits a cell."""
    bits = np.unpackbits(statd[:, :4], axis=1, bitorder="little").astype(bool)
    return bits[:, 0::2], bits[:, 1::2]


def flags(statc: np.ndarray) -> np.ndarray:
    """Of STATC, uint8 (devices, 6): bool (devices, 16) as ``FLAGS`` names them."""
    return np.unpackbits(statc[:, 4:6], axis=1, bitorder="little").astype(bool)
