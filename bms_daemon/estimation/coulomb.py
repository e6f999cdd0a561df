"""State of charge by counting charge from an open-circuit start, with an uncertainty that grows until the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bms_daemon.config.schema import Settings
from bms_daemon.estimation.ocv import soc_from_rest
from bms_daemon.model import AfeScan, Estimate, Measured, Survivor

CURRENT_BIAS = 0.002  # of rated current: what the sensor may be off by, all the time
START_SIGMA_MAX = 0.25  # a start less certain than this is not called valid
REST_C = 0.02  # current below which a voltage counts as rest voltage
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class EstimateState:
    """Charge counted so far. ``scan_s``: time of the last scan that was counted."""

    estimate: Estimate = Estimate()
    scan_s: float = float("nan")
    current_a: float = 0.0


def resume(survivor: Survivor | None, settings: Settings) -> EstimateState:
    """Start from the journal; without one the first rest voltage decides."""
    empty = Estimate(capacity_ah=settings.pack.capacity_ah)
    if survivor is None or not 0.0 <= survivor.soc <= 1.0:
        return EstimateState(empty)
    return EstimateState(
        replace(
            empty,
            soc=survivor.soc,
            soc_sigma=survivor.soc_sigma,
            soc_valid=survivor.soc_sigma <= START_SIGMA_MAX,
            charge_throughput_ah=survivor.charge_throughput_ah,
            discharge_throughput_ah=survivor.discharge_throughput_ah,
        )
    )


def estimate(measured: Measured, state: EstimateState, settings: Settings) -> tuple[Estimate, EstimateState]:
    """Count the charge of a new scan; trapezoid over the scans' own times. A gap adds uncertainty, not charge."""
    scan = measured.cells.value
    if scan is None or not measured.cells.fresh:
        return state.estimate, state
    at_s = measured.cells.time_s
    if state.estimate.soc != state.estimate.soc:
        start = _start(scan, state.estimate, settings)
        return start, EstimateState(start, at_s, scan.current_a)
    counted = _count(scan, at_s, state, settings)
    return counted, EstimateState(counted, at_s, scan.current_a)


def _start(scan: AfeScan, empty: Estimate, settings: Settings) -> Estimate:
    soc, sigma = soc_from_rest(float(scan.cell_v.min()), settings.pack.chemistry)
    if abs(scan.current_a) > REST_C * settings.pack.capacity_ah:
        sigma = max(sigma, 0.3)
    return replace(empty, soc=soc, soc_sigma=sigma, soc_valid=sigma <= START_SIGMA_MAX)


def _count(scan: AfeScan, at_s: float, state: EstimateState, settings: Settings) -> Estimate:
    past, capacity_ah = state.estimate, settings.pack.capacity_ah
    dt_s = at_s - state.scan_s if state.scan_s == state.scan_s else 0.0
    gap = dt_s > 3.0 * settings.afe.scan_period_s
    mean_a = 0.5 * (scan.current_a + state.current_a)
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
