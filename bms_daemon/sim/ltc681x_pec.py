"""The LTC681x chain's packet error code, bit by bit as the data sheet draws it, kept for what was seen before."""

from __future__ import annotations

from functools import lru_cache

TAPS = (14, 10, 8, 7, 4, 3, 0)  # of the 15-bit register that are fed back


@lru_cache(maxsize=4096)
def pec(data: bytes) -> bytes:
    """Two bytes: 15 bits of remainder and a 0."""
    register = [0] * 15
    register[4] = 1
    for byte in data:
        for bit in range(7, -1, -1):
            back = (byte >> bit & 1) ^ register[14]
            register = [0, *register[:14]]
            for tap in TAPS:
                register[tap] ^= back
    return (sum(bit << place for place, bit in enumerate(register)) << 1).to_bytes(2, "big")
