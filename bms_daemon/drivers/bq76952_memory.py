"""The bq76952's data memory: the items that the daemon writes, their addresses, layouts and values (TI SLUUBY2B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bms_daemon.drivers.bq76952_codec import ALARMS

BLOCK_LEN = 32
UNUSED_PINS = {f"{pin} pin": 0 for pin in ("TS1", "TS2", "TS3", "HDQ", "CFETOFF", "DFETOFF")}
THERMISTOR = 0x07  # 18 kOhm pull-up, reported as a cell temperature
_CC_GAIN_MOHM = 1e6 * 1.24 / (5 * 32768)  # VREF2 = 1.24 V
_CAPACITY_GAIN_RATIO = 298261.6178
_USER_VOLTS_10MV = 0x04
_USER_A = {0.01: 2, 0.1: 3}
_FULL_SCALE = 32767


@dataclass(frozen=True, slots=True)
class Item:
    """One item: where it is and how it is laid out (a struct code, little-endian)."""

    address: int
    layout: str

    def pack(self, value: float) -> bytes:
        return struct.pack("<" + self.layout, value)

    def unpack(self, block: bytes, block_address: int) -> float:
        """The item's value out of a block of memory that holds it."""
        value: float = struct.unpack_from("<" + self.layout, block, self.address - block_address)[0]
        return value

    @property
    def size(self) -> int:
        return struct.calcsize(self.layout)


ITEMS: dict[str, Item] = {
    "CC gain": Item(0x91A8, "f"),
    "capacity gain": Item(0x91AC, "f"),
    "power configuration": Item(0x9234, "H"),
    "enabled protections A": Item(0x9261, "B"),
    "enabled protections B": Item(0x9262, "B"),
    "enabled protections C": Item(0x9263, "B"),
    "CHG FET protections A": Item(0x9265, "B"),
    "CHG FET protections B": Item(0x9266, "B"),
    "CHG FET protections C": Item(0x9267, "B"),
    "DSG FET protections A": Item(0x9269, "B"),
    "DSG FET protections B": Item(0x926A, "B"),
    "DSG FET protections C": Item(0x926B, "B"),
    "alarm mask": Item(0x926D, "H"),
    "CUV threshold": Item(0x9275, "B"),
    "CUV delay": Item(0x9276, "H"),
    "COV threshold": Item(0x9278, "B"),
    "COV delay": Item(0x9279, "H"),
    "CUV hysteresis": Item(0x927B, "B"),
    "COV hysteresis": Item(0x927C, "B"),
    "OCC threshold": Item(0x9280, "B"),
    "OCC delay": Item(0x9281, "B"),
    "OCD1 threshold": Item(0x9282, "B"),
    "OCD1 delay": Item(0x9283, "B"),
    "OCD2 threshold": Item(0x9284, "B"),
    "OCD2 delay": Item(0x9285, "B"),
    "SCD threshold": Item(0x9286, "B"),
    "SCD delay": Item(0x9287, "B"),
    "recovery time": Item(0x92AF, "B"),
    "HWD delay": Item(0x92B2, "H"),
    "CFETOFF pin": Item(0x92FA, "B"),
    "DFETOFF pin": Item(0x92FB, "B"),
    "ALERT pin": Item(0x92FC, "B"),
    "TS1 pin": Item(0x92FD, "B"),
    "TS2 pin": Item(0x92FE, "B"),
    "TS3 pin": Item(0x92FF, "B"),
    "HDQ pin": Item(0x9300, "B"),
    "DCHG pin": Item(0x9301, "B"),
    "DDSG pin": Item(0x9302, "B"),
    "DA configuration": Item(0x9303, "B"),
    "VCell mode": Item(0x9304, "H"),
    "FET options": Item(0x9308, "B"),
    "balancing configuration": Item(0x9335, "B"),
}

FIXED: dict[str, int] = {
    "power configuration": 0x2882,  # the default without SLEEP, which may switch CHG off
    "enabled protections A": 0xFC,  # SCD OCD2 OCD1 OCC COV CUV
    "enabled protections B": 0x00,  # temperatures are the daemon's: their ladder depends on direction
    "enabled protections C": 0x02,  # HWDF
    "CHG FET protections A": 0x98,  # SCD OCC COV; one of the two values that turn off at once
    "CHG FET protections B": 0xF7,
    "CHG FET protections C": 0x52,  # SCDL COVL HWDF
    "DSG FET protections A": 0xE4,  # SCD OCD2 OCD1 CUV
    "DSG FET protections B": 0xF7,
    "DSG FET protections C": 0xE2,  # OCD3 SCDL OCDL HWDF
    "alarm mask": ALARMS,
    "FET options": 0x2C,  # FET_INIT_OFF FET_CTRL_EN HOST_FET_EN; not SFET, as coils have no body diode
    "balancing configuration": 0x00,  # nothing balances by itself
}


def cc_gain(shunt_mohm: float) -> float:
    """CC Gain for a shunt: 7.5684 / mOhm."""
    return _CC_GAIN_MOHM / shunt_mohm


def user_amps(largest_a: float) -> float:
    """Unit of the current register, A: the finest in which ``largest_a`` and a little more do not saturate it."""
    return next((unit for unit in _USER_A if unit * _FULL_SCALE >= 1.05 * largest_a), 0.1)


def scaling(shunt_mohm: float, user_a: float) -> dict[str, float]:
    """Values of the items that turn counts into amperes and volts."""
    gain = cc_gain(shunt_mohm)
    return {
        "CC gain": gain,
        "capacity gain": gain * _CAPACITY_GAIN_RATIO,
        "DA configuration": _USER_VOLTS_10MV | _USER_A[user_a],
    }


def cell_mask(inputs: Sequence[int]) -> int:
    """VCell Mode for cells on these inputs, numbered from 1."""
    return sum(1 << (number - 1) for number in inputs)


def blocks(names: Mapping[str, float]) -> Iterator[tuple[int, list[str]]]:
    """Reads that cover these items: address of a 32-byte block and the items in it, ascending."""
    group: list[str] = []
    for name in sorted(names, key=lambda name: ITEMS[name].address):
        if group and ITEMS[name].address + ITEMS[name].size > ITEMS[group[0]].address + BLOCK_LEN:
            yield ITEMS[group[0]].address, group
            group = []
        group.append(name)
    if group:
        yield ITEMS[group[0]].address, group
