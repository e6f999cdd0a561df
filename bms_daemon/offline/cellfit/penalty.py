"""What holds the unknowns together where data do not: smooth curves, and resistances that grow with cold as usual."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.design import Layout, growth
from bms_daemon.offline.cellfit.settings import (
    BRANCH_SMOOTH,
    BRANCH_TIE,
    FLOOR,
    HYSTERESIS_SOC,
    OCV_KNEE_V,
    OCV_SOC,
    RESISTANCE_SOC,
    RIDGE_TAU_S,
    SLOPE_SMALL,
    SLOPE_SMOOTH,
    SMOOTH,
    TAU_S,
    TIE,
    Weights,
)

WIDTH_SOC = 0.04  # the width between second neighbours at which a bend of the voltage weighs as it is
NARROWEST = 0.05  # a bend between close knots weighs more, up to the inverse of this


def penalty(at: Layout, knots_degc: FloatArray, weights: Weights, ocv_v: FloatArray | None) -> FloatArray:
    """(unknowns, unknowns) of the quadratic form. ``ocv_v`` is the voltage of the round before, if there was one."""
    matrix = FLOOR * np.eye(at.size)
    matrix[at.curve(0), at.curve(0)] += weights.ocv_smooth * _bends(ocv_v)
    small = SLOPE_SMALL * np.eye(OCV_SOC.size)
    for slope in (1, 2):
        matrix[at.curve(slope), at.curve(slope)] += _smooth(OCV_SOC.size, SLOPE_SMOOTH) + small
    cold = growth(knots_degc)
    for table in range(1 + TAU_S.size):
        matrix[at.table(table), at.table(table)] += _tied(RESISTANCE_SOC.size, cold, TIE, SMOOTH)
    for pair, tau_s in enumerate(TAU_S, start=1):
        ridge = weights.ridge / cold.size * tau_s / RIDGE_TAU_S / cold**2
        matrix[at.table(pair), at.table(pair)] += np.diag(np.repeat(ridge, RESISTANCE_SOC.size))
    if at.hysteresis:
        branches = slice(at.branches, at.size)
        matrix[branches, branches] += _tied(HYSTERESIS_SOC.size, np.ones_like(cold), BRANCH_TIE, BRANCH_SMOOTH)
    return matrix


def _smooth(size: int, weight: float) -> FloatArray:
    bend = np.diff(np.eye(size), 2, axis=0)
    form: FloatArray = weight * bend.T @ bend
    return form


def _bends(ocv_v: FloatArray | None) -> FloatArray:
    """Second derivative of the voltage; a bend that data insisted on counts little (Cauchy's weight)."""
    width = np.diff(OCV_SOC)
    slopes = np.diff(np.eye(OCV_SOC.size), axis=0) / width[:, None]
    changes = np.diff(slopes, axis=0)
    bends = changes / np.sqrt(np.maximum((width[1:] + width[:-1]) / WIDTH_SOC, NARROWEST))[:, None]
    trust = np.ones(changes.shape[0]) if ocv_v is None else 1.0 / (1.0 + (changes @ ocv_v / OCV_KNEE_V) ** 2)
    form: FloatArray = bends.T @ (bends * trust[:, None])
    return form


def _tied(states: int, size: FloatArray, tie: float, smooth: float) -> FloatArray:
    """(temperatures * states, ...): smooth over states; neighbouring temperatures in proportion to ``size``."""
    temperatures = size.size
    over_states = np.kron(np.diag(1.0 / size**2), _smooth(states, smooth))
    form: FloatArray = np.asarray(over_states, dtype=np.float64)
    if temperatures > 1:
        step = np.eye(temperatures)[1:] - np.eye(temperatures)[:-1] * (size[1:] / size[:-1])[:, None]
        form = form + np.kron(step.T @ np.diag(tie / size[1:] ** 2) @ step, np.eye(states))
    return form
