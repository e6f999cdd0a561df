"""The LTC681x family's bytes: checksums of its groups, configuration and status, without any I/O (ADI data sheets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from bms_daemon.drivers.isospi_codec import GROUP, PEC, pec15
from bms_daemon.drivers.ltc681x_parts import Part
from bms_daemon.model import FloatArray

COUNT_V = 100e-6
_SLACK = 1e-6  # of a code: an exact multiple must not fall to the next one by its last bit
_LIMIT_STEPS = 16  # of a count, of the chip's voltage limits
_REFON, _PULL_DOWNS_OFF, _FURTHER_PULL_DOWNS_OFF, _LIMIT_MAX = 0x04, 0xF8, 0x0F, 0xFFF
_DCC = np.r_[32:44, 52:58]  # bits of the switches of cells 1 to 18, through CFGA and CFGB
_COMPARED = np.frombuffer(bytes.fromhex("05ffffffffff" "f0ff00000000"), dtype=np.uint8)


def _weights() -> np.ndarray:
    """uint16 (6, 256): what each byte adds at each place of a group; the code of six zeros is in the first place."""
    table = np.array(PEC, dtype=np.uint16)
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


class Framing:
    """Behind each group the same code as behind a command."""

    def codes(self, groups: np.ndarray) -> np.ndarray:
        return group_codes(groups)

    def good(self, groups: np.ndarray, sent: np.ndarray) -> np.ndarray:
        same: np.ndarray = sent == group_codes(groups)
        return same

    def heard(self, codes: Sequence[int]) -> None:
        """These devices count nothing."""


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


@dataclass(frozen=True, slots=True)
class Layout:
    """CFGA of 12 cells, CFGA and CFGB of more: reference on, pins free of their pull-downs, no discharge timer."""

    part: Part
    under: int
    over: int

    @property
    def writes(self) -> tuple[int, ...]:
        return self.part.configure

    @property
    def reads(self) -> tuple[int, ...]:
        return self.part.configuration

    def build(self, discharge: np.ndarray) -> np.ndarray:
        limits = (self.over << 12 | self.under).to_bytes(3, "little")
        groups = bytes((_PULL_DOWNS_OFF | _REFON,)) + limits + bytes(2)
        if self.part.extended:
            groups += bytes((_FURTHER_PULL_DOWNS_OFF,)) + bytes(5)
        bits = np.unpackbits(np.frombuffer(groups, dtype=np.uint8), bitorder="little")
        every = np.tile(bits, (discharge.shape[0], 1))
        every[:, _DCC[: self.part.cells]] = discharge
        return np.packbits(every, axis=1, bitorder="little")

    def discharging(self, held: np.ndarray) -> np.ndarray:
        return np.unpackbits(held, axis=1, bitorder="little")[:, _DCC[: self.part.cells]].astype(bool)

    def same(self, held: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """GPIO bits read the pins, DTEN a pin: they are left out."""
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
