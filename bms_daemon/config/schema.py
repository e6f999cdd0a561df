"""The configuration file as types. Ranges stand beside the field; relations between fields are in checks.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny

from bms_daemon.config.driver_tables import AfeTable, ShuntTable
from bms_daemon.config.section import Amps, CellVolts, Degrees, Name, Ratio, Seconds, Section


class Node(Section):
    """Who this core is. Every CAN id base, topic, socket and journal carries ``id`` or ``name``."""

    name: Name
    id: int = Field(ge=0, le=15, description="Added to the node field of every frame; one string, one node.")
    site: Name = "site"
    profile: Literal["home", "vehicle"] = "home"


class Pack(Section):
    chemistry: Literal["lfp", "nmc"]
    series: int = Field(ge=1, le=400)
    capacity_ah: float = Field(gt=0.0, le=5000.0)
    rated_current_a: Amps
    cell_file: Path | None = Field(default=None, description="A shipped cell's name, or a file; without it generic.")


class CellLimits(Section):
    """Cell voltage ladder, lowest first: valid_min < recharge_min < critical_min < min < max < critical_max < valid_max."""

    valid_min_v: CellVolts
    recharge_min_v: CellVolts
    critical_min_v: CellVolts
    min_v: CellVolts
    max_v: CellVolts
    critical_max_v: CellVolts
    valid_max_v: CellVolts
    derate_span_v: float = Field(gt=0.0, le=0.5, default=0.1, description="Limits fall to zero over this span before max_v and min_v.")
    sum_tolerance_v: float = Field(gt=0.0, le=20.0, default=0.5, description="Sum of cells against the stack.")


class TemperatureLimits(Section):
    valid_min_degc: Degrees = -39.0
    valid_max_degc: Degrees = 120.0
    charge_min_degc: Degrees = 0.0
    charge_max_degc: Degrees = 45.0
    discharge_min_degc: Degrees = -20.0
    discharge_max_degc: Degrees = 55.0
    critical_max_degc: Degrees = 65.0
    derate_span_degc: float = Field(gt=0.0, le=30.0, default=5.0)
    spread_k: float = Field(gt=0.0, le=60.0, default=15.0, description="A probe so far from the middle of all is told.")
    probes_required: int = Field(ge=1, le=64, default=1)


class CurrentLimits(Section):
    charge_max_a: Amps
    discharge_max_a: Amps
    over_ratio: float = Field(ge=1.0, le=3.0, default=1.1, description="Over-current begins at this multiple of the maximum.")
    mismatch_a: Amps = Field(default=5.0, description="AFE against shunt.")
    mismatch_ratio: Ratio = 0.1
    rise_a_per_s: Amps = Field(default=20.0, description="A rising limit climbs at most this fast; a falling one acts at once.")


class Contactor(Section):
    """The power path. ``break_max_a`` is the largest current that the contactor may interrupt."""

    topology: Literal["main", "main_precharge", "two_mains_precharge", "fets"] = "main_precharge"
    break_max_a: Amps
    fuse_clear_s: Seconds = 0.5
    aux_feedback: bool = True
    feedback_s: Seconds = Field(default=0.2, description="An auxiliary contact must follow its command within this time.")
    precharge_ratio: Annotated[float, Field(ge=0.8, le=1.0)] = 0.95
    precharge_s: Seconds = Field(default=2.0, description="Longest precharge.")
    precharge_min_s: Seconds = Field(default=0.2, description="A link that is up sooner has no capacitor or a shorted resistor; seen in scans.")
    precharge_tries: int = Field(ge=1, le=10, default=3)
    precharge_rest_s: Seconds = 10.0
    link_live_v: float = Field(gt=0.0, le=60.0, default=5.0, description="A link above this before precharge is live: never close.")
    link_drain_s: Seconds = Field(default=10.0, description="After opening, the time in which the link must fall below half the pack.")
    close_interval_s: Seconds = Field(default=60.0, description="Least time between two closings.")
    closes_per_hour: int = Field(ge=1, le=60, default=10)
    recovery_max_s: Seconds = 1800.0


class Afe(Section):
    """The analog front end: ``kind`` names the driver, ``settings`` is the driver's own table."""

    kind: Name
    bus: str = Field(description="I2C or SPI device node, or sim when a [sim] table is present.")
    scan_period_s: Seconds = 0.1
    temp_period_s: Seconds = 1.0
    transfer_timeout_s: Seconds = 0.05
    frozen_s: Seconds = Field(default=0.7, description="A chip that proves no new conversion for this long is frozen.")
    settling_scans: int = Field(ge=1, le=50, default=5, description="Good scans after power-up before anything is believed.")
    settings: SerializeAsAny[AfeTable]


