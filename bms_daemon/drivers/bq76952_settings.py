"""The bq76952's table of the configuration: what is wired, and the limits that the chip keeps by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import AfeTable, Quantity, ScanTime, i2c_s
from bms_daemon.config.section import Amps, CellVolts, Seconds
from bms_daemon.drivers import bq76952_memory as memory
from bms_daemon.drivers.bq76952_codec import CELLS, MEASURE_BLOCK_LEN, SAFETY_BLOCK_LEN
from bms_daemon.drivers.bq76952_limits import LIMITS, decode_limits, encode_limits
from bms_daemon.drivers.bq76952_parts import PARTS

ThermistorPin = Literal["TS1", "TS2", "TS3", "HDQ", "CFETOFF", "DFETOFF"]
OutputPin = Annotated[int, Field(ge=0, le=0xFF)]
_FUNCTION, _OWN_FUNCTION = 0x03, 0x02
_OWN_PINS = ("alert_pin", "dchg_pin", "ddsg_pin", "cfetoff_pin", "dfetoff_pin")
_FETOFF = ("CFETOFF", "DFETOFF")
_DISCHARGE_LADDER = ("over_current_discharge_a", "over_current_discharge_fast_a", "short_circuit_a")


class Family(AfeTable):
    """Limits are given as wanted; ``hardware_limits`` says what the chip makes of them."""

    part: Literal["bq76952", "bq76942", "bq769142"] = "bq76952"
    crc: bool = Field(default=False, description="The chip's part number decides: 7695202 speaks with CRC.")
    shunt_mohm: float = Field(gt=0.0, le=100.0)
    probes: Annotated[tuple[ThermistorPin, ...], Field(min_length=1, strict=False)] = ("TS1",)
    inputs: Annotated[tuple[Annotated[int, Field(ge=1, le=CELLS)], ...], Field(strict=False)] = Field(
        default=(), description="Cell inputs that carry cells, lowest cell first; empty: the lowest ones."
    )
    alert_pin: OutputPin = Field(default=0x02, description="Configuration byte; bits 1:0 must be 2, the rest is drive.")
    dchg_pin: OutputPin = 0x02
    ddsg_pin: OutputPin = 0x02
    fets: bool = Field(
        default=False,
        description="CHG and DSG drive FETs that carry the pack's current; PACK and LD sit behind them, and a line of "
        "the host on CFETOFF and DFETOFF turns them off.",
    )
    cfetoff_pin: OutputPin = Field(default=0x02, description="With fets; bits 1:0 must be 2, the rest is polarity.")
    dfetoff_pin: OutputPin = 0x02

    over_voltage_v: CellVolts
    over_voltage_delay_s: Seconds = 0.5
    over_voltage_hysteresis_v: float = Field(gt=0.0, le=1.012, default=0.1012)
    under_voltage_v: CellVolts
    under_voltage_delay_s: Seconds = 0.5
    under_voltage_hysteresis_v: float = Field(gt=0.0, le=1.012, default=0.1012)
    over_current_charge_a: Amps
    over_current_charge_delay_s: Seconds = 0.1
    over_current_discharge_a: Amps = Field(description="OCD1, the slow step.")
    over_current_discharge_delay_s: Seconds = 0.2
    over_current_discharge_fast_a: Amps = Field(description="OCD2, the fast step.")
    over_current_discharge_fast_delay_s: Seconds = 0.02
    short_circuit_a: Amps
    short_circuit_delay_s: float = Field(ge=0.0, le=450e-6, default=120e-6)
    recovery_s: Seconds = Field(default=10.0, description="The cause must be gone this long before the chip turns on.")
    host_watchdog_s: float = Field(ge=1.0, le=10.0, default=2.0, description="Silence after which the chip turns off.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = [*self._impossible_limits(), *self._disordered(), *self._miswired()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _impossible_limits(self) -> list[str]:
        problems = []
        for limit in LIMITS:
            try:
                limit.code(getattr(self, limit.key), self.shunt_mohm)
            except ValueError as error:
                problems.append(str(error))
        return problems

    def _disordered(self) -> list[str]:
        problems = []
        if self.under_voltage_v >= self.over_voltage_v:
            problems.append("under_voltage_v must be below over_voltage_v")
        currents = [getattr(self, key) for key in _DISCHARGE_LADDER]
        if currents != sorted(currents):
            problems.append(" <= ".join(_DISCHARGE_LADDER) + " does not hold")
        return problems

    def _miswired(self) -> list[str]:
        wrong = [key for key in _OWN_PINS if getattr(self, key) & _FUNCTION != _OWN_FUNCTION]
        problems = [f"{key}: bits 1:0 must be 2, the pin's own function" for key in wrong]
        if self.fets and set(_FETOFF) & set(self.probes):
            problems.append("probes: CFETOFF and DFETOFF belong to the FETs")
        if len(set(self.probes)) < len(self.probes):
            problems.append("probes: a pin is named twice")
        missing = sorted(set(self.inputs) - set(PARTS[self.part].inputs))
        if missing:
            problems.append(f"inputs: a {self.part} has no input {missing[0]}")
        if list(self.inputs) != sorted(set(self.inputs)):
            problems.append("inputs must rise, lowest cell first")
        return problems

    @property
    def measures(self) -> frozenset[Quantity]:
        """Its PACK and LD pins are the terminals; before FETs that it drives itself it is the stack."""
        return frozenset({"current_a", "pack_v", "link_v"})

    @property
    def switches_current(self) -> bool:
        return self.fets

    @property
    def chip_s(self) -> tuple[float, float]:
        """A full loop of cells and probes, and the current's slot (TI SLUUBY2B)."""
        return PARTS[self.part].loop_s, 0.003

    @property
    def probe_count(self) -> int:
        return len(self.probes)

    def alternatives(self) -> tuple[dict[str, Any], ...]:
        return ({"crc": not self.crc},)

    def fit(self, series: int) -> None:
        self.cell_inputs(series)

    def hardware_limits(self) -> dict[str, float]:
        """Every limit as the chip will round it, by field name, in the field's unit."""
        return decode_limits(self._limit_codes(), self.shunt_mohm)

    @property
    def user_a(self) -> float:
        """Unit of the chip's current register, A."""
        return memory.user_amps(max(self.over_current_charge_a, self.over_current_discharge_fast_a))

    def cell_inputs(self, series: int) -> tuple[int, ...]:
        """Inputs that carry cells, from 1. Raises ValueError when they are not ``series`` many."""
        fitted = PARTS[self.part].inputs
        if series > len(fitted):
            raise ValueError(f"a {self.part} measures at most {len(fitted)} cells, not {series}")
        inputs = self.inputs or fitted[:series]
        if len(inputs) != series:
            raise ValueError(f"inputs names {len(inputs)} cells, the pack has {series} in series")
        return inputs

    def memory(self, series: int) -> dict[str, float]:
        """Everything that is written to data memory, by item."""
        return {
            **memory.FIXED,
            **memory.scaling(self.shunt_mohm, self.user_a),
            **self._limit_codes(),
            **self._pins(),
            "VCell mode": memory.cell_mask(self.cell_inputs(series)),
        }

    def _limit_codes(self) -> dict[str, int]:
        return encode_limits({limit.key: getattr(self, limit.key) for limit in LIMITS}, self.shunt_mohm)

    def _pins(self) -> dict[str, int]:
        thermistors = {f"{pin} pin": memory.THERMISTOR for pin in self.probes}
        outputs = {"ALERT pin": self.alert_pin, "DCHG pin": self.dchg_pin, "DDSG pin": self.ddsg_pin}
        off = {"CFETOFF pin": self.cfetoff_pin, "DFETOFF pin": self.dfetoff_pin} if self.fets else {}
        return {**memory.UNUSED_PINS, **thermistors, **outputs, **off}


class Settings(Family):
    """On I2C."""

    address: int = Field(ge=0x08, le=0x77, default=0x08)

    @property
    def addresses(self) -> tuple[int, ...]:
        return (self.address,)

    def scan_time(self, series: int) -> ScanTime:
        """It converts by itself: alarms read and cleared, status, measurements and switches at 400 kHz."""
        a_byte = 2 if self.crc else 1
        reads = (2, SAFETY_BLOCK_LEN, MEASURE_BLOCK_LEN, 1)
        return ScanTime(0.0, i2c_s(400e3, (2 + 2 * a_byte, *(3 + count * a_byte for count in reads))))
