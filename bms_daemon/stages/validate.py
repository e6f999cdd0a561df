"""Validate: range, age, conversion proof, first samples after power-up, sum against stack, AFE against shunt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Senses, Source
from bms_daemon.model import (
    AfeScan,
    Channel,
    Doubt,
    Measured,
    Pins,
    Quality,
    Raw,
    Sample,
    ShuntReading,
    TempScan,
    Trip,
    VcuRequest,
)
from bms_daemon.stages.channel import Ages, Trail, follow
from bms_daemon.stages.mismatch import Span, compare
from bms_daemon.stages.plausible import doubt_cells, doubt_temps, judge_shunt
from bms_daemon.stages.redundancy import Sources, vote
from bms_daemon.stages.witness import Witness

T = TypeVar("T")
PROBE_DOUBTS = Doubt.PROBE_RANGE | Doubt.PROBES_FEW
VOTED = Doubt.CURRENT_SUSPECT | Doubt.CURRENT_CONTRADICTED | Doubt.CURRENT_STUCK | Doubt.TERMINALS


@dataclass(frozen=True, slots=True)
class ValidateState:
    """What validation remembers from tick to tick."""

    cells: Trail[AfeScan] = field(default_factory=Trail)
    temps: Trail[TempScan] = field(default_factory=Trail)
    shunt: Trail[ShuntReading] = field(default_factory=Trail)
    pins: Trail[Pins] = field(default_factory=Trail)
    vcu: Trail[VcuRequest] = field(default_factory=Trail)
    settled: int = 0  # good scans in a row since power-up, loss or reset
    conversions: int = -1
    converted_s: float = float("-inf")
    span: Span = field(default_factory=Span)
    witness: Witness = field(default_factory=Witness)
    doubts: Doubt = Doubt.NONE
    trips: Trip = Trip.NONE
    late_since_s: float = float("inf")
    late_ticks: int = 0
    now_s: float = float("nan")


@dataclass(frozen=True, slots=True)
class SourceAges:
    """Ages of every source and who measures the terminals, worked out once from the configuration."""

    sources: Sources
    cells: Ages
    temps: Ages
    shunt: Ages
    pins: Ages
    vcu: Ages

    @classmethod
    def of(cls, settings: Settings) -> SourceAges:
        shunt_s = settings.shunt.period_s if settings.shunt else 1.0
        vcu_s = settings.can.vcu_timeout_s
        return cls(
            Sources.of(settings),
            Ages.of_period(settings.afe.scan_period_s),
            Ages.of_period(settings.afe.temp_period_s),
            Ages.of_period(shunt_s),
            Ages.of_period(settings.gpio.read_period_s),
            Ages(vcu_s / 2.0, vcu_s),
        )


class _CellCheck:
    """Judges one scan and keeps what it found for the doubts and the settling count."""

    def __init__(self, settings: Settings, senses: Senses, settled: int) -> None:
        self.settings = settings
        self.settled = settled
        self._needs_current = senses.current is Source.AFE
        self.doubts = Doubt.NONE

    def __call__(self, scan: AfeScan) -> tuple[AfeScan | None, str]:
        self.doubts, reason = doubt_cells(scan, self.settings.cell, self.settings.pack.series, self._needs_current)
        enough = self.settings.afe.settling_scans
        if reason:
            self.settled = 0 if self.settled < enough or scan.was_reset else self.settled
            return None, reason
        self.settled = min(self.settled + 1, enough)
        if self.settled < enough:
            self.doubts |= Doubt.SETTLING
            return None, "first samples after power-up"
        return scan, ""


class _TempCheck:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.doubts = Doubt.NONE

    def __call__(self, scan: TempScan) -> tuple[TempScan | None, str]:
        self.doubts, kept = doubt_temps(scan, self.settings.temperature)
        return kept, "" if kept is not None else "no probe is in range"


def _as_is(value: T) -> tuple[T, str]:
    return value, ""


def validate(
    raw: Raw, state: ValidateState, settings: Settings, ages: SourceAges, now_s: float
) -> tuple[Measured, ValidateState]:
    """Judge every source's newest sample. Pure; ``now_s`` in monotonic seconds."""
    check_cells = _CellCheck(settings, ages.sources.senses, _settled(state, raw.cells, settings, ages, now_s))
    check_temps = _TempCheck(settings)
    cells, cells_trail = follow(state.cells, raw.cells, ages.cells, now_s, check_cells)
    temps, temps_trail = follow(state.temps, raw.temps, ages.temps, now_s, check_temps)
    shunt, shunt_trail = follow(state.shunt, raw.shunt, ages.shunt, now_s, judge_shunt)
    pins, pins_trail = follow(state.pins, raw.pins, ages.pins, now_s, _as_is)
    vcu, vcu_trail = follow(state.vcu, raw.vcu, ages.vcu, now_s, _as_is)
    doubts = _doubts(state.doubts, cells, temps, check_cells, check_temps)
    compared = compare(state.span, cells, shunt, doubts, ages.sources.slower, settings, now_s)
    doubts = compared.doubts
    conversions, converted_s = _conversions(state, raw.cells, now_s)
    frozen_s = now_s - converted_s if conversions >= 0 else 0.0
    if frozen_s > settings.afe.frozen_s and cells.quality is not Quality.FAILED:
        cells, temps = _frozen(cells), _frozen(temps)
    trips = raw.cells.value.trips if cells.tried and raw.cells and raw.cells.value else state.trips
    late_since_s, late_ticks = _late(state, raw, settings, now_s)
    witness, known, doubts = vote(state.witness, state.doubts, doubts, cells, shunt, ages.sources, settings, now_s)
    measured = Measured(
        now_s=now_s,
        dt_s=_dt_s(state.now_s, now_s, settings.timing.tick_s),
        cells=cells,
        temps=temps,
        shunt=shunt,
        pins=pins,
        vcu=vcu,
        can=raw.can,
        doubts=doubts,
        frozen_s=frozen_s,
        step_s=max(0.0, now_s - state.now_s) if state.now_s == state.now_s else 0.0,
        trips=trips,
        lateness_s=raw.lateness_s,
        late_run_s=now_s - late_since_s if late_ticks >= 3 else 0.0,
        orders=raw.orders,
        current_a=known.current_a,
        pack_v=known.pack_v,
        link_v=known.link_v,
        current_s=known.current_s,
        current_fresh=known.current_fresh,
        terminals=known.quality,
        charge_ah=known.charge_ah,
        compared=compared.fresh,
        health=raw.health,
    )
    return measured, ValidateState(
        cells_trail, temps_trail, shunt_trail, pins_trail, vcu_trail, check_cells.settled, conversions, converted_s,
        compared.span, witness, doubts, trips, late_since_s, late_ticks, now_s,
    )  # fmt: skip


