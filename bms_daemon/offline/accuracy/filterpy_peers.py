"""filterpy's extended and unscented Kalman filter on the same cell model, one cell at a time as its users write them.

State: state of charge and the voltage of every RC pair. What is no state follows the measured current as it does in
our estimator: hysteresis, and the resistances at the predicted state of charge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, MerweScaledSigmaPoints, UnscentedKalmanFilter

from bms_daemon.estimation.cell import Cell, Circuit
from bms_daemon.estimation.tables import KELVIN, REFERENCE_K, saturated_a
from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.protocol import Inputs
from bms_daemon.offline.accuracy.score import Estimated

HOUR_S = 3600.0
START_SIGMA = 0.15
PAIR_START_V = 0.001
SOC_WALK = 2e-4  # per square root of a second
PAIR_WALK_V = 0.0003  # likewise
NOISE_V = 0.1
SLOPE_SOC = 0.005  # to both sides
OneRun = Callable[[Cell, Inputs, int], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the model: ``x`` becomes ``keep * x + push``; arrays (1 + pairs,)."""

    keep: FloatArray
    push: FloatArray


class Model:
    """One cell's circuit along a run: what the next step does, and which voltage a state means."""

    def __init__(self, cell: Cell, start_soc: float, temp_degc: float) -> None:
        self._cell = cell
        self._soc = np.array(cell.file.ocv.soc)
        self._branch = 0.0
        self.look(start_soc, 0.0, temp_degc)

    def look(self, soc: float, current_a: float, temp_degc: float) -> None:
        """Tables at the state of charge and temperature of the sample that comes next."""
        ocv = self._cell.file.ocv
        degc = float(np.clip(temp_degc, ocv.temperature_min_degc - 3.0, ocv.temperature_max_degc + 3.0))
        away_k = degc - (REFERENCE_K - KELVIN)
        slope = ocv.cold_v_per_k if away_k < 0.0 else ocv.warm_v_per_k
        self._curve_v = np.array(ocv.voltage_v) + away_k * np.array(slope)
        self._circuit: Circuit = self._cell.circuit(np.array([soc]), np.array([temp_degc]))
        self._current_a = current_a

    def move(self, dt_s: float, current_a: float) -> Move:
        """Until the next sample, whose current is ``current_a``; charge is counted by the trapezoidal rule."""
        cell, held_a = self._cell, self._current_a
        moved = 0.5 * (held_a + current_a) * dt_s / HOUR_S / cell.capacity_ah
        keep = np.exp(-dt_s / cell.tau_s)
        held_a = float(saturated_a(np.array(held_a), cell.knee_a / float(self._circuit.cold[0])))
        stay = float(np.exp(-cell.hysteresis_rate * abs(moved)))
        self._branch = stay * self._branch + (1.0 - stay) * float(np.sign(moved))
        push = np.concatenate([[moved], (1.0 - keep) * self._circuit.pair_ohm[:, 0] * held_a])
        return Move(np.concatenate([[1.0], keep]), push)

    def voltage_v(self, x: FloatArray) -> FloatArray:
        """The terminal voltage (1,)."""
        across_v = float(self._circuit.series_ohm[0]) * self._current_a + float(x[1:].sum())
        hysteresis_v = float(self._circuit.hysteresis_v[0]) * self._branch
        return np.array([float(np.interp(x[0], self._soc, self._curve_v)) + across_v + hysteresis_v])

    def slopes(self, x: FloatArray) -> FloatArray:
        """(1, 1 + pairs): of the voltage by every state."""
        low, high = np.interp([x[0] - SLOPE_SOC, x[0] + SLOPE_SOC], self._soc, self._curve_v)
        return np.concatenate([[(high - low) / (2.0 * SLOPE_SOC)], np.ones(x.size - 1)])[None]


def extended(cell: Cell, seen: Inputs) -> Estimated:
    """`filterpy.kalman.ExtendedKalmanFilter`."""
    return _many(cell, seen, _extended)


