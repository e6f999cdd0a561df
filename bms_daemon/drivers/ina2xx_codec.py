"""Registers of TI's INA226, INA228 and INA238 current monitors, without any I/O (TI SBOS547B, Linux's ina238.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PartName = Literal["ina226", "ina228", "ina238"]
Word = tuple[int, int]  # register, value
MANUFACTURER = 0x5449
COUNTER_BYTES = 5
MISCOUNTED = 0x0600  # of an INA228's flags: its charge has wrapped, or a current was too large for it
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Register:
    """A measured value: where it is, how many bytes, how many bits below it mean nothing, V of a count."""

    at: int
    length: int
    unused: int
    step_v: float
    signed: bool = True

    def volts(self, raw: bytes) -> float:
        return (int.from_bytes(raw, "big", signed=self.signed) >> self.unused) * self.step_v


@dataclass(frozen=True, slots=True)
class Part:
    """``setup`` is written and watched; ``ready`` is the register and bit of a new conversion, one every ``period_s``.

    ``calibration``: its register and the factor of LSB times ohm. ``memory``: the bit of ``ready``'s register that a
    sound chip has set, 0 where it has none. ``counter``: the register of its charge, None where it has none.
    """

    shunt: Register
    bus: Register
    setup: tuple[Word, ...]
    identity: tuple[Word, Word]
    ready: Word
    memory: int
    calibration: Word
    counts: int
    full_v: float
    period_s: float
    counter: int | None = None


_READY_228 = (0x0B, 0x0002)
_SETUP_228: tuple[Word, ...] = ((0x00, 0x0000), (0x01, 0xFB6A))  # continuous, 1052 us each, 16 averaged
PARTS: dict[PartName, Part] = {
    "ina226": Part(
        shunt=Register(0x01, 2, 0, 2.5e-6),
        bus=Register(0x02, 2, 0, 1.25e-3, signed=False),
        setup=((0x00, 0x4527),),  # continuous, 1.1 ms each, 16 averaged
        identity=((0xFE, MANUFACTURER), (0xFF, 0x2260)),
        ready=(0x06, 0x0008),
        memory=0,
        calibration=(0x05, 0),
        counts=2**15,
        full_v=0.08192,
        period_s=0.0352,
    ),
    "ina228": Part(
        shunt=Register(0x04, 3, 4, 312.5e-9),
        bus=Register(0x05, 3, 4, 195.3125e-6),
        setup=_SETUP_228,
        identity=((0x3E, MANUFACTURER), (0x3F, 0x2280)),
        ready=_READY_228,
        memory=0x0001,
        calibration=(0x02, 13_107_200_000),
        counts=2**19,
        full_v=0.16384,
        period_s=0.0505,
        counter=0x0A,
    ),
    "ina238": Part(
        shunt=Register(0x04, 2, 0, 5e-6),
        bus=Register(0x05, 2, 0, 3.125e-3),
        setup=_SETUP_228,
        identity=((0x3E, MANUFACTURER), (0x3F, 0x2380)),
        ready=_READY_228,
        memory=0x0001,
        calibration=(0x02, 819_200_000),
        counts=2**15,
        full_v=0.16384,
        period_s=0.0505,
    ),
}


def calibration(part: Part, largest_a: float, shunt_ohm: float) -> int:
    """What goes into the calibration register for currents up to ``largest_a``."""
    step_a = largest_a / part.counts
    _, factor = part.calibration
    return round(factor * step_a * shunt_ohm if factor else 0.00512 / (step_a * shunt_ohm))


def charge_ah(part: Part, raw: bytes, calibrated: int, shunt_ohm: float) -> float:
    """Ah of a charge register: seconds times counts of the LSB that stands in the calibration register."""
    _, factor = part.calibration
    step_a = calibrated / (factor * shunt_ohm)
    return int.from_bytes(raw, "big", signed=True) * step_a / _HOUR_S