def _dt_s(last_s: float, now_s: float, tick_s: float) -> float:
    """Time since the last tick, 0 in the first; never negative, and a stall counts as three ticks."""
    step_s = now_s - last_s
    return min(step_s, 3.0 * tick_s) if step_s > 0.0 else 0.0


def _settled(
    state: ValidateState, sample: Sample[AfeScan] | None, settings: Settings, ages: SourceAges, now_s: float
) -> int:
    """A chip that was lost may have lost its power: it settles anew. One bad scan says no such thing."""
    failed = sample is not None and not sample.ok
    had_settled = state.settled >= settings.afe.settling_scans
    lost = now_s - state.cells.time_s > ages.cells.lost_s
    return 0 if lost and (failed or had_settled) else state.settled


def _doubts(
    last: Doubt,
    cells: Channel[AfeScan],
    temps: Channel[TempScan],
    check_cells: _CellCheck,
    check_temps: _TempCheck,
) -> Doubt:
    """Doubts stand until their source brings something else; a failed attempt settles nothing."""
    kept = last & ~VOTED
    if cells.tried:
        kept = (kept & (PROBE_DOUBTS | Doubt.CURRENT_MISMATCH)) | check_cells.doubts
    if temps.tried:
        kept = (kept & ~PROBE_DOUBTS) | check_temps.doubts
    return kept


def _conversions(state: ValidateState, sample: Sample[AfeScan] | None, now_s: float) -> tuple[int, float]:
    """When the chip last proved a new conversion; a scan that fails proves nothing."""
    if sample is None or sample.value is None or sample.value.conversions == state.conversions:
        return state.conversions, state.converted_s
    return sample.value.conversions, now_s


def _frozen(channel: Channel[T]) -> Channel[T]:
    """What a chip says that converts no more is not known, however young it looks."""
    return replace(channel, value=None, quality=Quality.FAILED, fresh=False, reason="the chip converts no more")


def _late(state: ValidateState, raw: Raw, settings: Settings, now_s: float) -> tuple[float, int]:
    """A tick is late beyond half its period; a run of late ones counts, one hiccup does not. Edges say nothing."""
    if raw.edge:
        return state.late_since_s, state.late_ticks
    if raw.lateness_s <= settings.timing.tick_s / 2.0:
        return float("inf"), 0
    return min(state.late_since_s, now_s - raw.lateness_s), state.late_ticks + 1
