"""Limits: current, power and voltage in each direction, each with the reason that binds. Down at once, up at a rate."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.config.schema import Settings
from bms_daemon.model import Binding, Control, Estimate, Faults, Limits, Measured, PackState, PowerAhead

RECOVERY_C = 0.05  # C/20
HORIZON = 2  # of the estimated power, 10 s: it is told anew every second


@dataclass(frozen=True, slots=True)
class Bound:
    """A current limit and why."""

    amps: float
    why: Binding

    def under(self, amps: float, why: Binding) -> Bound:
        return Bound(max(0.0, amps), why) if amps < self.amps else self


def ramp(x: float, zero_at: float, full_at: float) -> float:
    """0 at ``zero_at``, 1 at ``full_at``, straight between, flat beyond; NaN counts as 0."""
    share = (x - zero_at) / (full_at - zero_at)
    return min(1.0, max(0.0, share)) if share == share else 0.0


def limits(
    measured: Measured,
    estimate: Estimate,
    faults: Faults,
    control: Control,
    last: Limits,
    settings: Settings,
) -> Limits:
    """Limits of this tick. ``last`` are those of the tick before, from which a rise is rated."""
    scan, temps = measured.cells.value, measured.temps.value
    closed = control.state in (PackState.CLOSED, PackState.RECOVERY_CHARGE) and _confirmed(measured)
    max_v, min_v = settings.pack.series * settings.cell.max_v, settings.pack.series * settings.cell.min_v
    if scan is None or temps is None or not closed or control.open_pending:
        why = _closed_why(control, stale=closed and not control.open_pending)
        return Limits(max_v=max_v, min_v=min_v, charge_binding=why, discharge_binding=why)
    charge, discharge = _by_cells(measured, settings)
    charge, discharge = _by_power(charge, discharge, estimate.power)
    charge = charge.under(scan.charge_max_a, Binding.BATTERY)
    discharge = discharge.under(scan.discharge_max_a, Binding.BATTERY)
    charge, discharge = _by_temperature(charge, discharge, measured, settings)
    charge, discharge = _by_faults(charge, discharge, faults, control, settings)
    rise_a = settings.current.rise_a_per_s * measured.dt_s
    charge = charge.under(last.charge_a + rise_a, Binding.RISING)
    discharge = discharge.under(last.discharge_a + rise_a, Binding.RISING)
    return Limits(
        charge.amps,
        discharge.amps,
        charge.amps * max(scan.stack_v, 0.0),
        discharge.amps * max(scan.stack_v, 0.0),
        max_v,
        min_v,
        charge.why,
        discharge.why,
    )


def _confirmed(measured: Measured) -> bool:
    """No contact says that a main contactor is open although it was commanded on."""
    pins = measured.pins.value
    return pins is None or False not in (pins.main_aux_closed, pins.main_negative_aux_closed)


def _closed_why(control: Control, stale: bool) -> Binding:
    if control.open_pending:
        return Binding.OPENING
    return Binding.STALE if stale else Binding.NOT_CLOSED


def _by_cells(measured: Measured, settings: Settings) -> tuple[Bound, Bound]:
    scan, cell, current = measured.cells.value, settings.cell, settings.current
    assert scan is not None
    low_v, high_v, span_v = float(scan.cell_v.min()), float(scan.cell_v.max()), cell.derate_span_v
    full_c, full_d = current.charge_max_a, current.discharge_max_a
    return (
        Bound(full_c, Binding.RATED).under(
            full_c * ramp(high_v, cell.max_v, cell.max_v - span_v), Binding.CELL_VOLTAGE
        ),
        Bound(full_d, Binding.RATED).under(full_d * ramp(low_v, cell.min_v, cell.min_v + span_v), Binding.CELL_VOLTAGE),
    )


def _by_power(charge: Bound, discharge: Bound, power: PowerAhead | None) -> tuple[Bound, Bound]:
    """What the cells can do for the next seconds; nothing while nobody has worked it out."""
    if power is None:
        return charge.under(0.0, Binding.STALE), discharge.under(0.0, Binding.STALE)
    return (
        charge.under(float(power.charge_a[HORIZON]), power.charge_binding[HORIZON]),
        discharge.under(float(power.discharge_a[HORIZON]), power.discharge_binding[HORIZON]),
    )


def _by_temperature(
    charge: Bound, discharge: Bound, measured: Measured, settings: Settings
) -> tuple[Bound, Bound]:
    temps, limit, current = measured.temps.value, settings.temperature, settings.current
    assert temps is not None
    known = temps.probe_degc[temps.probe_degc == temps.probe_degc]
    low, high, span = float(known.min()), float(known.max()), limit.derate_span_degc
    share_c = min(
        ramp(high, limit.charge_max_degc, limit.charge_max_degc - span),
        ramp(low, limit.charge_min_degc, limit.charge_min_degc + span),
    )
    share_d = min(
        ramp(high, limit.discharge_max_degc, limit.discharge_max_degc - span),
        ramp(low, limit.discharge_min_degc, limit.discharge_min_degc + span),
    )
    return (
        charge.under(current.charge_max_a * share_c, Binding.TEMPERATURE),
        discharge.under(current.discharge_max_a * share_d, Binding.TEMPERATURE),
    )


def _by_faults(
    charge: Bound, discharge: Bound, faults: Faults, control: Control, settings: Settings
) -> tuple[Bound, Bound]:
    if faults.derate < 1.0:
        charge = charge.under(charge.amps * faults.derate, Binding.FAULT)
        discharge = discharge.under(discharge.amps * faults.derate, Binding.FAULT)
    if faults.block_charge:
        charge = charge.under(0.0, Binding.FAULT)
    if control.state is PackState.RECOVERY_CHARGE:
        charge = charge.under(RECOVERY_C * settings.pack.capacity_ah, Binding.RECOVERY)
        return charge, Bound(0.0, Binding.RECOVERY)
    if faults.block_discharge:
        discharge = discharge.under(0.0, Binding.FAULT)
    return charge, discharge
