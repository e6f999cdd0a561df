"""What every device of an LTC681x chain has been told: limits, reference, and the cells that it discharges."""

from __future__ import annotations

import numpy as np

from bms_daemon.drivers import ltc681x_codec as codec
from bms_daemon.drivers.ltc681x_chain import Chain
from bms_daemon.drivers.ltc681x_parts import Part
from bms_daemon.model import BoolArray

_WRITES = 2  # of a configuration that noise has kept a device from taking


class Configuration:
    """``wired``: bool (devices, cells). ``told``: the same shape, which of them are to be discharged."""

    def __init__(self, chain: Chain, part: Part, limits: tuple[int, int], wired: np.ndarray) -> None:
        self._chain, self._part, self._limits, self._wired = chain, part, limits, wired
        self._tell(np.zeros_like(wired))

    def _tell(self, discharge: np.ndarray) -> None:
        self.told, self._wanted = discharge, codec.configuration(*self._limits, discharge)
        self._sure = False  # that every device has heard it

    async def write(self, discharge: np.ndarray) -> np.ndarray:
        """With these switches; returns what the devices then hold, uint8 (devices, 6 or 12)."""
        self._tell(discharge)
        groups = np.split(self._wanted, len(self._part.configure), axis=1)
        frames = list(map(codec.write, self._part.configure, groups))
        for _ in range(_WRITES):
            await self._chain.send(*frames)
            held = await self._read()
            self._sure = bool(self.exact(held).all())
            if self._sure:
                break
        return held

    async def change(self, discharge: np.ndarray) -> np.ndarray:
        """The same, unless a device has lost what it was told: that is left so, for the next scan to tell."""
        held = await self._read()
        return await self.write(discharge) if self.same(held).all() else held

    @property
    def resting(self) -> bool:
        """Whether every device is known to have been told to discharge nothing."""
        return self._sure and not self.told.any()

    def exact(self, held: np.ndarray) -> np.ndarray:
        """bool (devices,): who holds what it was told, bit by bit."""
        return codec.same_configuration(held, self._wanted)

    def same(self, held: np.ndarray) -> np.ndarray:
        """bool (devices,): who has not lost what it was told; of a write that failed, switches may be old or new."""
        if self._sure:
            return self.exact(held)
        either = codec.configuration(*self._limits, codec.discharging(held, self._part.cells))
        return codec.same_configuration(held, either)

    def discharged(self, held: np.ndarray) -> BoolArray:
        """bool (series,): cells that the devices discharge by what they hold."""
        on: BoolArray = codec.discharging(held, self._part.cells)[self._wired]
        return on

    async def _read(self) -> np.ndarray:
        return codec.data_of(await self._chain.read(*self._part.configuration))
