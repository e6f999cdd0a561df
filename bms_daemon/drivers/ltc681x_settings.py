"""The LTC681x chain's table of the configuration: its devices, what hangs on them, and the limits that they flag."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import AfeTable, ScanTime
from bms_daemon.config.section import CellVolts
from bms_daemon.drivers.ltc681x_chain import ready
from bms_daemon.drivers.ltc681x_codec import COMMAND, SLOT, limit_codes, limits_v
from bms_daemon.drivers.ltc681x_parts import PARTS, Part

EXCHANGES = 4  # of a scan, each of which wakes the link
Counts = Annotated[tuple[Annotated[int, Field(ge=0, le=18)], ...], Field(min_length=1, max_length=100, strict=False)]
Ohms = Annotated[float, Field(gt=0.0, le=1e6)]


class Settings(AfeTable):
    """Devices count from the one nearest to the host, cells from the lowest."""

    part: Literal["ltc6811", "ltc6812", "ltc6813", "adbms1818"] = "ltc6811"
    cells: Counts = Field(description="Cells of each device, on its lowest inputs; the rest are tied to the top cell.")
    probes: Counts = Field(description="Thermistors of each device, on GPIO1 and up.")
    spi_hz: int = Field(ge=10_000, le=1_000_000, default=500_000)
    over_voltage_v: CellVolts = Field(description="Above it the chip flags a cell, which counts as its trip.")
    under_voltage_v: CellVolts
    thermistor_r25_ohm: Ohms = 10_000.0
    thermistor_beta_k: float = Field(gt=0.0, le=10_000.0, default=3435.0)
    thermistor_series_ohm: Ohms = Field(default=10_000.0, description="Between the reference and the pin.")
    open_wire_v: float = Field(gt=0.0, le=2.0, default=0.4, description="Cells on a loose wire move more when pulled.")

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        problems = [*self._overfull("cells", self.chip.cells, 1), *self._overfull("probes", self.chip.gpios, 0)]
        if len(self.probes) != len(self.cells):
            problems.append(f"probes names {len(self.probes)} devices, cells {len(self.cells)}")
        if self.under_voltage_v >= self.over_voltage_v:
            problems.append("under_voltage_v must be below over_voltage_v")
        limit_codes(self.under_voltage_v, self.over_voltage_v)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _overfull(self, name: str, most: int, least: int) -> list[str]:
        wrong = [count for count in getattr(self, name) if not least <= count <= most]
        return [f"{name}: {wrong[0]} on one device, a {self.part} takes {least} to {most}"] if wrong else []

    @property
    def chip(self) -> Part:
        return PARTS[self.part]

    @property
    def chip_s(self) -> tuple[float, float]:
        """Cells and probes are converted when they are asked for."""
        return self.chip.cell_time_s + self.chip.stat_time_s, 0.0

    @property
    def clock_hz(self) -> int:
        return self.spi_hz

    @property
    def probe_count(self) -> int:
        return sum(self.probes)

    def scan_time(self, series: int) -> ScanTime:
        """Cells' conversion; the configuration, the cells and the status of each device, and what asks."""
        chip = self.chip
        frames = len(chip.configuration) + len(chip.groups) + len(chip.status)
        woken = EXCHANGES * sum(len(frame.data) for frame in ready(len(self.cells), self.spi_hz))
        sent = woken + 3 * COMMAND + frames * (COMMAND + SLOT * len(self.cells))
        return ScanTime(chip.cell_time_s, sent * 8.0 / self.spi_hz)

    def hardware_limits(self) -> dict[str, float]:
        under_v, over_v = limits_v(*limit_codes(self.under_voltage_v, self.over_voltage_v))
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}

    def fit(self, series: int) -> None:
        if sum(self.cells) != series:
            raise ValueError(f"afe.settings.cells names {sum(self.cells)} cells, not {series}")
