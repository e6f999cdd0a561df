"""The whole fit: files read, states of charge told, a first fit of slow discharges, then the fit of everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bms_daemon.config.cellfile import CellFile, Identity
from bms_daemon.estimation.cell import Cell
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.branches import doubts
from bms_daemon.offline.cellfit.charge import Charge, count
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.fitted import cell_file
from bms_daemon.offline.cellfit.heat import fit_heat
from bms_daemon.offline.cellfit.reading import Log, Possible, Source, read_log
from bms_daemon.offline.cellfit.settings import (
    FIRST_ROUNDS,
    ROUNDS,
    WITH_CYCLES,
    WITHOUT_CYCLES,
    Form,
)
from bms_daemon.offline.cellfit.solve import Step, solve, steps
from bms_daemon.offline.cellfit.start import VOLTAGE_SIGMA_V, Curve, StartError, soc_along
from bms_daemon.offline.cellfit.trace import Trace, make_trace, temperature_knots
from bms_daemon.offline.columns import ColumnError

LFP_FULL_V = 3.45  # of a full cell at rest; that of NMC is its highest voltage
CURVE_SOC: FloatArray = np.linspace(0.0, 1.0, 1001)


@dataclass(frozen=True, slots=True)
class Job:
    """What to fit to what."""

    sources: tuple[Source, ...]
    columns: CellColumns
    identity: Identity
    usual_degc: float

    @property
    def steps(self) -> int:
        return len(self.sources) + steps(len(self.slow), FIRST_ROUNDS) + steps(len(self.sources), ROUNDS)

    @property
    def slow(self) -> tuple[Source, ...]:
        """What tells where the other recordings start: nothing where there is no other."""
        slow = tuple(source for source in self.sources if source.kind == "ocv")
        return slow if len(slow) < len(self.sources) else ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The cell, and the recordings as they were fitted."""

    file: CellFile
    traces: tuple[Trace, ...]


@dataclass(frozen=True, slots=True)
class _Unknown:
    """No slow discharge was given: only the voltage of a full cell is known."""

    at_full_v: float

    def full_v(self, temp_degc: float) -> float:
        return self.at_full_v

    def soc(self, rest_v: float, temp_degc: float) -> tuple[float, float] | None:
        return None


@dataclass(frozen=True, slots=True)
class _Known:
    """The open-circuit voltage as the slow discharges alone have it."""

    cell: Cell

    def full_v(self, temp_degc: float) -> float:
        return float(self._curve_v(temp_degc)[-1])

    def soc(self, rest_v: float, temp_degc: float) -> tuple[float, float] | None:
        curve_v = np.maximum.accumulate(self._curve_v(temp_degc))
        low, at, high = np.interp(rest_v + VOLTAGE_SIGMA_V * np.array([-1.0, 0.0, 1.0]), curve_v, CURVE_SOC)
        return float(at), float(high - low) / 2.0

    def _curve_v(self, temp_degc: float) -> FloatArray:
        return self.cell.ocv_v(CURVE_SOC, np.full(CURVE_SOC.size, temp_degc))


@dataclass(frozen=True, slots=True)
class _Counted:
    source: Source
    log: Log
    charge: Charge


def fit_cell(job: Job, step: Step) -> Outcome:
    """Raises ColumnError for a recording that cannot be used. ``step`` is called ``job.steps`` times."""
    counted = []
    for source in job.sources:
        counted.append(_read(source, job))
        step()
    curve = _first_curve(job, [each for each in counted if each.source in job.slow], step)
    traces = [_trace(each, job, curve) for each in counted]
    kinds = {trace.kind for trace in traces}
    weights = WITH_CYCLES if "cycles" in kinds else WITHOUT_CYCLES
    found = solve(traces, _form(job, traces), weights, ROUNDS, step)
    file = cell_file(found, job.identity)
    return Outcome(file.model_copy(update={"heat": fit_heat(Cell(file), traces)}), tuple(traces))


def _read(source: Source, job: Job) -> _Counted:
    possible = Possible.of(job.identity.min_v, job.identity.max_v, job.identity.capacity_ah)
    log = read_log(source, job.columns, possible, job.usual_degc)
    return _Counted(source, log, count(log, job.identity.capacity_ah))


def _first_curve(job: Job, slow: Sequence[_Counted], step: Step) -> Curve:
    full_v = job.identity.max_v if job.identity.chemistry == "nmc" else LFP_FULL_V
    unknown = _Unknown(full_v)
    if not slow:
        return unknown
    traces = [_trace(each, job, unknown) for each in slow]
    found = solve(traces, _form(job, traces), WITHOUT_CYCLES, FIRST_ROUNDS, step)
    return _Known(Cell(cell_file(found, job.identity)))


def _form(job: Job, traces: Sequence[Trace]) -> Form:
    return Form(job.identity.capacity_ah, job.identity.chemistry, temperature_knots(traces))


def _trace(each: _Counted, job: Job, curve: Curve) -> Trace:
    capacity_ah, kind = job.identity.capacity_ah, each.source.kind
    try:
        soc, sigma = soc_along(each.log, each.charge, kind, capacity_ah, job.columns.initial_soc, curve)
    except StartError as error:
        raise ColumnError(f"{each.source.path}: {error}") from None
    log = each.log
    if kind == "ocv":
        log = replace(log, notes=log.notes + doubts(log, soc, capacity_ah, job.identity.max_v))
    return make_trace(_name(each.source), kind, log, each.charge, soc, sigma, capacity_ah)


def _name(source: Source) -> str:
    """The file's name without its endings, behind its folder's where that has one."""
    folder, name = source.path.parent.name, source.path.name.removesuffix(".gz").rpartition(".")[0]
    return f"{folder}/{name}" if folder else name
