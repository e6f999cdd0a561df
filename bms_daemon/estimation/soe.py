"""What is left at a load: charge, energy and time, until the first cell of a pack is at its voltage limit.

The cells are in series, so the same charge passes through all of them. The end is set by a cell that has the least
charge (or room) and the largest resistance of any; energy is what the mean cell gives until then. The load is taken as
lasting, with every RC pair settled, at the temperature of the coldest cell: in the cold and under load the end comes
early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import FAST, HOUR_S, SLOW
from bms_daemon.estimation.tables import saturated_a, within
from bms_daemon.model import FloatArray, Remaining

STEPS = 40
SHARE: FloatArray = np.linspace(0.0, 1.0, STEPS)
NEVER_S = float("inf")
LEAST_C = 0.05  # a smaller current leads nowhere that matters, and ends a charge at constant voltage; 1/h


@dataclass(frozen=True, slots=True)
class _Way:
    """Cells along their way, arrays (kinds, steps): voltage without current, V, and what resists, ohm."""

    open_v: FloatArray
    hysteresis_v: FloatArray
    direct_ohm: FloatArray
    bending_ohm: FloatArray
    knee_a: FloatArray

    def sag_v(self, current_a: FloatArray) -> FloatArray:
        """What currents of these magnitudes (kinds, 1) cost, hysteresis included."""
        bent_a = saturated_a(current_a, self.knee_a)
        found: FloatArray = self.hysteresis_v + self.direct_ohm * current_a + self.bending_ohm * bent_a
        return found


def remaining(
    cell: Cell, state: SocState, min_v: float, max_v: float, current_a: float, coldest_degc: float
) -> Remaining:
    """Of all cells of ``state`` (n,) in series, at a lasting current, A (charging positive), and a temperature."""
    soc, capacity_ah = state.soc, state.filter.capacity_ah
    charge_ah = soc * capacity_ah
    room_ah = capacity_ah - charge_ah
    weak, strong = int(charge_ah.argmin()), int(room_ah.argmin())
    least_a = LEAST_C * cell.capacity_ah
    drawn_a, fed_a = max(-current_a, least_a), max(current_a, least_a)
    all_ah = float(capacity_ah.sum())
    starts = np.array([soc[weak], charge_ah.sum() / all_ah, soc[strong]])
    ends = np.array([0.0, starts[1] - soc.size * charge_ah[weak] / all_ah, 1.0])
    way = _way(cell, state, starts[:, None] + (ends - starts)[:, None] * SHARE, coldest_degc)
    sag_v = way.sag_v(np.array([[drawn_a], [drawn_a], [fed_a]]))
    worst_v, mean_v, _ = way.open_v - sag_v
    reach = _reach(worst_v, min_v)
    pack_ah = float(reach * charge_ah[weak])
    full_s = NEVER_S
    if current_a >= least_a:
        full_s = _filling_s(way.open_v[2], sag_v[2], room_ah[strong], max_v, fed_a, least_a)
    return Remaining(
        charge_ah=pack_ah,
        room_ah=float(room_ah[strong]),
        energy_wh=float(np.interp(reach, SHARE, _covered(mean_v)) * charge_ah[weak] * soc.size),
        energy_sigma_wh=float(state.soc_sigma[weak] * capacity_ah[weak] * way.open_v[1].sum() / STEPS * soc.size),
        time_to_empty_s=HOUR_S * pack_ah / drawn_a if -current_a >= least_a else NEVER_S,
        time_to_full_s=full_s,
    )


def _way(cell: Cell, state: SocState, soc: FloatArray, degc: float) -> _Way:
    """``soc`` (3, steps): of the cell that ends the discharge, of the mean cell, of the one that ends the charge."""
    temp_degc = np.array(degc)
    circuit = cell.circuit(soc, temp_degc)
    logs = state.filter.mean[[FAST, SLOW]]
    most, usual = np.exp(logs.max(axis=1)), np.exp(logs.sum(axis=1) / logs.shape[1])
    fast, slow = np.array([most, usual, most]).T[:, :, None]
    ohms = circuit.pair_ohm
    fast_ohm, slow_ohm = np.add.reduce(ohms[: cell.fast_pairs]), np.add.reduce(ohms[cell.fast_pairs :])
    return _Way(
        open_v=cell.ocv_v(soc, temp_degc),
        hysteresis_v=circuit.hysteresis_v,
        direct_ohm=fast * circuit.series_ohm,
        bending_ohm=fast * fast_ohm + slow * slow_ohm,
        knee_a=cell.knee_a / circuit.cold,
    )


def _reach(voltage_v: FloatArray, min_v: float) -> float:
    """How much of the way is gone when the voltage falls below its limit; 1 when it never does."""
    below = voltage_v < min_v
    first = int(below.argmax())
    if first == 0:
        return 0.0 if below[0] else 1.0
    before_v, after_v = voltage_v[first - 1 : first + 1].tolist()
    return float((first - 1 + (before_v - min_v) / (before_v - after_v)) / (STEPS - 1))


def _filling_s(
    open_v: FloatArray, sag_v: FloatArray, room_ah: float, max_v: float, fed_a: float, least_a: float
) -> float:
    """Constant current to the highest voltage, then what that voltage lets through."""
    share = within((max_v - open_v) / np.maximum(sag_v, 1e-9), 0.0, 1.0)
    return float(HOUR_S * room_ah * _covered(1.0 / np.maximum(share * fed_a, least_a))[-1])


def _covered(values: FloatArray) -> FloatArray:
    """The integral of values along the way, from its start to each step (trapezoids); the whole way is 1 long."""
    found = np.zeros(STEPS)
    np.cumsum((values[1:] + values[:-1]) * (0.5 / (STEPS - 1)), out=found[1:])
    return found
