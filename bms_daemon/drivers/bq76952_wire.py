"""Registers of a bq76952 over its bus: I2C, or SPI with a frame a byte. What fails is the caller's to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from bms_daemon.drivers import bq76952_codec as codec
from bms_daemon.drivers import bq76952_frames as frames
from bms_daemon.model import BusFault
from bms_daemon.ports import ByteBus, SpiBus, SpiFrame

READY_S = 50e-6  # that a frame is kept low at least: time to work on it
_PAUSE_S = 0.0005
_ROUNDS = 20
_PAIRS = 8  # readings of a word until its halves fit


class Wire(Protocol):
    """Reads and writes of registers. Both raise BusFault."""

    async def read(self, register: int, length: int, words: bool = False) -> bytes:
        """``words``: two bytes that belong together, low one first; none of them is torn."""
        ...

    async def write(self, register: int, data: bytes) -> None: ...


class I2cWire:
    """A transfer a read: the chip holds words together by itself."""

    def __init__(self, bus: ByteBus, address: int, crc: bool) -> None:
        self._bus, self._address, self._crc = bus, address, crc

    async def read(self, register: int, length: int, words: bool = False) -> bytes:
        asked = 2 * length if self._crc else length
        raw = await self._bus.transfer(self._address, bytes((register,)), asked)
        if len(raw) != asked:
            raise BusFault("framing", f"register 0x{register:02X}: {len(raw)} bytes came, {asked} were asked for")
        return codec.check_read(self._address, register, raw) if self._crc else raw

    async def write(self, register: int, data: bytes) -> None:
        checked = codec.protect_write(self._address, register, data) if self._crc else data
        await self._bus.transfer(self._address, bytes((register,)) + checked, 0)


class SpiWire:
    """A frame a byte; what one asks comes with the next one, and later where the chip is not ready."""

    def __init__(self, bus: SpiBus, crc: bool) -> None:
        self._bus, self._crc = bus, crc

    async def read(self, register: int, length: int, words: bool = False) -> bytes:
        if not words:
            return await self._bytes(range(register, register + length))
        found: dict[int, bytes] = {}
        for _ in range(_PAIRS):
            asked = [low for low in range(register, register + length, 2) if low not in found]
            if not asked:
                break
            raw = await self._bytes([at for low in asked for at in (low + 1, low, low + 1)])
            for k, low in enumerate(asked):
                before, lower, upper = raw[3 * k : 3 * k + 3]
                if before == upper:  # nothing was renewed between the halves
                    found[low] = bytes((lower, upper))
        if len(found) < length // 2:
            raise BusFault("crc", f"register 0x{register:02X}: words change while they are read")
        return b"".join(found[low] for low in range(register, register + length, 2))

    async def write(self, register: int, data: bytes) -> None:
        """Byte by byte, each confirmed before the next: their order is what the chip acts on."""
        for at, byte in enumerate(data, register):
            await self._confirmed([frames.write(at, byte, self._crc), frames.read(at, self._crc)])

    async def _bytes(self, registers: Sequence[int]) -> bytes:
        """All in one go, as far as the chip is ready; one that is slow is asked for one at a time."""
        asked = [frames.read(register, self._crc) for register in registers]
        found, most = b"", len(asked)
        while len(found) < len(asked):
            batch = asked[len(found) :][:most]
            got = await self._confirmed([*batch, batch[-1]])
            found, most = found + got, len(got)
        return found

    async def _confirmed(self, sent: list[bytes]) -> bytes:
        """What it says to the first of these frames, to one at least. Raises BusFault("nack") when it never does."""
        for _ in range(_ROUNDS):
            found = await self._exchange(sent)
            if found:
                return found
            sent = [sent[0], sent[-1]]
            await asyncio.sleep(_PAUSE_S)
        raise BusFault("nack", "it is never ready, or not there")

    async def _exchange(self, sent: list[bytes]) -> bytes:
        """What it says to all frames but the last one, which fetches; to the first ones where it was not ready."""
        raw = await self._bus.transfer([SpiFrame(frame, low_s=READY_S) for frame in sent])
        if not raw or frames.not_ready(raw[0]):
            return b""  # it was still busy, and has not even taken the first one
        found = bytearray()
        for frame, reply in zip(sent, raw[1:], strict=False):
            if frames.not_ready(reply):
                break
            found.append(frames.value(frame, reply, self._crc))
        if len(found) == len(sent) - 2:
            found.append(frames.value(sent[-2], await self._fetched(sent[-1]), self._crc))
        return bytes(found)

    async def _fetched(self, fetch: bytes) -> bytes:
        """What it says to a frame that it has taken, once it is ready."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(_PAUSE_S)
            raw = await self._bus.transfer([SpiFrame(fetch, low_s=READY_S)])
            if raw and not frames.not_ready(raw[0]):
                return raw[0]
        raise BusFault("nack", "it is never ready, or not there")
