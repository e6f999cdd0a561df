"""The bq76952's bytes: CRC, subcommand frames and direct registers, without any I/O (TI SLUUBY2B, SLUAA11B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.model import BusFault, FloatArray, Trip

BATTERY_STATUS = 0x12
SAFETY_BLOCK, SAFETY_BLOCK_LEN = 0x02, 18
MEASURE_BLOCK, MEASURE_BLOCK_LEN = 0x14, 40
SUBCOMMAND, BUFFER, CHECKSUM = 0x3E, 0x40, 0x60
BUFFER_LEN = 32
ALARM_STATUS, ALARM_ENABLE = 0x62, 0x66
TEMPERATURE_BLOCK, TEMPERATURE_BLOCK_LEN = 0x68, 20
FET_STATUS = 0x7F

TEMPERATURE_PINS = ("die", "CFETOFF", "DFETOFF", "ALERT", "TS1", "TS2", "TS3", "HDQ", "DCHG", "DDSG")

STATUS_CFGUPDATE, STATUS_POR, STATUS_PF = 0x0001, 0x0008, 0x1000
FET_CHG, FET_DSG = 0x01, 0x04
SSBC, FULLSCAN = 0x8000, 0x0080
ALARMS = 0xE000 | FULLSCAN  # SSBC, SSA, PF: protections at once; FULLSCAN: the proof of conversion

CELLS = 16
_DECIKELVIN_ZERO_DEGC = 273.15

_TRIPS_A = (
    (0x80, Trip.SHORT_CIRCUIT),
    (0x60, Trip.OVER_CURRENT_DISCHARGE),
    (0x10, Trip.OVER_CURRENT_CHARGE),
    (0x08, Trip.OVER_VOLTAGE),
    (0x04, Trip.UNDER_VOLTAGE),
)
_TRIPS_B = ((0xF0, Trip.OVER_TEMPERATURE), (0x07, Trip.UNDER_TEMPERATURE))
_TRIPS_C = (
    (0x40, Trip.SHORT_CIRCUIT),
    (0xA0, Trip.OVER_CURRENT_DISCHARGE),
    (0x10, Trip.OVER_VOLTAGE),
    (0x04, Trip.INTERNAL),
    (0x02, Trip.HOST_WATCHDOG),
)


def _crc_table() -> bytes:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value << 1) ^ (0x107 if value & 0x80 else 0)
        return value

    return bytes(entry(value) for value in range(256))


_CRC = _crc_table()


def crc8(data: bytes) -> int:
    """CRC-8, polynomial 0x07, initial value 0 (TI SLUAA11B)."""
    crc = 0
    for byte in data:
        crc = _CRC[crc ^ byte]
    return crc


def protect_write(address: int, register: int, data: bytes) -> bytes:
    """Data bytes each followed by its CRC; the first one's covers address and register too."""
    if not data:
        return b""
    out = bytearray((data[0], crc8(bytes((address << 1, register, data[0])))))
    for byte in data[1:]:
        out += bytes((byte, _CRC[byte]))
    return bytes(out)


def check_read(address: int, register: int, raw: bytes) -> bytes:
    """The data of a read with CRCs, ``2 n`` bytes for ``n``. Raises BusFault("crc")."""
    data, crcs = raw[0::2], raw[1::2]
    if not data or len(data) != len(crcs):
        raise BusFault("crc", f"register 0x{register:02X}: odd length")
    first = crc8(bytes((address << 1, register, (address << 1) | 1, data[0])))
    if crcs[0] != first or crcs[1:] != data[1:].translate(_CRC):
        raise BusFault("crc", f"register 0x{register:02X}")
    return data


def checksum(code: int, data: bytes) -> int:
    """Of a subcommand or data-memory address and its data, the I2C address left out."""
    return ~((code & 0xFF) + (code >> 8) + sum(data)) & 0xFF


def check_buffer(code: int, raw: bytes) -> bytes:
    """The data of registers 0x40..0x61 after a subcommand. Raises BusFault("crc") for a wrong length or checksum."""
    length = raw[BUFFER_LEN + 1] - 4
    if not 0 <= length <= BUFFER_LEN:
        raise BusFault("crc", f"subcommand 0x{code:04X}: length {length + 4}")
    data = raw[:length]
    if raw[BUFFER_LEN] != checksum(code, data):
        raise BusFault("crc", f"subcommand 0x{code:04X}: checksum")
    return data


def fet_control(charge: bool, discharge: bool) -> int:
    """FET_CONTROL's data: 1 forces off; the precharge and predischarge outputs stay off. Not FET Status's layout."""
    return 0x0A | (0 if charge else 0x04) | (0 if discharge else 0x01)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The block 0x14..0x3B: every cell input in V, and the stack, PACK and LD pins in V; current in A."""

    inputs_v: FloatArray
    stack_v: float
    pack_v: float
    load_v: float
    current_a: float


def decode_measurement(raw: bytes, user_a: float) -> Measurement:
    """40 bytes with voltages in 1 mV (cells) and 10 mV (pins), current in ``user_a``, positive when charging."""
    words = np.frombuffer(raw, dtype="<i2", count=CELLS + 4)
    stack, pack, load, current = words[CELLS:].tolist()
    return Measurement(words[:CELLS] * 1e-3, stack * 0.01, pack * 0.01, load * 0.01, current * user_a)


@dataclass(frozen=True, slots=True)
class Status:
    """The block 0x02..0x13: what the chip's protections have done, and what state it is in."""

    trips: Trip
    was_reset: bool


def _named(bits: int, table: tuple[tuple[int, Trip], ...]) -> Trip:
    found = Trip.NONE
    for mask, trip in table:
        if bits & mask:
            found |= trip
    return found


def decode_status(raw: bytes, alarms: int = 0) -> Status:
    """18 bytes from Safety Alert A to Battery Status, and Alarm Status. A permanent failure is a trip of kind INTERNAL.

    The host watchdog's fault ends with the first byte that the host sends, before anybody can read it; it is the only
    protection of groups B and C that is enabled, so that a latched SSBC without its cause tells of it.
    """
    battery = raw[16] | raw[17] << 8
    trips = Trip.NONE
    if raw[1] | raw[3] | raw[5]:
        trips = _named(raw[1], _TRIPS_A) | _named(raw[3], _TRIPS_B) | _named(raw[5], _TRIPS_C)
    if alarms & SSBC and not raw[3] | raw[5]:
        trips |= Trip.HOST_WATCHDOG
    if raw[9] | raw[11] | raw[13] | raw[15] or battery & STATUS_PF:
        trips |= Trip.INTERNAL
    return Status(trips, bool(battery & (STATUS_POR | STATUS_CFGUPDATE)))


def decode_temperatures(raw: bytes) -> dict[str, float]:
    """20 bytes in 0.1 K as degrees Celsius by pin; "die" is the chip's own."""
    words = np.frombuffer(raw, dtype="<i2", count=len(TEMPERATURE_PINS)).tolist()
    return {pin: word * 0.1 - _DECIKELVIN_ZERO_DEGC for pin, word in zip(TEMPERATURE_PINS, words, strict=True)}
