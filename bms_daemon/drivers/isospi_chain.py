"""A daisy chain on its chip select: wakes it, sends commands, reads groups of registers, repeats what noise spoilt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from bms_daemon.drivers import isospi_codec as codec
from bms_daemon.drivers.isospi_codec import Answer, Framing
from bms_daemon.model import BusFault
from bms_daemon.ports import SpiBus, SpiFrame

ASLEEP_S = 1.5  # after which the chips may be asleep (their watchdog: 2 s, 1.8 s at least)
WAKE_LOW_S, WAKE_S = 0.0003, 0.0004  # chip select low, and until a device has woken
READY_S = 10e-6  # of an idle device's port
NEVER_S = float("-inf")


class Chain:
    """``devices`` from the nearest to the farthest. ``retries`` counts groups that were read twice."""

    def __init__(self, bus: SpiBus, devices: int, spi_hz: int, framing: Framing, wake_s: float = WAKE_S) -> None:
        self.devices = devices
        self._framing, self._wake_s = framing, wake_s
        self.retries = 0
        self._bus = bus
        self._ready = ready(devices, spi_hz)
        self._heard_s = NEVER_S

    async def wake(self) -> None:
        """Wake every device from its sleep, one behind the other, and whoever else hangs behind them."""
        await self._transfer([SpiFrame(b"\0", WAKE_LOW_S, self._wake_s)] * (self.devices + 1))

    async def count(self, code: int) -> None:
        """As many devices as there should be must answer to this command, and none behind them."""
        await self.read(code)
        (further,) = await self.try_read([code], self.devices + 1)
        if further.good[self.devices]:
            raise BusFault("refused", f"the chain has more than the {self.devices} devices that are configured")

    async def send(self, *codes: int) -> None:
        """Commands that nobody answers."""
        await self._tell([codec.command(code) for code in codes], codes)

    async def write(self, codes: Sequence[int], groups: np.ndarray) -> None:
        """Groups of each device, uint8 (devices, 6 * groups), each by its command."""
        parts = np.split(groups, len(codes), axis=1)
        frames = [codec.write(code, part, self._framing) for code, part in zip(codes, parts, strict=True)]
        await self._tell(frames, codes)

    async def read(self, *codes: int) -> list[Answer]:
        """The groups that these commands read. Raises BusFault("crc") or ("nack") with the first device that fails."""
        answers = await self.try_read(codes, self.devices)
        spoilt = [at for at, found in enumerate(answers) if not found.good.all()]
        if spoilt:
            self.retries += 1
            if any(answers[at].silent.any() for at in spoilt):
                self._heard_s = NEVER_S  # who lost its supply sleeps: the chain is woken before it is asked again
            again = await self.try_read([codes[at] for at in spoilt], self.devices)
            for at, found in zip(spoilt, again, strict=True):
                answers[at] = found
        for found in answers:
            _require(found)
        return answers

    async def try_read(self, codes: Sequence[int], devices: int) -> list[Answer]:
        """The same without judging, from a chain that may be of another length."""
        raw = await self._exchange([SpiFrame(codec.read(code, devices)) for code in codes])
        return codec.answers(raw, devices, self._framing)

    async def _tell(self, frames: list[bytes], codes: Sequence[int]) -> None:
        await self._exchange([SpiFrame(frame) for frame in frames])
        self._framing.heard(codes)

    async def _exchange(self, frames: list[SpiFrame]) -> list[bytes]:
        """Frames behind what wakes the link: it idles after 4.3 ms, and a busy host cannot say when they leave."""
        if asyncio.get_running_loop().time() - self._heard_s > ASLEEP_S:
            await self.wake()
        return (await self._transfer([*self._ready, *frames]))[len(self._ready) :]

    async def _transfer(self, frames: list[SpiFrame]) -> list[bytes]:
        try:
            return await self._bus.transfer(frames)
        finally:
            self._heard_s = asyncio.get_running_loop().time()


def ready(devices: int, spi_hz: int) -> list[SpiFrame]:
    """A pulse that runs through an idle chain, and bytes that nobody understands for as long as it runs."""
    return [SpiFrame(b"\0"), SpiFrame(bytes(int(devices * READY_S * spi_hz / 8.0) + 1))]


def _require(found: Answer) -> None:
    if found.good.all():
        return
    device, devices = int(np.argmin(found.good)) + 1, found.good.size
    if found.silent[device - 1 :].all():
        raise BusFault("nack", f"device {device} of {devices} does not answer, nor does any behind it")
    raise BusFault("crc", f"device {device} of {devices}")
