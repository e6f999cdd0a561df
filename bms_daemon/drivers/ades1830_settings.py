"""The ADES1830 chain's table of the configuration."""

from __future__ import annotations

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import ScanTime
from bms_daemon.drivers.ades1830_codec import CELLS, GPIOS, limit_codes, limits_v
from bms_daemon.drivers.isospi_settings import ChainTable

CELL_S, AUX_S = 0.008, 0.018  # conversions by both converters; of all pins and supplies (foxBMS 2's budgets)
EXCHANGES, COMMANDS, GROUPS = 2, 2, 16  # of a scan


class Settings(ChainTable):
    """A chain of ADES1830."""

    converter_v: float = Field(
        gt=0.0, le=0.5, default=0.0091, description="A cell by both converters: further apart, neither is believed."
    )

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        limit_codes(self.under_voltage_v, self.over_voltage_v)
        problems = self.problems("ades1830", CELLS, GPIOS)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def chip_s(self) -> tuple[float, float]:
        """Cells and probes are converted when they are asked for."""
        return CELL_S, 0.0

    def scan_time(self, series: int) -> ScanTime:
        """Cells' conversion; configuration, cells twice and flags of each device, and what asks."""
        return ScanTime(CELL_S, self.wire_s(EXCHANGES, COMMANDS, GROUPS))

    def hardware_limits(self) -> dict[str, float]:
        under_v, over_v = limits_v(*limit_codes(self.under_voltage_v, self.over_voltage_v))
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}
