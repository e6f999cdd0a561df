"""What the tables of the configuration of chains on isoSPI have in common: devices, cells, thermistors, the bus."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from bms_daemon.config.driver_tables import AfeTable
from bms_daemon.config.section import CellVolts
from bms_daemon.drivers import ntc
from bms_daemon.drivers.isospi_chain import ready
from bms_daemon.drivers.isospi_codec import COMMAND, SLOT
from bms_daemon.model import FloatArray

Counts = Annotated[tuple[Annotated[int, Field(ge=0, le=18)], ...], Field(min_length=1, max_length=100, strict=False)]
Ohms = Annotated[float, Field(gt=0.0, le=1e6)]


class ChainTable(AfeTable):
    """Devices count from the one nearest to the host, cells from the lowest."""

    cells: Counts = Field(description="Cells of each device, on its lowest inputs; the rest are tied to the top cell.")
    probes: Counts = Field(description="Thermistors of each device, on GPIO1 and up.")
    spi_hz: int = Field(ge=10_000, le=1_000_000, default=500_000)
    over_voltage_v: CellVolts = Field(description="Above it the chip flags a cell, which counts as its trip.")
    under_voltage_v: CellVolts
    thermistor_r25_ohm: Ohms = 10_000.0
    thermistor_beta_k: float = Field(gt=0.0, le=10_000.0, default=3435.0)
    thermistor_series_ohm: Ohms = Field(default=10_000.0, description="Between the reference and the pin.")

    def problems(self, part: str, cells: int, gpios: int) -> list[str]:
        """What does not fit a part of so many cells and pins."""
        found = [*self._overfull(part, "cells", cells, 1), *self._overfull(part, "probes", gpios, 0)]
        if len(self.probes) != len(self.cells):
            found.append(f"probes names {len(self.probes)} devices, cells {len(self.cells)}")
        if self.under_voltage_v >= self.over_voltage_v:
            found.append("under_voltage_v must be below over_voltage_v")
        return found

    def _overfull(self, part: str, name: str, most: int, least: int) -> list[str]:
        wrong = [count for count in getattr(self, name) if not least <= count <= most]
        return [f"{name}: {wrong[0]} on one device, a {part} takes {least} to {most}"] if wrong else []

    @property
    def clock_hz(self) -> int:
        return self.spi_hz

    @property
    def probe_count(self) -> int:
        return sum(self.probes)

    def wire_s(self, exchanges: int, commands: int, groups: int) -> float:
        """How long so many commands and groups of every device take, in exchanges each of which wakes the link."""
        woken = exchanges * sum(len(frame.data) for frame in ready(len(self.cells), self.spi_hz))
        sent = woken + commands * COMMAND + groups * (COMMAND + SLOT * len(self.cells))
        return sent * 8.0 / self.spi_hz

    def probe_degc(self, pins: FloatArray, reference: FloatArray) -> FloatArray:
        """Of thermistors from their pins to the negative end; both in the same unit, NaN where the reference is."""
        ohm = self.thermistor_series_ohm * pins / np.maximum(reference - pins, 1e-4 * reference)
        return ntc.degc(ohm, self.thermistor_r25_ohm, self.thermistor_beta_k)

    def fit(self, series: int) -> None:
        if sum(self.cells) != series:
            raise ValueError(f"afe.settings.cells names {sum(self.cells)} cells, not {series}")
