"""The estimate stage: counts every sample of the current, and once a second lets the estimators look at every cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp, inf, isfinite, nan

import numpy as np

from bms_daemon.estimation.cells import Cells, begin, follow
from bms_daemon.estimation.counting import Counting, Sample, Sight, count, handed_over
from bms_daemon.estimation.hearsay import believe, kept_soc
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.estimation.soc import Reading
from bms_daemon.estimation.soh import REST_C
from bms_daemon.estimation.soh import kept as kept_health
from bms_daemon.estimation.telling import Warmth, told
from bms_daemon.estimation.tuning import USUAL
from bms_daemon.model import AfeScan, Channel, Estimate, FloatArray, Measured, Quality, ShuntReading, Survivor, TempScan

PERIOD_S = 1.0  # of the estimators; scans in between add to the count
LOAD_S = 120.0  # memory of the mean load for which energy and times are told
REST_S = 1800.0  # a pack that was at rest for so long has rested
TRAVELLED = 0.2  # whoever has counted so much of a capacity beside the voltage knows where the cells are
RECOVERY_S = 600.0  # after which an estimator that began anew is believed as before
BRIDGE_S = 100.0  # for which a sensor's counter tells what flowed unseen; longer is more than one step of the filter
OVER = 1.5  # of the largest permitted current: what may flow until somebody opens
MONITOR_SIGMA = 0.05  # of a battery monitor that counts by itself


@dataclass(frozen=True, slots=True)
class EstimateState:
    """``cells`` is None until the first scan. ``load_a`` is the mean of the last minutes.

    ``vouched``: somebody knew where the charge started, or the pack has rested or travelled far since. ``restarted_s``:
    when the estimator last had to begin anew. ``sighted``: cells and count as they were when the current was still
    known, while it is not.
    """

    estimate: Estimate = field(default_factory=Estimate)
    kept: Survivor = field(default_factory=Survivor)
    counting: Counting = field(default_factory=Counting)
    cells: Cells | None = None
    load_a: float = 0.0
    loaded_s: float = nan  # when more than a rest current last flowed
    vouched: bool = False
    restarted_s: float = -inf
    sighted: tuple[Cells | None, Counting] | None = None


def resume(survivor: Survivor | None) -> EstimateState:
    """What the journal kept; the cells are looked at with the first scan."""
    kept = survivor or Survivor()
    counting = Counting(charged_ah=kept.charge_throughput_ah, discharged_ah=kept.discharge_throughput_ah)
    first = Estimate(charge_throughput_ah=counting.charged_ah, discharge_throughput_ah=counting.discharged_ah)
    if kept_soc(kept, len(kept.cell_soc)) is not None:
        first = replace(first, soc=kept.soc, soc_sigma=kept.soc_sigma, soc_valid=True)
    return EstimateState(first, kept, counting)


def kept_charge(state: EstimateState) -> Survivor:
    """What of the estimate must outlive the process; before the first scan, what the journal said.

    A state of charge that nobody vouches for is not kept: a restart must not make it a known one.
    """
    if state.cells is None:
        return state.kept
    kept = Survivor(
        charge_throughput_ah=state.counting.charged_ah,
        discharge_throughput_ah=state.counting.discharged_ah,
        cell_health=kept_health(state.cells.soh),
    )
    if not state.vouched:
        return kept
    return replace(
        kept,
        soc=state.estimate.soc,
        soc_sigma=state.estimate.soc_sigma,
        cell_soc=_digits(state.cells.soc.soc),
        cell_soc_sigma=_digits(state.cells.soc.soc_sigma),
    )


def _digits(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values.tolist())


def estimate(measured: Measured, state: EstimateState, model: PackModel) -> tuple[Estimate, EstimateState]:
    """Take what this tick brought. Without a new scan nothing is counted; a gap adds uncertainty, not charge."""
    scan, restarts = measured.cells.value, state.estimate.restarts
    if measured.current_fresh:
        state = _counted(state, Sample(measured.current_s, measured.current_a, measured.charge_ah), model)
    elif measured.current_a != measured.current_a and measured.cells.fresh:
        state = _counted(state, Sample(measured.cells.time_s, nan), model)
    if scan is not None and measured.cells.fresh:
        due = state.counting.span_s >= PERIOD_S - 0.5 * model.scan_period_s
        if due or (state.estimate.power is None and measured.temps.quality is not Quality.FAILED):
            state = _looked(state, scan, measured.current_a, measured.temps, model)
    if measured.shunt.fresh:
        state = _heard(state, measured.shunt, measured.health.commissioned)
    state = _recovering(_without_what_is_lost(state, measured), measured.now_s, restarts)
    return state.estimate, state


def _recovering(state: EstimateState, now_s: float, restarts: int) -> EstimateState:
    """For a while after the estimator began anew, ``restarts`` times before this tick, its word counts less."""
    if state.estimate.restarts > restarts:
        state = replace(state, restarted_s=now_s)
    recovering = now_s - state.restarted_s < RECOVERY_S
    if recovering == state.estimate.recovering:
        return state
    return replace(state, estimate=replace(state.estimate, recovering=recovering))


def _without_what_is_lost(state: EstimateState, measured: Measured) -> EstimateState:
    """What the cells can do is never told again once they, or their temperatures, are not seen any more."""
    cells_lost = measured.cells.quality is Quality.FAILED and state.cells is not None
    now = state.estimate
    if not cells_lost and (measured.temps.quality is not Quality.FAILED or now.power is None):
        return state
    known = replace(now, power=None, remaining=None, soc_valid=now.soc_valid and not cells_lost)
    return replace(state, estimate=known)


def _counted(state: EstimateState, sample: Sample, model: PackModel) -> EstimateState:
    """Take a sample of the current; NaN where it is not known any more."""
    possible = abs(sample.current_a) <= USUAL.insane_c * model.cell.capacity_ah
    sample = sample if possible else Sample(sample.at_s, nan)
    sight = Sight(model.gap_s, BRIDGE_S, OVER * max(model.bounds.charge_max_a, model.bounds.discharge_max_a))
    state = _seen_again(state, sample, sight) if possible else _lost_sight(state)
    counting = count(state.counting, sample, sight)
    resting = not counting.blind and abs(sample.current_a) <= REST_C * model.cell.capacity_ah
    loaded_s = state.loaded_s if resting and state.loaded_s == state.loaded_s else sample.at_s
    now = replace(
        state.estimate, charge_throughput_ah=counting.charged_ah, discharge_throughput_ah=counting.discharged_ah
    )
    return replace(state, estimate=now, counting=counting, loaded_s=loaded_s)


def _lost_sight(state: EstimateState) -> EstimateState:
    return replace(state, sighted=(state.cells, state.counting)) if state.sighted is None else state


def _seen_again(state: EstimateState, sample: Sample, sight: Sight) -> EstimateState:
    """Where the sensor has counted on unseen, the steps that the estimators took blindly are undone.

    Its counter may come a message later than its current: it is waited for until the estimators look again.
    """
    if state.sighted is None:
        return state
    cells, counting = state.sighted
    if not count(counting, sample, sight).blind:
        return replace(state, cells=cells, counting=counting, sighted=None)
    return state if state.counting.blind else replace(state, sighted=None)


def _looked(
    state: EstimateState, scan: AfeScan, current_a: float, temps: Channel[TempScan], model: PackModel
) -> EstimateState:
    """Let the estimators see every cell, and tell what they make of the pack."""
    warmth = _warmth(temps)
    counting, cells = state.counting, scan.cell_v.size
    current_a = nan if counting.blind else current_a
    mean_a = np.full(cells, counting.mean_a)
    reading = Reading(counting.span_s, np.full(cells, current_a), scan.cell_v, np.full(cells, warmth.mean_degc), mean_a)
    if state.cells is None:
        known = kept_soc(state.kept, cells)
        first = begin(model.cell, reading, known, state.kept.cell_health)
        state = replace(state, cells=first, vouched=known is not None)
    else:
        state = replace(state, cells=follow(model.cell, state.cells, reading), load_a=_load_a(state))
    state = replace(state, counting=handed_over(counting), vouched=state.vouched or _seen_enough(state, model))
    return _telling(state, model, warmth)


def _telling(state: EstimateState, model: PackModel, warmth: Warmth) -> EstimateState:
    assert state.cells is not None
    now = told(state.estimate, state.cells, model, state.load_a, warmth)
    return replace(state, estimate=replace(now, soc_valid=now.soc_valid and state.vouched))


def _load_a(state: EstimateState) -> float:
    counting = state.counting
    if not isfinite(counting.mean_a):
        return state.load_a
    keep = exp(-counting.span_s / LOAD_S)
    return keep * state.load_a + (1.0 - keep) * counting.mean_a


def _seen_enough(state: EstimateState, model: PackModel) -> bool:
    counting, kept = state.counting, state.kept
    started_ah = kept.charge_throughput_ah + kept.discharge_throughput_ah
    travelled_ah = counting.charged_ah + counting.discharged_ah - started_ah
    return counting.at_s - state.loaded_s >= REST_S or travelled_ah >= TRAVELLED * model.cell.capacity_ah


def _heard(state: EstimateState, shunt: Channel[ShuntReading], commissioned: bool) -> EstimateState:
    """A battery monitor's own count is worth more than a flat curve; one that contradicts is left aside."""
    now, cells = state.estimate, state.cells
    soc = shunt.value.soc if shunt.value is not None else nan
    if cells is None or not abs(soc - now.soc) <= 2.0 * now.soc_sigma:
        return state
    doubt = float(cells.soc.soc_sigma.max())  # not what was told: that is from before the last message
    if doubt <= 2.0 * MONITOR_SIGMA and not (commissioned and not state.vouched):
        return state
    sharpened = replace(cells, soc=believe(cells.soc, soc, MONITOR_SIGMA))
    return replace(state, cells=sharpened, vouched=state.vouched or commissioned)


def _warmth(temps: Channel[TempScan]) -> Warmth:
    if temps.value is None:
        return Warmth()
    probes: FloatArray = temps.value.probe_degc
    known = probes[probes == probes]
    return Warmth(float(known.min()), float(known.mean()), float(known.max())) if known.size else Warmth()
