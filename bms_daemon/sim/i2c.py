"""A simulated I2C bus: takes its wire time, brings the world up to date, then talks to the chip that is addressed.

Both halves of a transfer happen at its end. Byte-level faults live in ``SimI2cBus.faults``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from bms_daemon.model import BusFault
from bms_daemon.sim.taps import I2cTarget

BITS_A_BYTE = 9
START_STOP_BITS = 2
STUCK_S = 3.0


@dataclass(slots=True)
class I2cFaults:
    """Counts go down with every use; ``math.inf`` is for ever."""

    nack: float = 0.0  # transfers that are not acknowledged
    stuck: bool = False  # SDA low: a transfer takes 3 s and times out
    flip_bytes: int = 0  # read bytes from now on with one bit flipped
    flip_rate: float = 0.0  # part of all read bytes with one bit flipped
    repeat: float = 0.0  # reads that return the previous read's data
    slow_s: float = 0.0  # a transfer takes this much longer, as with a target that stretches the clock
    split: bool = False  # no repeated start: another master reads a byte between a write and its read
    owned: set[int] = field(default_factory=set)  # addresses that a kernel driver holds


class SimI2cBus:
    """Implements ``ports.ByteBus``. ``sync(now_s)`` advances the world, its chips included."""

    def __init__(self, sync: Callable[[float], None], speed_hz: float = 400_000, seed: int = 0) -> None:
        self.faults = I2cFaults()
        self.transfers = 0
        self._sync = sync
        self._bit_s = 1.0 / speed_hz
        self._chips: dict[int, I2cTarget] = {}
        self._random = random.Random(seed)
        self._lock = asyncio.Lock()
        self._previous = b""

    def attach(self, address: int, chip: I2cTarget) -> None:
        self._chips[address] = chip

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        """See ``ports.ByteBus``. A cancelled transfer never reached the chip."""
        async with self._lock:
            await asyncio.sleep(self.lasts_s(len(write), read_len))
            return self.finish(address, write, read_len)

    def lasts_s(self, write_len: int, read_len: int) -> float:
        """How long a transfer occupies the wire, faults included."""
        if self.faults.stuck:
            return STUCK_S
        sent = 1 + write_len if write_len or not read_len else 0
        received = 1 + read_len if read_len else 0
        return ((sent + received) * BITS_A_BYTE + START_STOP_BITS) * self._bit_s + self.faults.slow_s

    def finish(self, address: int, write: bytes, read_len: int) -> bytes:
        """What a transfer does at its end."""
        self.transfers += 1
        self._sync(asyncio.get_running_loop().time())
        self._fail()
        return self._exchange(address, write, read_len)

    def fall_silent(self, silent: bool) -> None:
        """Let nobody answer any more, or everybody again."""
        self.faults.nack = inf if silent else 0.0

    def close(self) -> None:
        self._chips.clear()

    def _fail(self) -> None:
        if self.faults.stuck:
            raise BusFault("timeout", "SDA is stuck low")
        if self.faults.nack > 0:
            self.faults.nack -= 1
            raise BusFault("nack")

    def _exchange(self, address: int, write: bytes, read_len: int) -> bytes:
        chip = self._chips.get(address)
        if chip is None or ((write or not read_len) and not chip.i2c_write(write)):
            raise BusFault("nack", f"address 0x{address:02x}")
        if not read_len:
            return b""
        if write and self.faults.split:
            chip.i2c_read(1)
        data = chip.i2c_read(read_len)
        if data is None:
            raise BusFault("nack", f"address 0x{address:02x}")
        return self._spoilt(data)

    def _spoilt(self, data: bytes) -> bytes:
        faults = self.faults
        if faults.repeat > 0:
            faults.repeat -= 1
            return self._previous[: len(data)].ljust(len(data), b"\xff")
        self._previous = data
        return self._flipped(data) if faults.flip_bytes or faults.flip_rate else data

    def _flipped(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for k in range(len(spoilt)):
            if self.faults.flip_bytes > 0:
                self.faults.flip_bytes -= 1
            elif self._random.random() >= self.faults.flip_rate:
                continue
            spoilt[k] ^= 1 << self._random.randrange(8)
        return bytes(spoilt)
