"""The ADES1830's checksum of groups, as its register shifts: ten bits over six bytes and six bits of a counter."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TAPS = (7, 3, 2, 1, 0)  # of the 10-bit register that are fed back
START = 0x010


@lru_cache(maxsize=4096)
def pec10(data: bytes, counter: int = 0) -> int:
    """Bit by bit, the counter's six bits last."""
    register = START
    for place in range(53, -1, -1):
        back = ((int.from_bytes(data, "big") << 6 | counter) >> place & 1) ^ register >> 9
        register = register << 1 & 0x3FF
        for tap in TAPS:
            register ^= back << tap
    return register


def _turned(bit: int) -> int:
    """What one bit of the 54 turns over."""
    return pec10((1 << bit >> 6).to_bytes(6, "big"), 1 << bit & 0x3F) ^ pec10(bytes(6))


_OF_BIT = np.array(
    [[_turned(bit) >> place & 1 for place in range(9, -1, -1)] for bit in range(53, -1, -1)], dtype=np.float32
)
_OF_NOTHING = pec10(bytes(6))
_WEIGHT = 1 << np.arange(9, -1, -1)


def behind(groups: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """The two bytes behind each of many groups, uint8 (devices, 6): six bits of counter, ten of checksum."""
    counted = np.unpackbits(counters.astype(np.uint8)[:, None], axis=1)[:, 2:]
    bits = np.concatenate([np.unpackbits(groups, axis=1), counted], axis=1).astype(np.float32)
    codes = ((bits @ _OF_BIT).astype(np.int64) & 1) @ _WEIGHT ^ _OF_NOTHING
    words = (counters.astype(np.int64) << 10 | codes).astype(">u2")
    return words[:, None].view(np.uint8)
