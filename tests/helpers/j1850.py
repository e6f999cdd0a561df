"""The checksum of end-to-end protected frames, apart from the product's."""

from __future__ import annotations


def j1850(data: bytes) -> int:
    """CRC-8 SAE J1850 by long division of bits; check value of "123456789" is 0x4B."""
    register = int.from_bytes(bytes([data[0] ^ 0xFF, *data[1:]]), "big") << 8
    for bit in range(8 * len(data) + 7, 7, -1):
        if register >> bit & 1:
            register ^= 0x11D << (bit - 8)
    return register ^ 0xFF
