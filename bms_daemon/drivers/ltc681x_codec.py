"""The LTC681x family's bytes: commands, groups of registers and their checksums, without any I/O (ADI data sheets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from bms_daemon.model import FloatArray

COUNT_V = 100e-6
COMMAND = 4  # bytes of a command with its code
GROUP = 6  # bytes of a register group
SLOT = GROUP + 2  # with its checksum
_POLYNOMIAL, _SEED, _TOP = 0x4599, 0x0010, 0x4000
_SLACK = 1e-6  # of a code: an exact multiple must not fall to the next one by its last bit
_LIMIT_STEPS = 16  # of a count, of the chip's voltage limits
_REFON, _PULL_DOWNS_OFF, _LIMIT_MAX = 0x04, 0xF8, 0xFFF


def _table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        remainder = value << 7
        for _ in range(8):
            remainder = (remainder << 1) ^ (_POLYNOMIAL if remainder & _TOP else 0)
        return remainder & 0x7FFF

    return tuple(entry(value) for value in range(256))


_PEC = _table()


def pec15(data: bytes) -> int:
    """Packet error code of these bytes, as it is sent: 15 bits and a 0."""
    remainder = _SEED
    for byte in data:
        remainder = (remainder << 8 ^ _PEC[(remainder >> 7 ^ byte) & 0xFF]) & 0x7FFF
    return remainder << 1


def command(code: int) -> bytes:
    """Two bytes and their code, which every device of the chain hears."""
    data = code.to_bytes(2, "big")
    return data + pec15(data).to_bytes(2, "big")


def write(code: int, groups: Sequence[bytes]) -> bytes:
    """A command with a group for every device, the nearest first here, the farthest first on the wire."""
    return command(code) + b"".join(group + pec15(group).to_bytes(2, "big") for group in reversed(groups))


def read(code: int, devices: int) -> bytes:
    """A command with room for every device's answer."""
    return command(code) + bytes(SLOT * devices)


@dataclass(frozen=True, slots=True)
class Answer:
    """A group of every device, the nearest first: ``data`` uint8 (devices, 6), ``good`` and ``silent`` bool (devices,).

    ``silent``: nothing but ones came, as from a line that nobody drives.
    """

    data: np.ndarray
    good: np.ndarray
    silent: np.ndarray

    @property
    def words(self) -> np.ndarray:
        """uint16 (devices, 3)."""
        return self.data.view("<u2")


def answer(raw: bytes, devices: int) -> Answer:
    """What came back for ``read``; too few bytes count as ones."""
    slots = np.frombuffer(raw[COMMAND:].ljust(SLOT * devices, b"\xff"), dtype=np.uint8, count=SLOT * devices)
    slots = slots.reshape(devices, SLOT)
    codes = [pec15(slot[:GROUP].tobytes()) for slot in slots]
    sent = slots[:, GROUP].astype(np.uint16) << 8 | slots[:, GROUP + 1]
    return Answer(np.ascontiguousarray(slots[:, :GROUP]), sent == np.array(codes), (slots == 0xFF).all(axis=1))


def limit_codes(under_v: float, over_v: float) -> tuple[int, int]:
    """VUV and VOV; rounded to the stricter side. Raises ValueError for what the chip cannot do."""
    step_v = _LIMIT_STEPS * COUNT_V
    under, over = ceil(under_v / step_v - _SLACK) - 1, floor(over_v / step_v + _SLACK)
    for name, code in (("under_voltage_v", under), ("over_voltage_v", over)):
        if not 0 <= code <= _LIMIT_MAX:
            raise ValueError(f"{name} is outside what the chip can do, up to {_LIMIT_MAX * step_v:.3f} V")
    return under, over


def limits_v(under: int, over: int) -> tuple[float, float]:
    """What the chip makes of VUV and VOV."""
    step_v = _LIMIT_STEPS * COUNT_V
    return round((under + 1) * step_v, 9), round(over * step_v, 9)


def configuration(under: int, over: int) -> bytes:
    """CFGRA: reference on, thermistor pins free of their pull-downs, nothing discharged, no discharge timer."""
    limits = over << 12 | under
    return bytes((_PULL_DOWNS_OFF | _REFON,)) + limits.to_bytes(3, "little") + bytes(2)


def same_configuration(held: np.ndarray, wanted: bytes) -> np.ndarray:
    """bool (devices,): whether CFGRA (devices, 6) holds it. GPIO bits read the pins, DTEN a pin: they are left out."""
    mask = np.array([0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], dtype=np.uint8)
    same: np.ndarray = ((held ^ np.frombuffer(wanted, dtype=np.uint8)) & mask == 0).all(axis=1)
    return same


@dataclass(frozen=True, slots=True)
class Status:
    """STATB of every device: ``under`` and ``over`` bool (devices, 12); ``mux_fail`` and ``hot`` bool (devices,)."""

    digital_v: FloatArray
    under: np.ndarray
    over: np.ndarray
    mux_fail: np.ndarray
    hot: np.ndarray


def decode_status(data: np.ndarray) -> Status:
    """uint8 (devices, 6): digital supply, two bits a cell, revision with two flags."""
    bits = np.unpackbits(np.ascontiguousarray(data[:, 2:5]), axis=1, bitorder="little").astype(bool)
    flags = data[:, 5]
    digital_v = np.ascontiguousarray(data[:, :2]).view("<u2")[:, 0] * COUNT_V
    return Status(digital_v, bits[:, 0::2], bits[:, 1::2], (flags & 0x02) != 0, (flags & 0x01) != 0)
