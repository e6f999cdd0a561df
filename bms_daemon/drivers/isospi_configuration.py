"""What every device of a chain has been told: limits, reference, and the cells that it discharges."""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from bms_daemon.drivers import isospi_codec as codec
from bms_daemon.drivers.isospi_chain import Chain
from bms_daemon.model import BoolArray, BusFault

BALANCE_S = 5.0  # a discharge that is not asked for again ends
_WRITES = 2  # of a configuration that noise has kept a device from taking


class Layout(Protocol):
    """A family's groups of configuration, side by side: uint8 (devices, 6 * groups)."""

    @property
    def writes(self) -> tuple[int, ...]:
        """Commands that write them."""
        ...

    @property
    def reads(self) -> tuple[int, ...]: ...

    def build(self, discharge: np.ndarray) -> np.ndarray:
        """With the switches of bool (devices, cells) on."""
        ...

    def discharging(self, held: np.ndarray) -> np.ndarray:
        """bool (devices, cells): switches that are on."""
        ...

    def same(self, held: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """bool (devices,): whether devices hold it, but for bits that read pins."""
        ...


class Configuration:
    """``wired``: bool (devices, cells). ``told``: the same shape, which of them are to be discharged."""

    def __init__(self, chain: Chain, layout: Layout, wired: np.ndarray) -> None:
        self._chain, self._layout, self._wired = chain, layout, wired
        self._asked_s = 0.0
        self._tell(np.zeros_like(wired))

    def _tell(self, discharge: np.ndarray) -> None:
        self.told, self._wanted = discharge, self._layout.build(discharge)
        self._sure = False  # that every device has heard it

    async def set_up(self) -> None:
        """Nothing discharged. Raises BusFault("refused") for a device that does not hold it then."""
        held = await self._write(np.zeros_like(self._wired))
        if not self._sure:
            device = int(np.argmin(self._layout.same(held, self._wanted)))
            found = held[device].tobytes().hex(" ")
            raise BusFault("refused", f"device {device + 1} holds {found} as configuration")

    async def ask(self, cells: BoolArray) -> BoolArray:
        """Discharge these, bool (series,), until ``BALANCE_S`` after; those that the devices then discharge."""
        discharge = np.zeros_like(self._wired)
        discharge[self._wired] = cells
        self._asked_s = asyncio.get_running_loop().time()
        return self.discharged(await self.change(discharge))

    async def expire(self) -> None:
        """End what nobody asks for any more."""
        resting = self._sure and not self.told.any()
        if not resting and asyncio.get_running_loop().time() - self._asked_s > BALANCE_S:
            await self.change(np.zeros_like(self._wired))

    async def change(self, discharge: np.ndarray) -> np.ndarray:
        """Of bool (devices, cells), these; returns what the devices then hold.

        A device that has lost what it was told is left so, for the next scan to tell.
        """
        held = await self._read()
        return await self._write(discharge) if self.same(held).all() else held

    def same(self, held: np.ndarray) -> np.ndarray:
        """bool (devices,): who has not lost what it was told; of a write that failed, switches may be old or new."""
        told = self._wanted if self._sure else self._layout.build(self._layout.discharging(held))
        return self._layout.same(held, told)

    def discharged(self, held: np.ndarray) -> BoolArray:
        """bool (series,): cells that the devices discharge by what they hold."""
        on: BoolArray = self._layout.discharging(held)[self._wired]
        return on

    async def _write(self, discharge: np.ndarray) -> np.ndarray:
        self._tell(discharge)
        for _ in range(_WRITES):
            await self._chain.write(self._layout.writes, self._wanted)
            held = await self._read()
            self._sure = bool(self._layout.same(held, self._wanted).all())
            if self._sure:
                break
        return held

    async def _read(self) -> np.ndarray:
        return codec.data_of(await self._chain.read(*self._layout.reads))
