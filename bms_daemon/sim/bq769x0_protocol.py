"""The bq769x0's registers and the check codes of its I2C transfers."""

from __future__ import annotations

STAT, BAL_1, BAL_2, BAL_3, CTRL_1, CTRL_2 = range(6)
PROTECT_1, PROTECT_2, PROTECT_3, OV_TRIP, UV_TRIP, CC_CFG, VC_1 = range(6, 13)
BAT, TS_1, CC, GAIN_1, OFFSET, GAIN_2 = 0x2A, 0x2C, 0x32, 0x50, 0x51, 0x59
READY, XREADY, OVERRIDE, UV, OV, SCD, OCD = 0x80, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
ADC_EN, TEMP_SEL, SHUT = 0x10, 0x08, 0x03
DELAY_DIS, CC_EN, DSG_ON, CHG_ON = 0x80, 0x40, 0x02, 0x01
CC_CONFIGURED = 0x19
# Bits that a host can set; the others read 0.
WRITABLE = {
    BAL_1: 0x1F,
    BAL_2: 0x1F,
    BAL_3: 0x1F,
    CTRL_1: ADC_EN | TEMP_SEL,
    CTRL_2: DELAY_DIS | CC_EN | DSG_ON | CHG_ON,
    PROTECT_1: 0x9F,
    PROTECT_2: 0x7F,
    PROTECT_3: 0xF0,
    OV_TRIP: 0xFF,
    UV_TRIP: 0xFF,
    CC_CFG: 0x3F,
}


def _crc_byte(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


_CRC = bytes(_crc_byte(value) for value in range(256))


def crc(data: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, start 0."""
    register = 0
    for byte in data:
        register = _CRC[register ^ byte]
    return register


def taken(address: int, register: int, data: bytes) -> bytes:
    """The bytes of a write, each followed by its code, up to the first whose code is wrong or missing.

    The first code covers the address with the write bit, the register and the byte, every later one its byte alone.
    """
    good = bytearray()
    head = bytes((address << 1, register))
    for value, code in zip(data[0::2], data[1::2], strict=False):
        if crc(head + bytes((value,))) != code:
            break
        good.append(value)
        head = b""
    return bytes(good)


def coded(address: int, data: bytes) -> bytearray:
    """A read's bytes, each followed by its code; the first covers the address with the read bit, not the register."""
    wire = bytearray(2 * len(data))
    wire[0::2] = data
    wire[1::2] = data.translate(_CRC)
    if data:
        wire[1] = crc(bytes((address << 1 | 1, data[0])))
    return wire
