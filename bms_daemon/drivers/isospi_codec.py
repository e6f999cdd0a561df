"""What ADI's monitors on isoSPI have in common: commands with their code, and groups of registers, without any I/O.

Of a group's own checksum there are two kinds, which the families' ``Framing`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

COMMAND = 4  # bytes of a command with its code
GROUP = 6  # bytes of a register group
SLOT = GROUP + 2  # with its checksum
_POLYNOMIAL, _SEED, _TOP = 0x4599, 0x0010, 0x4000


def _table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        remainder = value << 7
        for _ in range(8):
            remainder = (remainder << 1) ^ (_POLYNOMIAL if remainder & _TOP else 0)
        return remainder & 0x7FFF

    return tuple(entry(value) for value in range(256))


PEC = _table()


def pec15(data: bytes) -> int:
    """Packet error code of these bytes, as it is sent: 15 bits and a 0."""
    remainder = _SEED
    for byte in data:
        remainder = (remainder << 8 ^ PEC[(remainder >> 7 ^ byte) & 0xFF]) & 0x7FFF
    return remainder << 1


def command(code: int) -> bytes:
    """Two bytes and their code, which every device of the chain hears."""
    data = code.to_bytes(2, "big")
    return data + pec15(data).to_bytes(2, "big")


def read(code: int, devices: int) -> bytes:
    """A command with room for every device's answer."""
    return command(code) + bytes(SLOT * devices)


class Framing(Protocol):
    """What stands in the two bytes behind a group. Groups are uint8 (..., 6), what stands behind them uint16 (...)."""

    def codes(self, groups: np.ndarray) -> np.ndarray:
        """Behind groups that the host writes."""
        ...

    def good(self, groups: np.ndarray, sent: np.ndarray) -> np.ndarray:
        """bool (...): whether ``sent`` is what may stand behind groups that devices answer."""
        ...

    def heard(self, codes: Sequence[int]) -> None:
        """These commands have gone out to every device."""
        ...


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


def write(code: int, groups: np.ndarray, framing: Framing) -> bytes:
    """A command with a group for every device, uint8 (devices, 6): the nearest first here, last on the wire."""
    codes = framing.codes(groups).astype(">u2")[:, None].view(np.uint8)
    return command(code) + np.concatenate([groups, codes], axis=1)[::-1].tobytes()


def answers(raw: Sequence[bytes], devices: int, framing: Framing) -> list[Answer]:
    """What came back for each ``read``; too few bytes count as ones."""
    room = SLOT * devices
    whole = b"".join(each[COMMAND : COMMAND + room].ljust(room, b"\xff") for each in raw)
    slots = np.frombuffer(whole, dtype=np.uint8).reshape(len(raw), devices, SLOT)
    groups = np.ascontiguousarray(slots[..., :GROUP])
    sent = slots[..., GROUP].astype(np.uint16) << 8 | slots[..., GROUP + 1]
    good, silent = framing.good(groups, sent), (slots == 0xFF).all(axis=-1)
    return [Answer(*found) for found in zip(groups, good, silent, strict=True)]


def data_of(found: Sequence[Answer]) -> np.ndarray:
    """Groups side by side, uint8 (devices, 6 * groups)."""
    return np.concatenate([each.data for each in found], axis=1)


def words_of(found: Sequence[Answer]) -> np.ndarray:
    """Groups side by side, uint16 (devices, 3 * groups)."""
    return data_of(found).view("<u2")
