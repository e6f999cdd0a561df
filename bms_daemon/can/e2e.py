"""End-to-end protection in the manner of AUTOSAR profile 1: CRC-8 over data id and payload, and a 4-bit counter.

Polynomial, initial value, final XOR and data id come from the DBC's attributes, since sources conflict on profile 1's.
The defaults are CRC-8 SAE J1850: polynomial 0x1D, initial value 0xFF, final XOR 0xFF, not reflected; check value of
"123456789" is 0x4B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

COUNTERS = 15  # 0..14; 15 is reserved


class Status(IntEnum):
    """What a receiver makes of one frame. Only OK may be used."""

    OK = 0
    INITIAL = 1  # first one: shows where the counter stands, not that it moves
    REPEATED = 2
    WRONG_SEQUENCE = 3
    ERROR = 4  # CRC or a reserved counter


@lru_cache
def crc_table(polynomial: int) -> bytes:
    """The 256 remainders of a byte under an 8-bit polynomial, most significant bit first."""
    return bytes(_remainder(byte, polynomial) for byte in range(256))


def _remainder(register: int, polynomial: int) -> int:
    for _ in range(8):
        register = (register << 1) ^ (polynomial if register & 0x80 else 0)
        register &= 0xFF
    return register


def _run(table: bytes, register: int, data: Iterable[int]) -> int:
    for byte in data:
        register = table[register ^ byte]
    return register


def crc8_j1850(data: bytes) -> int:
    """CRC-8 SAE J1850."""
    return _run(crc_table(0x1D), 0xFF, data) ^ 0xFF


@dataclass(frozen=True, slots=True)
class Protection:
    """How one message is protected. ``counter_shift`` is the counter's place in its byte: 0 or 4."""

    data_id: int
    crc_byte: int = 0
    counter_byte: int = 1
    counter_shift: int = 0
    polynomial: int = 0x1D
    initial: int = 0xFF
    final_xor: int = 0xFF
    low_byte_only: bool = False  # only the data id's low byte goes into the CRC
    max_delta: int = 3
    max_repeated: int = 5
    _table: bytes = field(init=False, repr=False)
    _register: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = crc_table(self.polynomial)
        low, high = self.data_id & 0xFF, self.data_id >> 8
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_register", _run(table, self.initial, (low,) if self.low_byte_only else (low, high)))

    def crc(self, data: bytes | bytearray) -> int:
        """CRC over the data id, then every byte but the CRC's own, in their order."""
        register = _run(self._table, self._register, data[: self.crc_byte]) if self.crc_byte else self._register
        return _run(self._table, register, data[self.crc_byte + 1 :]) ^ self.final_xor

    def counter(self, data: bytes) -> int:
        return (data[self.counter_byte] >> self.counter_shift) & 0x0F


class Protect:
    """The sender's side of one message: counts, and completes the payload."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._counter = 0

    def complete(self, payload: bytes) -> bytes:
        """The payload, whose counter and CRC are zero, with both filled in."""
        how = self._protection
        data = bytearray(payload)
        data[how.counter_byte] |= self._counter << how.counter_shift
        data[how.crc_byte] = how.crc(data)
        self._counter = (self._counter + 1) % COUNTERS
        return bytes(data)


class Check:
    """The receiver's side of one message."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._last: int | None = None
        self._repeats = 0

    @property
    def frozen(self) -> bool:
        """The counter stands still: more repetitions in a row than are tolerated."""
        return self._repeats >= self._protection.max_repeated

    def check(self, data: bytes) -> Status:
        """Judge a frame of the right length. A wrong one leaves the sequence as it was."""
        how = self._protection
        counter = how.counter(data)
        if counter >= COUNTERS or data[how.crc_byte] != how.crc(data):
            return Status.ERROR
        return self._follow(counter)

    def _follow(self, counter: int) -> Status:
        last, frozen = self._last, self.frozen
        if counter == last:
            self._repeats += 1
            return Status.REPEATED
        self._last, self._repeats = counter, 0
        if last is None or frozen:
            return Status.INITIAL
        return Status.OK if (counter - last) % COUNTERS <= self._protection.max_delta else Status.WRONG_SEQUENCE
