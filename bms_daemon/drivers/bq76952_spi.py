"""The bq76952, bq76942 and bq769142 on SPI: the same chip behind frames of a byte each (TI SLUSE13B)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bms_daemon.config.driver_tables import ScanTime
from bms_daemon.drivers import bq76952
from bms_daemon.drivers.bq76952_codec import MEASURE_BLOCK_LEN, SAFETY_BLOCK_LEN
from bms_daemon.drivers.bq76952_settings import Family
from bms_daemon.drivers.bq76952_wire import READY_S, SpiWire, Wire

__all__ = ["Driver", "Settings"]

_HIGH_S = 5e-6  # between two frames


class Settings(Family):
    """Parts 7695201, 03 and 04 come with SPI and a checksum."""

    crc: bool = True
    spi_hz: int = Field(ge=10_000, le=2_000_000, default=1_000_000)

    @property
    def clock_hz(self) -> int:
        return self.spi_hz

    @property
    def spi_mode(self) -> int:
        return 0

    def scan_time(self, series: int) -> ScanTime:
        """It converts by itself: a frame a byte, three a word, and one to fetch each block's last."""
        counts = (2, SAFETY_BLOCK_LEN, MEASURE_BLOCK_LEN // 2 * 3, 1)
        bits_s = (24 if self.crc else 16) / self.spi_hz
        return ScanTime(0.0, sum(count + 1 for count in counts) * (max(bits_s, READY_S) + _HIGH_S))


class Driver(bq76952.Driver):
    """One chip on its chip select."""

    @staticmethod
    def _wire_of(bus: Any, settings: Any) -> Wire:
        return SpiWire(bus, settings.crc)
