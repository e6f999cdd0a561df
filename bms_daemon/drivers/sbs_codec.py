"""Smart Battery Data over SMBus: words, packet error codes and status bits, without any I/O (SBS 1.1, SMBus 1.1)."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.drivers.bq76952_codec import crc8
from bms_daemon.model import BusFault, Trip

TEMPERATURE, VOLTAGE, CURRENT, RELATIVE_SOC = 0x08, 0x09, 0x0A, 0x0D
CHARGING_CURRENT, CHARGING_VOLTAGE, STATUS, DESIGN_VOLTAGE, SPECIFICATION = 0x14, 0x15, 0x16, 0x19, 0x1A
CELL_1 = 0x3F  # the others follow downwards
CHEMISTRY = 0x22
ANY_CURRENT = 0xFFFF
KELVIN = 273.15

_INITIALIZED, _TERMINATE_CHARGE, _TERMINATE_DISCHARGE = 0x0080, 0x4000, 0x0800
_ERRORS = ("", "busy", "reserved command", "unsupported command", "access denied", "overflow", "wrong size", "unknown")
_TRIPS = ((0x8000, Trip.OVER_VOLTAGE), (0x1000, Trip.OVER_TEMPERATURE))


def word_of(address: int, command: int, raw: bytes, pec: bool) -> int:
    """An unsigned word from its two bytes, or three with a packet error code. Raises BusFault("crc"), ("framing")."""
    length = 3 if pec else 2
    if len(raw) != length:
        raise BusFault("framing", f"command 0x{command:02X}: {len(raw)} bytes came, {length} were asked for")
    if pec and crc8(bytes((address << 1, command, (address << 1) | 1)) + raw[:2]) != raw[2]:
        raise BusFault("crc", f"command 0x{command:02X}")
    return int.from_bytes(raw[:2], "little")


def signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


@dataclass(frozen=True, slots=True)
class Scale:
    """What volts and amperes are to be multiplied with; ``pec``: the battery says that it sends codes."""

    volts: float
    amps: float
    pec: bool


def scale_of(specification: int) -> Scale:
    """From SpecificationInfo. Raises BusFault("refused") for what no battery says."""
    version, volts, amps = specification >> 4 & 15, specification >> 8 & 15, specification >> 12
    if version not in (1, 2, 3) or volts > 3 or amps > 3:
        raise BusFault("refused", f"SpecificationInfo 0x{specification:04X} is no smart battery's")
    return Scale(10.0**volts, 10.0**amps, version == 3)


@dataclass(frozen=True, slots=True)
class Status:
    """BatteryStatus. ``settled``: it has measured since its start; ``error`` in words, of the command before."""

    trips: Trip
    settled: bool
    charge_ends: bool
    discharge_ends: bool
    error: str


def decode_status(word: int) -> Status:
    trips = Trip.NONE
    for bit, trip in _TRIPS:
        if word & bit:
            trips |= trip
    code = word & 15
    return Status(
        trips,
        bool(word & _INITIALIZED),
        bool(word & _TERMINATE_CHARGE),
        bool(word & _TERMINATE_DISCHARGE),
        _ERRORS[min(code, len(_ERRORS) - 1)],
    )
