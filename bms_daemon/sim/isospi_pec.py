"""The packet error code of 15 bits, as the data sheets draw its register, worked out once for every byte."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TAPS = (14, 10, 8, 7, 4, 3, 0)  # of the 15-bit register that are fed back
START = 0x0010


def _shifted(register: int, bits: int, count: int) -> int:
    """The register after ``count`` bits, the highest first."""
    for place in range(count - 1, -1, -1):
        back = (bits >> place & 1) ^ register >> 14
        register = register << 1 & 0x7FFF
        for tap in TAPS:
            register ^= back << tap
    return register


_AFTER = tuple(_shifted(high << 7, 0, 8) for high in range(256))


@lru_cache(maxsize=4096)
def pec(data: bytes) -> bytes:
    """Two bytes: 15 bits of remainder and a 0."""
    register = START
    for byte in data:
        register = (register << 8 & 0x7FFF) ^ _AFTER[register >> 7 ^ byte]
    return (register << 1).to_bytes(2, "big")


_NOTHING = bytes(6)
_OF_BIT = np.array(
    [
        [(int.from_bytes(pec((1 << place).to_bytes(6, "big"))) ^ int.from_bytes(pec(_NOTHING))) >> bit & 1
         for bit in range(15, -1, -1)]
        for place in range(47, -1, -1)
    ],
    dtype=np.float32,
)  # fmt: skip
_OF_NOTHING = np.frombuffer(pec(_NOTHING), dtype=np.uint8)


def pecs(groups: np.ndarray) -> np.ndarray:
    """Of many groups, uint8 (devices, 6), their two bytes each: each bit that is set turns over bits of its own."""
    turned = (np.unpackbits(groups, axis=1).astype(np.float32) @ _OF_BIT).astype(np.uint8) & 1
    codes: np.ndarray = np.packbits(turned, axis=1) ^ _OF_NOTHING
    return codes
