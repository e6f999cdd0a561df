"""The LTC681x chain's packet error code, as the data sheet draws its register, worked out once for every byte."""

from __future__ import annotations

from functools import lru_cache

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