class Shunt(Section):
    kind: Name
    port: str = Field(description="Serial device by id, CAN interface, or sim when a [sim] table is present.")
    period_s: Seconds = Field(default=1.0, description="How often the sensor speaks.")
    settings: SerializeAsAny[ShuntTable]


class Line(Section):
    """A GPIO line of the chip, by its name, or by its offset where the board gives none."""

    line: str | int
    active_low: bool = False


class Gpio(Section):
    """Chip by label (never by number) and the role of every line."""

    chip: str = Field(description="Label of the GPIO chip, as gpioinfo shows it, or sim.")
    main: Line = Field(description="The main contactor; of FETs the line that lets them conduct (CFETOFF, DFETOFF).")
    main_negative: Line | None = None
    precharge: Line | None = None
    dead_man: Line
    main_aux: Line | None = None
    main_negative_aux: Line | None = None
    precharge_aux: Line | None = None
    emergency_stop: Line | None = None
    interlock: Line | None = None
    alert: Line | None = None
    fan: Line | None = None
    second_disconnect: Line | None = None
    read_period_s: Seconds = 0.05


class Fan(Section):
    on_degc: Degrees = 35.0
    full_degc: Degrees = 45.0
    hysteresis_degc: float = Field(gt=0.0, le=20.0, default=3.0)


class UserMessage(Section):
    """A message of the user's own DBC: its signals, each fed from a snapshot field."""

    message: str
    cycle_s: Seconds = 0.1
    signals: dict[str, str] = Field(min_length=1)


class UserDbc(Section):
    file: Path
    messages: tuple[UserMessage, ...] = Field(min_length=1)


class Can(Section):
    interface: Literal["socketcan", "virtual", "none"] = "socketcan"
    channel: str = "can0"
    id_offset: int = Field(ge=0, le=0x6F0, default=0, description="Added to every identifier of bms.dbc; 0x10 a node keeps nodes apart.")
    stale_s: Seconds = Field(default=0.3, description="Nothing is sent from a snapshot older than this.")
    required: bool = Field(default=True, description="A pack without a working bus stops after silent_s.")
    silent_s: Seconds = 3.0
    vcu: Literal["required", "optional", "none"] = "optional"
    vcu_timeout_s: Seconds = 1.0
    user_dbc: UserDbc | None = None


class Journal(Section):
    path: Path
    period_s: Seconds = 60.0


class Link(Section):
    socket: Path
    period_s: Seconds = 0.5


class Mqtt(Section):
    host: str
    port: int = Field(ge=1, le=65535, default=1883)
    username: str | None = None
    password_file: Path | None = None
    topic: str = Field(default="bms", pattern=r"^[^#+\s]+$")
    period_s: Seconds = 1.0


class Gateway(Section):
    mqtt: Mqtt | None = None


class Timing(Section):
    tick_s: Annotated[float, Field(ge=0.005, le=0.1)] = 0.02
    overrun_stop_s: Seconds = Field(default=0.1, description="Ticks late for this long stop the pack.")
    dead_man_s: Seconds = Field(default=0.2, description="The monostable of the dead-man circuit.")
    watchdog_device: Path | None = Field(default=None, description="The board's watchdog, unless systemd owns it.")
    watchdog_s: int = Field(ge=2, le=15, default=15, description="A Raspberry Pi's takes at most 15 s.")
    realtime: bool = Field(default=False, description="SCHED_FIFO and locked memory; needs the unit's rights.")
    open_grace_s: Seconds | None = Field(default=None, description="STOP: longest wait for low current; default 2 s home, 5 s vehicle.")
    shutdown_grace_s: Seconds = 8.0


class SimSection(Section):
    """A simulated plant instead of hardware. ``world`` is the simulator's own table."""

    world: SerializeAsAny[Section]
    manager: bool = Field(default=False, description="An energy manager on the bus: asks to open, then close; obeys limits.")


class Settings(Section):
    """The whole file."""

    schema_: Literal[1] = Field(alias="schema")
    node: Node
    pack: Pack
    cell: CellLimits
    temperature: TemperatureLimits = TemperatureLimits()
    current: CurrentLimits
    contactor: Contactor
    afe: Afe
    shunt: Shunt | None = None
    gpio: Gpio
    fan: Fan = Fan()
    can: Can = Can()
    journal: Journal
    link: Link
    gateway: Gateway = Gateway()
    timing: Timing = Timing()
    sim: SimSection | None = None

    @property
    def open_grace_s(self) -> float:
        """STOP's grace by profile (home 2 s, vehicle 5 s) unless the file says otherwise."""
        default = 5.0 if self.node.profile == "vehicle" else 2.0
        return self.timing.open_grace_s or default

    def plain(self) -> dict[str, Any]:
        """The file as plain values, for hashing and for showing."""
        return self.model_dump(mode="json", by_alias=True)
