"""The bq769x0's table of the configuration: which part, what is wired, and the limits that the chip keeps by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import AfeTable, Quantity, ScanTime, i2c_s
from bms_daemon.config.section import Amps, CellVolts, Seconds
from bms_daemon.drivers import bq769x0_codec as codec

PartName = Literal["bq76920", "bq76930", "bq76940"]
ThermistorPin = Literal["TS1", "TS2", "TS3"]
PARTS: dict[PartName, tuple[int, int]] = {"bq76920": (5, 1), "bq76930": (10, 2), "bq76940": (15, 3)}
"""Cell inputs and thermistors."""
_SHORTED = {  # inputs that TI shorts when there are fewer cells, by part and cells
    "bq76920": {3: (3, 4), 4: (4,)},
    "bq76930": {6: (3, 4, 8, 9), 7: (3, 4, 9), 8: (4, 9), 9: (9,)},
    "bq76940": {
        9: (3, 4, 8, 9, 13, 14),
        10: (4, 8, 9, 13, 14),
        11: (4, 8, 9, 14),
        12: (4, 9, 14),
        13: (9, 14),
        14: (14,),
    },
}


class Settings(AfeTable):
    """Limits are given as wanted; the chip's own gain and offset decide what it makes of them, never laxer."""

    part: PartName = "bq76940"
    address: Literal[0x08, 0x18] = 0x08
    crc: bool = Field(default=True, description="The chip's part number decides; a chip with CRC cannot do without.")
    shunt_mohm: float = Field(gt=0.0, le=100.0)
    probes: Annotated[tuple[ThermistorPin, ...], Field(min_length=1, strict=False)] = ("TS1",)
    inputs: Annotated[tuple[Annotated[int, Field(ge=1, le=15)], ...], Field(strict=False)] = Field(
        default=(), description="Cell inputs that carry cells, lowest cell first; empty: as TI wires so many cells."
    )
    over_voltage_v: CellVolts
    over_voltage_delay_s: Seconds = 1.0
    under_voltage_v: CellVolts
    under_voltage_delay_s: Seconds = 1.0
    recovery_v: float = Field(gt=0.0, le=1.0, default=0.1, description="A voltage trip ends so far inside its limit.")
    over_current_discharge_a: Amps
    over_current_discharge_delay_s: Seconds = 0.16
    short_circuit_a: Amps
    short_circuit_delay_s: float = Field(gt=0.0, le=400e-6, default=200e-6)
    recovery_s: Seconds = Field(default=10.0, description="A trip by current or by the chip itself stands this long.")
    thermistor_r25_ohm: float = Field(gt=0.0, le=1e6, default=10_000.0)
    thermistor_beta_k: float = Field(gt=0.0, le=10_000.0, default=3435.0)

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        problems = [*self._impossible(), *self._miswired()]
        if self.under_voltage_v >= self.over_voltage_v:
            problems.append("under_voltage_v must be below over_voltage_v")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _impossible(self) -> list[str]:
        try:
            self.protect()
            for nominal in (codec.Calibration(365e-6, 0.0), codec.Calibration(396e-6, 0.0)):
                self.trip_codes(nominal)
        except ValueError as error:
            return [str(error)]
        return []

    def _miswired(self) -> list[str]:
        cells, probes = PARTS[self.part]
        problems = []
        if list(self.inputs) != sorted(set(self.inputs)) or any(number > cells for number in self.inputs):
            problems.append(f"inputs must rise, lowest cell first, up to {cells}")
        if len(set(self.probes)) < len(self.probes) or any(int(pin[2:]) > probes for pin in self.probes):
            problems.append(f"probes: a {self.part} has TS1 to TS{probes}, each once")
        return problems

    @property
    def measures(self) -> frozenset[Quantity]:
        """The pack's voltage is that of its BAT pin; behind the contactors it sees nothing."""
        return frozenset({"current_a", "pack_v"})

    @property
    def chip_s(self) -> tuple[float, float]:
        """Every 250 ms, cells and current alike."""
        return 0.25, 0.25

    @property
    def addresses(self) -> tuple[int, ...]:
        return (self.address,)

    @property
    def probe_count(self) -> int:
        return len(self.probes)

    def scan_time(self, series: int) -> ScanTime:
        """It converts by itself: status read and cleared, then everything at 100 kHz."""
        a_byte = 2 if self.crc else 1
        return ScanTime(0.0, i2c_s(100e3, (3 + a_byte, 2 + a_byte, 3 + codec.BLOCK_LEN * a_byte)))

    def alternatives(self) -> tuple[dict[str, Any], ...]:
        return ({"crc": not self.crc}, {"address": 0x08 if self.address == 0x18 else 0x18})

    def fit(self, series: int) -> None:
        self.cell_inputs(series)

    def cell_inputs(self, series: int) -> tuple[int, ...]:
        """Inputs that carry cells, from 1. Raises ValueError when they are not ``series`` many."""
        cells = PARTS[self.part][0]
        fewest = min(_SHORTED[self.part])
        if not fewest <= series <= cells:
            raise ValueError(f"a {self.part} measures {fewest} to {cells} cells, not {series}")
        shorted = _SHORTED[self.part].get(series, ())
        inputs = self.inputs or tuple(number for number in range(1, cells + 1) if number not in shorted)
        if len(inputs) != series:
            raise ValueError(f"inputs names {len(inputs)} cells, the pack has {series} in series")
        return inputs

    def hardware_limits(self) -> dict[str, float]:
        """As the laxest chip would round them: a step of its voltage limits is not the same in each."""
        return {
            **self.current_limits(),
            "over_voltage_v": self.over_voltage_v,
            "under_voltage_v": self.under_voltage_v,
        }

    def current_limits(self) -> dict[str, float]:
        """What every chip makes of the limits and delays that do not depend on its calibration."""
        short, over, delays = self.protect()
        rsns = short >> 7
        return {
            "short_circuit_a": codec.SHORT_MV[rsns][short & 7] / self.shunt_mohm,
            "short_circuit_delay_s": codec.SHORT_DELAYS_S[short >> 3 & 3],
            "over_current_discharge_a": codec.OVER_CURRENT_MV[rsns][over & 15] / self.shunt_mohm,
            "over_current_discharge_delay_s": codec.OVER_CURRENT_DELAYS_S[over >> 4 & 7],
            "under_voltage_delay_s": codec.UNDER_DELAYS_S[delays >> 6],
            "over_voltage_delay_s": codec.OVER_DELAYS_S[delays >> 4 & 3],
        }

    def protect(self) -> tuple[int, int, int]:
        """PROTECT1 to 3, each limit to the stricter side. Raises ValueError for what no range of the chip can do."""
        short_mv, over_mv = self.short_circuit_a * self.shunt_mohm, self.over_current_discharge_a * self.shunt_mohm
        rsns = int(short_mv > codec.SHORT_MV[0][-1] or over_mv > codec.OVER_CURRENT_MV[0][-1])
        short = codec.stricter(codec.SHORT_MV[rsns], short_mv)
        over = codec.stricter(codec.OVER_CURRENT_MV[rsns], over_mv)
        short_delay = codec.stricter(codec.SHORT_DELAYS_S, self.short_circuit_delay_s)
        over_delay = codec.stricter(codec.OVER_CURRENT_DELAYS_S, self.over_current_discharge_delay_s)
        under_voltage = codec.stricter(codec.UNDER_DELAYS_S, self.under_voltage_delay_s)
        over_voltage = codec.stricter(codec.OVER_DELAYS_S, self.over_voltage_delay_s)
        return rsns << 7 | short_delay << 3 | short, over_delay << 4 | over, under_voltage << 6 | over_voltage << 4

    def trip_codes(self, own: codec.Calibration) -> tuple[int, int]:
        """OV_TRIP and UV_TRIP of a chip. Raises ValueError beyond it."""
        return own.trip_code(self.over_voltage_v, up=False), own.trip_code(self.under_voltage_v, up=True)
