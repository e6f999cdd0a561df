"""The simulator's own table of the configuration: the pack, its power path and what the outside world asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bms_daemon.config.section import Degrees, Ratio, Seconds, Section

Milliseconds = Annotated[float, Field(ge=0.0, le=0.2, description="Seconds, of the order of milliseconds.")]
SignedAmps = Annotated[float, Field(ge=-5000.0, le=5000.0)]
StepPoint = tuple[Annotated[float, Field(ge=0.0)], SignedAmps]


class Constant(Section):
    """The same current for ever, positive when charging."""

    kind: Literal["constant"] = "constant"
    current_a: SignedAmps = 0.0


class Steps(Section):
    """(time_s, current_a) pairs, each current holding until the next time; repeated when ``period_s`` is given."""

    kind: Literal["steps"] = "steps"
    points: tuple[StepPoint, ...] = Field(min_length=1)
    period_s: float | None = Field(gt=0.0, default=None)


class Household(Section):
    """A day of a home: photovoltaics by day, base load, evening peak; a new cloud pattern every day."""

    kind: Literal["household"] = "household"
    solar_a: float = Field(ge=0.0, le=1000.0, default=45.0, description="Clear-sky current at noon.")
    base_a: float = Field(ge=0.0, le=1000.0, default=5.0)
    evening_a: float = Field(ge=0.0, le=1000.0, default=35.0)
    noise: Ratio = Field(default=0.1, description="Minute-by-minute variation, as a share.")
    start_hour: float = Field(ge=0.0, lt=24.0, default=6.0)


class Recorded(Section):
    """A CSV file, plain or gzip, with a header line; the current holds between rows."""

    kind: Literal["recorded"] = "recorded"
    file: Path
    time_column: str = "time_s"
    current_column: str = "current_a"
    sign: Literal[1, -1] = Field(default=1, description="-1 where the file counts discharge as positive.")
    repeat: bool = False


Profile = Annotated[Constant | Steps | Household | Recorded, Field(discriminator="kind")]


class Outside(Section):
    """Charger and load beyond the DC link. Voltages are the pack's; None: the source does not care."""

    obey_limits: bool = Field(default=True, description="Stay inside the published current limits, once there are any.")
    charge_stop_v: float | None = Field(gt=0.0, le=2000.0, default=None, description="Charger's constant voltage.")
    discharge_stop_v: float | None = Field(gt=0.0, le=2000.0, default=None, description="Load's cut-off.")


PathKind = Literal["one_main", "two_mains", "fets"]


class ContactorData(Section):
    """Travel times of a 200 A class contactor, and the making current that welds it."""

    close_s: Milliseconds = 0.015
    open_s: Milliseconds = 0.008
    bounce_s: Milliseconds = Field(default=0.002, description="How long the contact bounces after it first closes.")
    weld_a: float = Field(gt=0.0, le=1e5, default=1500.0, description="Making current above which it welds.")


class LinkData(Section):
    """DC link, precharge resistor and fuse. ``loop_ohm`` limits the inrush of a main contactor that closes early."""

    capacitance_f: float = Field(gt=0.0, le=1.0, default=0.005)
    precharge_ohm: float = Field(gt=0.0, le=10e3, default=22.0)
    bleed_ohm: float = Field(gt=0.0, le=1e7, default=2000.0)
    loop_ohm: float = Field(gt=0.0, le=10.0, default=0.015)
    fuse_rated_a: float = Field(gt=0.0, le=5000.0, default=125.0)
    fuse_i2t_a2s: float = Field(gt=0.0, le=1e9, default=60e3)


class Spread(Section):
    """Standard deviations between cells, as shares (state of charge: absolute)."""

    capacity: Ratio = 0.01
    resistance: Ratio = 0.05
    soc: Ratio = 0.003
    self_discharge: Ratio = 0.2


class Bq76952Chip(Section):
    """A bq76952, or a smaller one of its family, the pack's cells on its lowest inputs."""

    part: Literal["bq76952", "bq76942", "bq769142"] = "bq76952"
    crc: bool = Field(default=True, description="The variant that checks every byte.")
    shunt_mohm: float = Field(gt=0.0, le=100.0, default=0.5, description="Its sense resistor.")
    fets: bool = Field(default=False, description="Its FETs carry the pack's current, with PACK and LD behind them.")


class Bq76952Data(Bq76952Chip):
    """On I2C."""

    kind: Literal["bq76952"] = "bq76952"
    address: Literal[0x08] = 0x08


