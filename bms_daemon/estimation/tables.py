"""Arithmetic of cells: laws of temperature and current, and what lies between the knots of tables."""

from __future__ import annotations

import numpy as np

from bms_daemon.config.cellfile import ACTIVATION_K
from bms_daemon.model import FloatArray

KELVIN = 273.15
REFERENCE_K = 298.15


def within(value: FloatArray, low: float | FloatArray, high: float | FloatArray) -> FloatArray:
    """``value`` where it lies between the bounds, else the nearer one; np.clip at half the cost for short arrays."""
    found: FloatArray = np.minimum(np.maximum(value, low), high)
    return found


def chosen(choose: np.ndarray, yes: FloatArray, no: FloatArray | float) -> FloatArray:
    """np.where at a small part of its cost where all are chosen, as they mostly are."""
    return yes if np.count_nonzero(choose) == choose.size else np.where(choose, yes, no)


def saturated_a(current_a: FloatArray, knee_a: float | FloatArray) -> FloatArray:
    """What pairs see of a current, A: all of it when small, its logarithm beyond the knee."""
    found: FloatArray = knee_a * np.arcsinh(current_a / knee_a)
    return found


def resistance_growth(temp_degc: FloatArray, share: float, activation_k: float) -> FloatArray:
    """Resistance over that at 25 degC: a part that stays and a part that obeys Arrhenius' law."""
    law = np.exp(activation_k * (1.0 / (KELVIN + np.asarray(temp_degc)) - 1.0 / REFERENCE_K))
    found: FloatArray = 1.0 - share + share * law
    return found


def beyond(temp_degc: FloatArray, known_degc: FloatArray, share: float, activation_k: float) -> FloatArray:
    """(temperatures, 1): resistance over that at the nearest temperature that was measured."""
    here, there = (resistance_growth(degc, share, activation_k) for degc in (temp_degc, known_degc))
    found: FloatArray = (here / there)[:, None]
    return found


def temperature_weights(temp_degc: FloatArray, knots_degc: FloatArray) -> FloatArray:
    """(n, knots): interpolation between knots, the end knot beyond; every row sums to 1.

    Resistance curves much over T and little over exp(k/T), which a share of it follows: the coordinate is the latter.
    """
    coordinate = -np.exp(ACTIVATION_K * (1.0 / (KELVIN + np.asarray(temp_degc)) - 1.0 / REFERENCE_K))
    knots = -np.exp(ACTIVATION_K * (1.0 / (KELVIN + np.asarray(knots_degc)) - 1.0 / REFERENCE_K))
    return hat_weights(coordinate, knots)


def hat_weights(at: FloatArray, knots: FloatArray) -> FloatArray:
    """(n, knots): weights of straight interpolation between rising knots, the end knot beyond."""
    if knots.size == 1:
        return np.ones((at.size, 1))
    clipped = np.clip(at, knots[0], knots[-1])
    low = np.clip(np.searchsorted(knots, clipped, side="right") - 1, 0, knots.size - 2)
    share = (clipped - knots[low]) / (knots[low + 1] - knots[low])
    weights = np.zeros((at.size, knots.size))
    rows = np.arange(at.size)
    weights[rows, low], weights[rows, low + 1] = 1.0 - share, share
    return weights


def surface(
    soc: FloatArray,
    degc: FloatArray,
    soc_knots: tuple[float, ...],
    degc_knots: tuple[float, ...],
    table: tuple[tuple[float, ...], ...],
) -> FloatArray:
    over_soc = np.array([np.interp(soc, soc_knots, row) for row in table])
    found: FloatArray = temperature_weights(degc, np.array(degc_knots)) @ over_soc
    return found
