"""The cell's voltage as a matrix times unknowns: where every unknown stands, and the rows of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.config.cellfile import ACTIVATION_K, SHARE, SLOW_SHARE
from bms_daemon.estimation.cell import FAST_S, OCV_MARGIN_K
from bms_daemon.estimation.tables import hat_weights, resistance_growth, saturated_a, temperature_weights
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.dynamics import branch, lowpass
from bms_daemon.offline.cellfit.settings import (
    HYSTERESIS_SOC,
    KNEE_C,
    OCV_SOC,
    RESISTANCE_SOC,
    TAU_S,
    TUNED_AH,
    Form,
)
from bms_daemon.offline.cellfit.trace import Trace

REFERENCE_DEGC = 25.0
SLOPE_K = 25.0  # the unknown slopes are volts per so many kelvins, which makes them as large as the others


@dataclass(frozen=True, slots=True)
class Layout:
    """Order of the unknowns: voltage, cold and warm slope, series resistance, pairs, hysteresis."""

    temperatures: int
    hysteresis: bool

    @property
    def tables(self) -> int:
        """Where the resistances begin."""
        return 3 * OCV_SOC.size

    @property
    def branches(self) -> int:
        """Where the hysteresis begins."""
        return self.tables + (1 + TAU_S.size) * self.temperatures * RESISTANCE_SOC.size

    @property
    def size(self) -> int:
        return self.branches + self.hysteresis * self.temperatures * HYSTERESIS_SOC.size

    def curve(self, which: int) -> slice:
        """0 the voltage, 1 the cold slope, 2 the warm slope."""
        return slice(which * OCV_SOC.size, (which + 1) * OCV_SOC.size)

    def table(self, which: int) -> slice:
        """0 the series resistance, then the pairs; (temperatures, states) flattened."""
        one = self.temperatures * RESISTANCE_SOC.size
        return slice(self.tables + which * one, self.tables + (which + 1) * one)


def layout(form: Form) -> Layout:
    return Layout(form.knots_degc.size, form.hysteresis_rate > 0.0)


def growth(temp_degc: FloatArray, share: float = SHARE) -> FloatArray:
    """Resistance over that at 25 degC by the usual law."""
    return resistance_growth(temp_degc, share, ACTIVATION_K)


def design(trace: Trace, form: Form) -> FloatArray:
    """(rows, unknowns). Resistances are those of a cell of TUNED_AH, which sees the same current over capacity."""
    degc, knots = trace.temperature_degc, form.knots_degc
    weights = temperature_weights(degc, knots)
    known, states = np.clip(degc, knots[0], knots[-1]), hat_weights(trace.soc, RESISTANCE_SOC)
    shares = [SHARE if tau_s < FAST_S else SLOW_SHARE for tau_s in (0.0, *TAU_S)]
    beyond = [growth(degc, share) / growth(known, share) for share in shares]
    table = _outer(weights, states)
    scale = TUNED_AH / form.capacity_ah
    seen_a = saturated_a(trace.current_a, KNEE_C * form.capacity_ah / growth(degc))
    driven = scale * seen_a[:, None] * np.column_stack(beyond[1:])
    pairs = lowpass(trace, table[:, None, :] * driven[:, :, None], TAU_S)
    series = table * (scale * trace.current_a * beyond[0])[:, None]
    parts = [_open_circuit(trace, knots), series, pairs.reshape(degc.size, -1)]
    if form.hysteresis_rate > 0.0:
        state = branch(trace, form.capacity_ah, form.hysteresis_rate)
        parts.append(_outer(weights, hat_weights(trace.soc, HYSTERESIS_SOC)) * state[:, None])
    return np.hstack(parts)


def _open_circuit(trace: Trace, knots_degc: FloatArray) -> FloatArray:
    curve = hat_weights(trace.soc, OCV_SOC)
    low_k, high_k = knots_degc[[0, -1]] - REFERENCE_DEGC
    away_k = np.clip(trace.temperature_degc - REFERENCE_DEGC, low_k - OCV_MARGIN_K, high_k + OCV_MARGIN_K)
    away = (away_k / SLOPE_K)[:, None]
    return np.hstack([curve, curve * np.minimum(away, 0.0), curve * np.maximum(away, 0.0)])


def _outer(left: FloatArray, right: FloatArray) -> FloatArray:
    """(rows, a * b) of (rows, a) and (rows, b)."""
    product: FloatArray = (left[:, :, None] * right[:, None, :]).reshape(left.shape[0], -1)
    return product