class Bq76952SpiData(Bq76952Chip):
    """On SPI."""

    kind: Literal["bq76952_spi"] = "bq76952_spi"
    spi_hz: int = Field(ge=10_000, le=2_000_000, default=1_000_000)


class Ltc681xData(Section):
    """A daisy chain on SPI, the device nearest to the host first; cells on each one's lowest inputs."""

    kind: Literal["ltc681x"] = "ltc681x"
    part: Literal["ltc6811", "ltc6812", "ltc6813", "adbms1818"] = "ltc6811"
    cells: tuple[Annotated[int, Field(ge=1, le=18)], ...] = Field(min_length=1)
    probes: tuple[Annotated[int, Field(ge=0, le=9)], ...] = Field(min_length=1)
    spi_hz: int = Field(ge=10_000, le=2_000_000, default=500_000)


class Ades1830Data(Section):
    """A daisy chain on SPI, wired as an LTC681x's."""

    kind: Literal["ades1830"] = "ades1830"
    cells: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(min_length=1)
    probes: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field(min_length=1)
    spi_hz: int = Field(ge=10_000, le=2_000_000, default=500_000)


class Bq769x0Data(Section):
    """A bq769x0 at its address, the pack's cells wired as TI has it."""

    kind: Literal["bq769x0"] = "bq769x0"
    part: Literal["bq76920", "bq76930", "bq76940"] = "bq76940"
    crc: bool = True
    address: Literal[0x08, 0x18] = 0x08
    shunt_mohm: float = Field(gt=0.0, le=100.0, default=1.0)


class SbsData(Section):
    """A smart battery at its address, with a gauge and switches of its own."""

    kind: Literal["sbs"] = "sbs"
    pec: bool = True
    address: int = Field(ge=0x08, le=0x77, default=0x0B)
    renewed_s: Seconds = 0.5


class VeDirectData(Section):
    """A battery monitor on a serial line."""

    kind: Literal["vedirect"] = "vedirect"
    hex_pause_s: Seconds = Field(default=3.0, description="For how long its text pauses after a HEX frame.")


class IvtSData(Section):
    """An IVT-S on CAN as delivered, its voltage inputs on pack, link and stack."""

    kind: Literal["ivts"] = "ivts"


class LemCabData(Section):
    """A CAB300 or CAB500 on CAN."""

    kind: Literal["lem_cab"] = "lem_cab"
    layout: Literal["u32", "u24"] = "u32"


class Ina2xxData(Section):
    """An INA226, INA228 or INA238 at its address, its bus pin on one of the pack's terminals."""

    kind: Literal["ina2xx"] = "ina2xx"
    part: Literal["ina226", "ina228", "ina238"] = "ina228"
    address: int = Field(ge=0x40, le=0x4F, default=0x40)
    shunt_mohm: float = Field(gt=0.0, le=1000.0, default=0.5)
    bus: Literal["pack", "link"] = "link"


AfeData = Annotated[
    Bq76952Data | Bq76952SpiData | Ltc681xData | Ades1830Data | Bq769x0Data | SbsData, Field(discriminator="kind")
]
ShuntData = Annotated[VeDirectData | IvtSData | LemCabData | Ina2xxData, Field(discriminator="kind")]


class WorldSettings(Section):
    """A 16s 100 Ah lithium iron phosphate home storage, unless told otherwise."""

    chemistry: Literal["lfp", "nmc"] = "lfp"
    series: int = Field(ge=1, le=400, default=16)
    capacity_ah: float = Field(gt=0.0, le=5000.0, default=100.0)
    initial_soc: Ratio = 0.6
    seed: int = Field(ge=0, le=2**31, default=1)
    spread: Spread = Spread()
    ambient_degc: Degrees = 25.0
    balance_ohm: float = Field(gt=0.0, le=1e4, default=40.0, description="In series with each balancing switch.")
    probes: int = Field(ge=1, le=64, default=3)
    profile: Profile = Constant()
    outside: Outside = Outside()
    board: Literal["pi", "beaglebone"] = "pi"
    path: PathKind = "one_main"
    contactor: ContactorData = ContactorData()
    link: LinkData = LinkData()
    dead_man_s: Seconds = 0.2
    step_s: float = Field(ge=0.001, le=0.1, default=0.02, description="Electrical step of the cells.")
    afe: AfeData = Bq76952Data()
    shunt: ShuntData = VeDirectData()