def unscented(cell: Cell, seen: Inputs) -> Estimated:
    """`filterpy.kalman.UnscentedKalmanFilter` with Merwe's sigma points."""
    return _many(cell, seen, _unscented)


def _extended(cell: Cell, seen: Inputs, run: int) -> tuple[FloatArray, FloatArray]:
    size = 1 + cell.tau_s.size
    soc, sigma = np.empty(seen.dt_s.size), np.empty(seen.dt_s.size)
    model = Model(cell, float(seen.start_soc[run]), float(seen.temp_degc[0]))
    kalman = ExtendedKalmanFilter(dim_x=size, dim_z=1, dim_u=size)
    kalman.x, kalman.P, kalman.B = _start(seen.start_soc[run], size), _start_cov(size), np.eye(size)
    kalman.R *= NOISE_V**2
    for row, dt_s in enumerate(map(float, seen.dt_s)):
        step = model.move(dt_s, float(seen.current_a[row, run]))
        kalman.F, kalman.Q = np.diag(step.keep), _walk(dt_s, size)
        kalman.predict(step.push)
        model.look(float(kalman.x[0]), float(seen.current_a[row, run]), float(seen.temp_degc[row]))
        kalman.update(seen.voltage_v[row, run : run + 1], model.slopes, model.voltage_v)
        kalman.x[0] = np.clip(kalman.x[0], 0.0, 1.0)  # beyond its ends the curve is flat, and a filter stays there
        soc[row], sigma[row] = kalman.x[0], np.sqrt(kalman.P[0, 0])
    return soc, sigma


def _unscented(cell: Cell, seen: Inputs, run: int) -> tuple[FloatArray, FloatArray]:
    size = 1 + cell.tau_s.size
    soc, sigma = np.empty(seen.dt_s.size), np.empty(seen.dt_s.size)
    model = Model(cell, float(seen.start_soc[run]), float(seen.temp_degc[0]))
    points = MerweScaledSigmaPoints(size, alpha=0.1, beta=2.0, kappa=0.0)
    kalman = UnscentedKalmanFilter(size, 1, 1.0, hx=model.voltage_v, fx=_advance, points=points)
    kalman.x, kalman.P = _start(seen.start_soc[run], size), _start_cov(size)
    kalman.R *= NOISE_V**2
    for row, dt_s in enumerate(map(float, seen.dt_s)):
        kalman.Q = _walk(dt_s, size)
        kalman.predict(dt_s, move=model.move(dt_s, float(seen.current_a[row, run])))
        model.look(float(kalman.x[0]), float(seen.current_a[row, run]), float(seen.temp_degc[row]))
        kalman.update(seen.voltage_v[row, run : run + 1])
        kalman.x[0] = np.clip(kalman.x[0], 0.0, 1.0)  # beyond its ends the curve is flat, and a filter stays there
        soc[row], sigma[row] = kalman.x[0], np.sqrt(kalman.P[0, 0])
    return soc, sigma


def _many(cell: Cell, seen: Inputs, one: OneRun) -> Estimated:
    found = [one(cell, seen, run) for run in range(seen.start_soc.size)]
    return Estimated(np.stack([soc for soc, _ in found], axis=1), np.stack([sigma for _, sigma in found], axis=1))


def _advance(x: FloatArray, dt_s: float, move: Move) -> FloatArray:
    return move.keep * x + move.push


def _start(soc: float, size: int) -> FloatArray:
    return np.concatenate([[soc], np.zeros(size - 1)])


def _start_cov(size: int) -> FloatArray:
    return np.diag([START_SIGMA**2] + [PAIR_START_V**2] * (size - 1))


def _walk(dt_s: float, size: int) -> FloatArray:
    return np.diag([SOC_WALK**2] + [PAIR_WALK_V**2] * (size - 1)) * dt_s
