"""The LTC681x chain's table of the configuration: its devices, what hangs on them, and the limits that they flag."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import ScanTime
from bms_daemon.drivers.isospi_settings import ChainTable
from bms_daemon.drivers.ltc681x_codec import limit_codes, limits_v
from bms_daemon.drivers.ltc681x_parts import PARTS, Part

EXCHANGES, COMMANDS = 4, 3  # of a scan


class Settings(ChainTable):
    """A chain of devices of one part."""

    part: Literal["ltc6811", "ltc6812", "ltc6813", "adbms1818"] = "ltc6811"
    open_wire_v: float = Field(gt=0.0, le=2.0, default=0.4, description="Cells on a loose wire move more when pulled.")

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        limit_codes(self.under_voltage_v, self.over_voltage_v)
        problems = self.problems(self.part, self.chip.cells, self.chip.gpios)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def chip(self) -> Part:
        return PARTS[self.part]

    @property
    def chip_s(self) -> tuple[float, float]:
        """Cells and probes are converted when they are asked for."""
        return self.chip.cell_time_s + self.chip.stat_time_s, 0.0

    def scan_time(self, series: int) -> ScanTime:
        """Cells' conversion; the configuration, the cells and the status of each device, and what asks."""
        chip = self.chip
        groups = len(chip.configuration) + len(chip.groups) + len(chip.status)
        return ScanTime(chip.cell_time_s, self.wire_s(EXCHANGES, COMMANDS, groups))

    def hardware_limits(self) -> dict[str, float]:
        under_v, over_v = limits_v(*limit_codes(self.under_voltage_v, self.over_voltage_v))
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}
