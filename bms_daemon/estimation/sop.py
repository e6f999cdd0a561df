"""State of power: what each cell can give or take for a time without leaving its limits, and which limit binds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bms_daemon.estimation.cell import Cell, saturated_a
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import FAST, HOUR_S, OFFSET, SAG, SLOW, SOC
from bms_daemon.model import FloatArray

ROUNDS = 4  # of the search for the current at which the voltage meets its limit; each leaves a few per cent of the last
CAUTION = 1.0  # standard deviations on the safe side


class Why(IntEnum):
    """Which limit binds."""

    CURRENT = 0
    VOLTAGE = 1
    SOC = 2


@dataclass(frozen=True, slots=True)
class Power:
    """In one direction for some horizons: ``current_a`` (not negative), ``power_w``, ``why``; arrays (horizons, n)."""

    current_a: FloatArray
    power_w: FloatArray
    why: np.ndarray


def discharge_power(cell: Cell, state: SocState, horizons_s: FloatArray) -> Power:
    """What each cell can give for each horizon (s)."""
    return _power(cell, state, horizons_s, -1.0)


def charge_power(cell: Cell, state: SocState, horizons_s: FloatArray) -> Power:
    """What each cell can take for each horizon (s)."""
    return _power(cell, state, horizons_s, 1.0)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The voltage at the end of each horizon as a function of a constant current; arrays (horizons, n).

    ``start_soc`` (n,) and ``soc_per_a`` (horizons, 1) move along the open-circuit curve; ``rest_v`` is what is there
    without current apart from that curve; ``series_ohm`` and ``pairs_ohm`` answer to the current, the latter to what
    is left of it beyond the knee (n,).
    """

    cell: Cell
    temp_degc: FloatArray
    start_soc: FloatArray
    soc_per_a: FloatArray
    rest_v: FloatArray
    series_ohm: FloatArray
    pairs_ohm: FloatArray
    knee_a: FloatArray

    def voltage_v(self, current_a: FloatArray) -> FloatArray:
        open_v = self.cell.ocv_v(self.start_soc + current_a * self.soc_per_a, self.temp_degc)
        across_v = self.series_ohm * current_a + self.pairs_ohm * saturated_a(current_a, self.knee_a)
        found: FloatArray = open_v + self.rest_v + across_v
        return found


def _power(cell: Cell, state: SocState, horizons_s: FloatArray, sign: float) -> Power:
    limits = cell.file.cell
    limit_v = limits.max_v if sign > 0.0 else limits.min_v
    rated_a = (limits.charge_max_c if sign > 0.0 else limits.discharge_max_c) * cell.capacity_ah
    ahead = _look_ahead(cell, state, horizons_s[:, None], sign)
    room = (1.0 - ahead.start_soc if sign > 0.0 else ahead.start_soc) - CAUTION * state.soc_sigma
    by_soc_a = np.maximum(room, 0.0) / ahead.soc_per_a
    by_voltage_a = _current_at(ahead, limit_v, sign, rated_a)
    options = np.stack([np.full_like(by_soc_a, rated_a), by_voltage_a, by_soc_a])
    current_a = np.maximum(options.min(axis=0), 0.0)
    end_v = np.clip(ahead.voltage_v(sign * current_a), 0.0, limits.max_v)
    return Power(current_a, current_a * end_v, options.argmin(axis=0))


def _current_at(ahead: _Ahead, limit_v: float, sign: float, rated_a: float) -> FloatArray:
    """The current at whose end the voltage is at its limit: chords of a curve that is almost straight."""
    idle_v = ahead.voltage_v(np.zeros_like(ahead.rest_v))
    room_v = np.maximum(sign * (limit_v - idle_v), 0.0)
    current_a = np.full_like(room_v, rated_a)
    for _ in range(ROUNDS):
        moved_v = np.maximum(sign * (ahead.voltage_v(sign * current_a) - idle_v), 1e-9)
        current_a = np.clip(current_a * room_v / moved_v, 1e-6, 4.0 * rated_a)
    return np.where(room_v > 0.0, current_a, 0.0)


def _look_ahead(cell: Cell, state: SocState, span_s: FloatArray, sign: float) -> _Ahead:
    """``span_s`` (horizons, 1). Resistances and errors of the voltage are taken on the safe side."""
    now = state.filter
    mean, cov, circuit = now.mean, now.cov, now.circuit
    keep = np.exp(-span_s[:, :, None] / cell.tau_s)  # (horizons, 1, pairs)
    fast = np.arange(cell.tau_s.size) < cell.fast_pairs
    factor = np.exp(mean[[FAST, SLOW]] + CAUTION * np.sqrt(cov[[FAST, SLOW], [FAST, SLOW]]))
    scale = np.where(fast[:, None], factor[0], factor[1])  # (pairs, n)
    relaxed_v = (keep @ (scale * now.pair_v))[:, 0]
    doubt_v = CAUTION * np.sqrt(cov[OFFSET, OFFSET] + cov[SAG, SAG])
    return _Ahead(
        cell=cell,
        temp_degc=state.temp_degc,
        start_soc=mean[SOC],
        soc_per_a=span_s / HOUR_S / cell.capacity_ah,
        rest_v=relaxed_v + mean[OFFSET] + mean[SAG] + sign * (doubt_v + circuit.hysteresis_v),
        series_ohm=np.broadcast_to(factor[0] * circuit.series_ohm, relaxed_v.shape),
        pairs_ohm=((1.0 - keep) @ (scale * circuit.pair_ohm))[:, 0],
        knee_a=cell.knee_a / circuit.cold,
    )
