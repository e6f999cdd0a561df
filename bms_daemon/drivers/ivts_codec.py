"""Frames of Isabellenhütte's IVT-S: results, commands and their answers, without any I/O.

What is known is public: foxBMS' and the Stm32-vcu project's decoders, and headers for IVT-MOD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ByteOrder = Literal["big", "little"]
RESULTS = 8  # I, U1, U2, U3, T, W, As, Wh
CURRENT = 0
CHARGE = 6
CONFIGURE, STORE, SET_MODE = 0x20, 0x32, 0x34
UNKNOWN = 0xFF
ANSWER = 0x80  # added to a command's first byte
_CYCLIC, _LITTLE = 0x02, 0x40
_LENGTHS = (6, 8)
STOP, RUN = bytes((SET_MODE, 0, 1, 0, 0, 0, 0, 0)), bytes((SET_MODE, 1, 1, 0, 0, 0, 0, 0))
KEEP = bytes((STORE, 0, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Result:
    """One measured number: mA, mV, 0.1 degC, W, As or Wh. ``counter`` 0..15 rises by one a message.

    ``invalid``: the sensor says that this value is out of range or wrong; ``failed``: that it measures wrongly itself.
    """

    number: int
    value: int
    counter: int
    invalid: bool
    failed: bool


def decode(data: bytes, byte_order: ByteOrder) -> Result | None:
    """A result's frame; None for one that is none."""
    if len(data) not in _LENGTHS or data[0] >= RESULTS:
        return None
    value = int.from_bytes(data[2:6], byte_order, signed=True)
    return Result(data[0], value, data[1] & 0x0F, bool(data[1] & 0x20), bool(data[1] & 0xC0))


def configure(result: int, period_ms: int, byte_order: ByteOrder) -> bytes:
    """Send a result every so many ms; 0 switches it off."""
    mode = 0 if not period_ms else _CYCLIC
    mode |= _LITTLE if byte_order == "little" else 0
    return bytes((CONFIGURE + result, mode)) + period_ms.to_bytes(2, "big") + bytes(4)


def answers(command: bytes, data: bytes) -> bool:
    """Whether a frame answers this command, or says that there is none like it."""
    return bool(data) and data[0] in (command[0] | ANSWER, UNKNOWN)


def accepts(command: bytes, data: bytes) -> bool:
    """Whether an answer repeats what was commanded: mode and period of a result, or the mode of operation."""
    kept = 2 if command[0] == SET_MODE else 4
    return data[0] != UNKNOWN and (command[0] == STORE or data[1:kept] == command[1:kept])
