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
_REFON, _PULL_DOWNS_OFF, _FURTHER_PULL_DOWNS_OFF, _LIMIT_MAX = 0x04, 0xF8, 0x0F, 0xFFF
_FIRST_CELLS = 12  # whose switches are in CFGA
_DCC = np.r_[32:44, 52:58]  # bits of the switches of cells 1 to 18, through CFGA and CFGB
_COMPARED = np.frombuffer(bytes.fromhex("05ffffffffff" "f0ff00000000"), dtype=np.uint8)


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


def _weights() -> np.ndarray:
    """uint16 (6, 256): what each byte adds at each place of a group; the code of six zeros is in the first place."""
    table = np.array(_PEC, dtype=np.uint16)
    rows = [table]
    for _ in range(GROUP - 1):
        rows.insert(0, (rows[0] << 8 ^ table[rows[0] >> 7]) & 0x7FFF)
    weights: np.ndarray = np.stack(rows) << 1
    weights[0] ^= pec15(bytes(GROUP))
    return weights


_WEIGHTS, _PLACES = _weights(), np.arange(GROUP)


def group_codes(groups: np.ndarray) -> np.ndarray:
    """The codes of many groups at once: uint8 (..., 6) to uint16 (...). A checksum is a sum: of its bytes' shares."""
    codes: np.ndarray = np.bitwise_xor.reduce(_WEIGHTS[_PLACES, groups], axis=-1)
    return codes


def command(code: int) -> bytes:
    """Two bytes and their code, which every device of the chain hears."""
    data = code.to_bytes(2, "big")
    return data + pec15(data).to_bytes(2, "big")


def write(code: int, groups: np.ndarray) -> bytes:
    """A command with a group for every device, uint8 (devices, 6): the nearest first here, last on the wire."""
    codes = group_codes(groups).astype(">u2")[:, None].view(np.uint8)
    return command(code) + np.concatenate([groups, codes], axis=1)[::-1].tobytes()


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


def answers(raw: Sequence[bytes], devices: int) -> list[Answer]:
    """What came back for each ``read``; too few bytes count as ones."""
    room = SLOT * devices
    whole = b"".join(each[COMMAND : COMMAND + room].ljust(room, b"\xff") for each in raw)
    slots = np.frombuffer(whole, dtype=np.uint8).reshape(len(raw), devices, SLOT)
    groups = np.ascontiguousarray(slots[..., :GROUP])
    sent = slots[..., GROUP].astype(np.uint16) << 8 | slots[..., GROUP + 1]
    good, silent = sent == group_codes(groups), (slots == 0xFF).all(axis=-1)
    return [Answer(*found) for found in zip(groups, good, silent, strict=True)]


def data_of(found: Sequence[Answer]) -> np.ndarray:
    """Groups side by side, uint8 (devices, 6 * groups)."""
    return np.concatenate([each.data for each in found], axis=1)


def words_of(found: Sequence[Answer]) -> np.ndarray:
    """Groups side by side, uint16 (devices, 3 * groups)."""
    return data_of(found).view("<u2")


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


def configuration(under: int, over: int, discharge: np.ndarray) -> np.ndarray:
    """CFGA of 12 cells, CFGA and CFGB of more: uint8 (devices, 6 or 12), from bool (devices, cells).

    Reference on, thermistor pins free of their pull-downs, no discharge timer, and the switches that are on.
    """
    limits = (over << 12 | under).to_bytes(3, "little")
    groups = bytes((_PULL_DOWNS_OFF | _REFON,)) + limits + bytes(2)
    if discharge.shape[1] > _FIRST_CELLS:
        groups += bytes((_FURTHER_PULL_DOWNS_OFF,)) + bytes(5)
    bits = np.unpackbits(np.frombuffer(groups, dtype=np.uint8), bitorder="little")
    every = np.tile(bits, (discharge.shape[0], 1))
    every[:, _DCC[: discharge.shape[1]]] = discharge
    return np.packbits(every, axis=1, bitorder="little")


def discharging(held: np.ndarray, cells: int) -> np.ndarray:
    """bool (devices, cells): switches that a configuration has on."""
    return np.unpackbits(held, axis=1, bitorder="little")[:, _DCC[:cells]].astype(bool)


def same_configuration(held: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bool (devices,): whether devices hold it. GPIO bits read the pins, DTEN a pin: they are left out."""
    same: np.ndarray = ((held ^ wanted) & _COMPARED[: held.shape[1]] == 0).all(axis=1)
    return same


@dataclass(frozen=True, slots=True)
class Status:
    """Of every device: ``under`` and ``over`` bool (devices, cells); ``mux_fail`` and ``hot`` bool (devices,)."""

    digital_v: FloatArray
    under: np.ndarray
    over: np.ndarray
    mux_fail: np.ndarray
    hot: np.ndarray


def decode_status(cells: int, statb: np.ndarray, auxd: np.ndarray | None = None) -> Status:
    """Groups of uint8 (devices, 6): digital supply, two bits a cell, revision with two flags.

    ``auxd`` holds the bits of cells 13 to 18, of parts that have them.
    """
    pairs = statb[:, 2:5] if auxd is None else np.concatenate([statb[:, 2:5], auxd[:, 4:6]], axis=1)
    bits = np.unpackbits(pairs, axis=1, bitorder="little").astype(bool)
    flags = statb[:, 5]
    digital_v = np.ascontiguousarray(statb[:, :2]).view("<u2")[:, 0] * COUNT_V
    under, over = bits[:, 0 : 2 * cells : 2], bits[:, 1 : 2 * cells : 2]
    return Status(digital_v, under, over, (flags & 0x02) != 0, (flags & 0x01) != 0)
