"""Data memory of the bq76952 emulator: the image, its power-up defaults and typed access. Little-endian throughout."""

from __future__ import annotations

import struct
import zlib

BASE = 0x9180
SIZE = 0x0280
BLOCK = 32

# Address, struct format, value: TI SLUUBY2B, data memory table. Everything that is not listed is zero.
_DEFAULTS: tuple[tuple[int, str, float], ...] = (
    (0x91A8, "<f", 7.5684),  # CC gain of a 1 mOhm shunt
    (0x91AC, "<f", 7.5684 * 298261.6178),
    (0x9234, "<H", 0x2982),  # Power Config: SLEEP allowed
    (0x923A, "<B", 0x10),
    (0x9248, "<h", 20),  # sleep current, mA
    (0x9261, "<B", 0x88),  # Enabled Protections A: SCD and COV only
    (0x9265, "<3B", 0x98_D5_56),  # CHG FET Protections A, B, C
    (0x9269, "<3B", 0xE4_E6_E2),  # DSG FET Protections A, B, C
    (0x926D, "<H", 0xF800),  # Default Alarm Mask
    (0x926F, "<3B", 0xFC_F7_F4),  # SF Alert Masks A, B, C
    (0x9275, "<B", 50),
    (0x9276, "<H", 74),
    (0x9278, "<B", 86),
    (0x9279, "<H", 74),
    (0x927B, "<B", 2),
    (0x927C, "<B", 2),
    (0x9280, "<B", 2),
    (0x9281, "<B", 4),
    (0x9282, "<B", 4),
    (0x9283, "<B", 1),
    (0x9284, "<B", 3),
    (0x9285, "<B", 7),
    (0x9286, "<B", 0),
    (0x9287, "<B", 2),
    (0x929A, "<b", 55),
    (0x929B, "<B", 2),
    (0x929C, "<b", 50),
    (0x929D, "<b", 60),
    (0x929E, "<B", 2),
    (0x929F, "<b", 55),
    (0x92A3, "<b", 85),
    (0x92A4, "<B", 2),
    (0x92A5, "<b", 80),
    (0x92A6, "<b", 0),
    (0x92A7, "<B", 2),
    (0x92A8, "<b", 5),
    (0x92A9, "<b", 0),
    (0x92AA, "<B", 2),
    (0x92AB, "<b", 5),
    (0x92AC, "<b", -20),
    (0x92AD, "<B", 2),
    (0x92AE, "<b", -15),
    (0x92AF, "<B", 3),  # recovery time, s
    (0x92B2, "<H", 60),  # host watchdog delay, s
    (0x92FD, "<B", 0x07),  # TS1: cell thermistor
    (0x9303, "<B", 0x05),  # DA Config: 10 mV, 1 mA
    (0x9308, "<B", 0x0D),  # FET Options
    (0x9336, "<b", -20),
    (0x9337, "<b", 60),
    (0x9338, "<b", 70),
    (0x9339, "<B", 20),
    (0x933A, "<B", 1),
    (0x9343, "<H", 0x0040),  # Mfg Status Init: FET_EN clear
)


def _packed(layout: str, value: float) -> bytes:
    if layout == "<3B":
        return int(value).to_bytes(3, "big")
    return struct.pack(layout, value if layout == "<f" else int(value))


class DataMemory:
    """The RAM image. ``reset`` loads the defaults; nothing survives it, as on a chip without programmed OTP."""

    def __init__(self) -> None:
        self._image = bytearray(SIZE + BLOCK)
        self.reset()

    def reset(self) -> None:
        self._image[:] = bytes(len(self._image))
        for address, layout, value in _DEFAULTS:
            data = _packed(layout, value)
            self._image[address - BASE : address - BASE + len(data)] = data

    @staticmethod
    def holds(address: int) -> bool:
        return BASE <= address < BASE + SIZE

    def block(self, address: int) -> bytes:
        """The 32 bytes from ``address`` on."""
        return bytes(self._image[address - BASE : address - BASE + BLOCK])

    def write(self, address: int, data: bytes) -> None:
        self._image[address - BASE : address - BASE + len(data)] = data

    def u8(self, address: int) -> int:
        return self._image[address - BASE]

    def i8(self, address: int) -> int:
        return int.from_bytes(self._image[address - BASE : address - BASE + 1], "little", signed=True)

    def u16(self, address: int) -> int:
        return int.from_bytes(self._image[address - BASE : address - BASE + 2], "little")

    def i16(self, address: int) -> int:
        return int.from_bytes(self._image[address - BASE : address - BASE + 2], "little", signed=True)

    def f32(self, address: int) -> float:
        (value,) = struct.unpack_from("<f", self._image, address - BASE)
        return float(value)

    @property
    def signature(self) -> int:
        """STATIC_CFG_SIG: changes with the image; the chip's own polynomial is not published."""
        return zlib.crc32(self._image[:SIZE]) & 0x7FFF
