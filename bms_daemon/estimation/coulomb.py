"""State of charge by counting charge from an open-circuit start, with an uncertainty that grows until the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

from bms_daemon.config.schema import Settings
from bms_daemon.estimation.ocv import soc_from_rest
from bms_daemon.model import AfeScan, Estimate, Measured, Survivor

CURRENT_BIAS = 0.002  # of rated current: what the sensor may be off by, all the time
LOADED_SIGMA = 0.3  # a guess from a voltage under load
START_SIGMA_MAX = 0.25  # a start less certain than this is not called valid
REST_C = 0.02  # current below which a voltage counts as rest voltage
REST_S = 1800.0  # a pack at rest for so long may start anew where counting has become worthless
MONITOR_SIGMA = 0.05  # of a battery monitor that counts by itself
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class EstimateState:
    """Charge counted so far. ``scan_s``: time of the last scan that was counted."""

    estimate: Estimate = Estimate()
    scan_s: float = float("nan")
    current_a: float = 0.0
    loaded_s: float = float("-inf")  # when more than a rest current last flowed


def resume(survivor: Survivor | None, settings: Settings) -> EstimateState:
    """Start from the journal; without one the first rest voltage decides."""
    kept = survivor or Survivor()
    empty = Estimate(
        capacity_ah=settings.pack.capacity_ah,
        charge_throughput_ah=kept.charge_throughput_ah,
        discharge_throughput_ah=kept.discharge_throughput_ah,
    )
    if not (0.0 <= kept.soc <= 1.0 and 0.0 <= kept.soc_sigma <= 1.0):
        return EstimateState(empty)
    valid = kept.soc_sigma <= START_SIGMA_MAX
    return EstimateState(replace(empty, soc=kept.soc, soc_sigma=kept.soc_sigma, soc_valid=valid))


def estimate(measured: Measured, state: EstimateState, settings: Settings) -> tuple[Estimate, EstimateState]:
    """Count the charge of a new scan; trapezoid over the scans' own times. A gap adds uncertainty, not charge."""
    state = replace(state, estimate=_with_monitor(state.estimate, measured)) if measured.shunt.fresh else state
    scan = measured.cells.value
    if scan is None or not measured.cells.fresh:
        return state.estimate, state
    at_s = measured.cells.time_s
    resting = abs(scan.current_a) <= REST_C * settings.pack.capacity_ah
    loaded_s = at_s if not resting or state.scan_s != state.scan_s else state.loaded_s
    if state.estimate.soc != state.estimate.soc:
        now = _start(scan, resting, False, state.estimate, settings)
    else:
        now = _count(scan, at_s, state, settings)
        if not now.soc_valid and at_s - loaded_s >= REST_S:
            now = _start(scan, resting, True, now, settings)
    return now, EstimateState(now, at_s, scan.current_a, loaded_s)


def _start(scan: AfeScan, resting: bool, rested: bool, past: Estimate, settings: Settings) -> Estimate:
    """From the open-circuit curve; not called valid under load, or when nobody saw how long the pack has rested."""
    soc, sigma = soc_from_rest(float(scan.cell_v.min()), settings.pack.chemistry)
    sigma = sigma if resting else max(sigma, LOADED_SIGMA)
    return replace(past, soc=soc, soc_sigma=sigma, soc_valid=rested and sigma <= START_SIGMA_MAX)


def _with_monitor(past: Estimate, measured: Measured) -> Estimate:
    """A battery monitor's own count is worth more than a flat curve; one that contradicts is left aside."""
    soc = measured.shunt.value.soc if measured.shunt.value is not None else float("nan")
    vague = not past.soc_valid or past.soc_sigma > 2.0 * MONITOR_SIGMA
    if not vague or not abs(soc - past.soc) <= 2.0 * past.soc_sigma:
        return past
    return replace(past, soc=soc, soc_sigma=MONITOR_SIGMA, soc_valid=measured.health.commissioned)


def _count(scan: AfeScan, at_s: float, state: EstimateState, settings: Settings) -> Estimate:
    past, capacity_ah = state.estimate, settings.pack.capacity_ah
    dt_s = at_s - state.scan_s if state.scan_s == state.scan_s else 0.0
    mean_a = 0.5 * (scan.current_a + state.current_a)
    gap = dt_s > 3.0 * settings.afe.scan_period_s or not isfinite(mean_a)
    charge_ah = 0.0 if gap or dt_s <= 0.0 else mean_a * dt_s / HOUR_S
    doubt_a = settings.pack.rated_current_a * (1.0 if gap else CURRENT_BIAS)
    sigma = min(1.0, past.soc_sigma + max(0.0, dt_s) * doubt_a / HOUR_S / capacity_ah)
    return Estimate(
        soc=min(1.0, max(0.0, past.soc + charge_ah / capacity_ah)),
        soc_sigma=sigma,
        soc_valid=past.soc_valid and sigma <= START_SIGMA_MAX,
        capacity_ah=capacity_ah,
        charge_throughput_ah=past.charge_throughput_ah + max(0.0, charge_ah),
        discharge_throughput_ah=past.discharge_throughput_ah + max(0.0, -charge_ah),
    )
