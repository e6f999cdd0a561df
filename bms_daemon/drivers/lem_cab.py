"""Driver of LEM's CAB300 and CAB500 current sensors, which send one frame every 10 ms.

Sources disagree on the CAB500's layout; ``layout`` chooses, and a known current must confirm it before it is trusted.
"""

from __future__ import annotations

from math import nan
from typing import Literal

from pydantic import Field

from bms_daemon.config.driver_tables import Quantity, ShuntTable
from bms_daemon.config.section import Amps
from bms_daemon.model import ShuntReading
from bms_daemon.ports import CanPort

__all__ = ["Driver", "Settings", "decode"]

Layout = Literal["u32", "u24"]
_LENGTH = 8
_LARGEST = {"u32": 0xFFFFFFFF, "u24": 0xFFFFFF}


class Settings(ShuntTable):
    """Its identifier, and how its value is laid out."""

    bitrate: Literal[250_000, 500_000, 1_000_000] = 500_000
    frame_id: int = Field(ge=1, le=0x7FF, default=0x3C2)
    layout: Layout = Field(default="u32", description="u32: four bytes and an error behind; u24: an error and three.")
    inverted: bool = Field(default=False, description="Mounted so that it counts discharge as positive.")
    max_current_a: Amps = Field(default=1000.0, description="More is not believed.")

    @property
    def measures(self) -> frozenset[Quantity]:
        return frozenset({"current_a"})

    @property
    def chip_s(self) -> float:
        return 0.01

    @property
    def baud(self) -> int:
        return self.bitrate

    @property
    def listens(self) -> tuple[int, ...]:
        return (self.frame_id,)


class Driver:
    """A sensor on its port."""

    def __init__(self, port: CanPort, settings: Settings) -> None:
        self._port, self._settings = port, settings

    async def setup(self) -> None:
        """It speaks as it does."""

    async def read(self) -> ShuntReading:
        """The newest current that has come; NaN for one that is not to be believed. Raises BusFault("gone")."""
        settings = self._settings
        while True:
            frames = [data for frame_id, data in await self._port.receive() if frame_id == settings.frame_id]
            if frames:
                current_a = decode(frames[-1], settings.layout)
                side = -1.0 if settings.inverted else 1.0
                return ShuntReading(side * current_a if abs(current_a) <= settings.max_current_a else nan)


def decode(data: bytes, layout: Layout) -> float:
    """A; NaN for a frame of another length, an error and what lies at the end of the range."""
    if len(data) != _LENGTH:
        return nan
    value, middle, error = (data[:4], 1 << 31, data[4] & 1) if layout == "u32" else (data[1:4], 1 << 23, data[0])
    count = int.from_bytes(value, "big")
    return nan if error or count in (0, _LARGEST[layout]) else (count - middle) * 1e-3
