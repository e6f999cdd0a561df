"""Capacity from part of a constant-current charge: the shape of its charge over voltage beside that of a new cell.

An aged cell's curve is taken to be that of the new one, squeezed in charge from its empty end and raised in voltage as
its resistance has grown with the loss. Every capacity in question then has a curve of its own, and the one that the
recorded samples follow is found by total least squares: both charge and voltage are off, the latter by an error of the
whole family that grows with age. What is not known beside the capacity, a further shift of the voltage and the charge
at the window's start, is integrated out for each capacity. A window that fits many capacities says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.capacity import SHARES, moments
from bms_daemon.model import FloatArray

STEP_V = 0.005  # of the curves' common grid
BELOW_V, ABOVE_V = 0.2, 0.05  # how far curves are carried on beyond the reference
SAMPLES = 24  # taken out of a window, at equal steps of voltage
APART_V = 0.075  # errors of the family this far from each other have nothing to do with each other
CURVE_V, CURVE_AGED_V = 0.003, 0.012  # error of the family's voltage, and more for a whole capacity lost
RISE_V = 0.25  # what polarisation has grown by when a whole capacity is lost
SHIFT_V, SHIFT_AGED_V = 0.005, 0.03  # how wrong that is, and more for a whole capacity lost
COUNT_SHARE = 0.001  # error of the charge counted, of the capacity
SHARE_MOST = 1.04  # of what it held when new: no cell holds more
DEVIATIONS = tuple(0.4 * step for step in range(-9, 10))  # shifts that are tried, in standard deviations
WINDOW_SIGMA = 0.035  # a window that leaves more doubt in the share says nothing
COMMON_SIGMA, COMMON_V = 0.012, 0.3  # what windows of this width have in common; narrower ones have more


@dataclass(frozen=True, slots=True)
class Curve:
    """A constant-current charge or part of it: terminal voltage (rows,), V, rising, and charge since its start, Ah."""

    voltage_v: FloatArray
    charge_ah: FloatArray

    @classmethod
    def of(cls, voltage_v: FloatArray, charge_ah: FloatArray) -> Curve:
        """Samples as recorded, in their order; a voltage that falls back does not count."""
        rises = np.append(True, voltage_v[1:] > np.maximum.accumulate(voltage_v)[:-1])
        return cls(voltage_v[rises], charge_ah[rises])

    def at(self, voltage_v: FloatArray) -> FloatArray:
        """Charge at voltages between the curve's ends, Ah."""
        found: FloatArray = np.interp(voltage_v, self.voltage_v, self.charge_ah)
        return found

    def up_to(self, high_v: float) -> Curve:
        """The part below a voltage, to the very end of which it reaches if the curve does."""
        if not self.voltage_v.size or self.voltage_v[-1] <= high_v:
            return self
        below = self.voltage_v < high_v
        end_ah = self.at(np.array([high_v]))
        return Curve(np.append(self.voltage_v[below], high_v), np.append(self.charge_ah[below], end_ah))

    def window(self, low_v: float, high_v: float) -> Curve | None:
        """The part between two voltages at SAMPLES points, if the curve reaches over both."""
        if self.voltage_v.size < 2 or not self.voltage_v[0] <= low_v < high_v <= self.voltage_v[-1]:
            return None
        voltage_v = np.linspace(low_v, high_v, SAMPLES)
        charge_ah = self.at(voltage_v)
        return Curve(voltage_v, charge_ah - charge_ah[0])


@dataclass(frozen=True, slots=True)
class Family:
    """Curves for every capacity in SHARES: ``charge_ah`` (shares, volts) at ``low_v`` and on in steps of STEP_V."""

    rated_ah: float
    low_v: float
    charge_ah: FloatArray

    @classmethod
    def of(cls, new: Curve, rated_ah: float) -> Family:
        """From the charge of a new cell between empty and the end of its constant current, and its capacity, Ah."""
        voltage_v = np.arange(new.voltage_v[0] - BELOW_V, new.voltage_v[-1] + ABOVE_V, STEP_V)
        kept = np.maximum(1.0 - (1.0 - SHARES) * rated_ah / new.charge_ah[-1], 0.0)[:, None]
        below_v = voltage_v - RISE_V * (1.0 - kept)
        return cls(rated_ah, float(voltage_v[0]), kept * _carried_on(new, below_v))

    def charge_and_slope(self, voltage_v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Charge, Ah, and its slope, Ah/V, at voltages (shares, points); straight lines beyond the ends."""
        at = (voltage_v - self.low_v) / STEP_V
        low = np.clip(at.astype(np.intp), 0, self.charge_ah.shape[1] - 2)
        rows = np.arange(SHARES.size)[:, None]
        left, right = self.charge_ah[rows, low], self.charge_ah[rows, low + 1]
        return left + (right - left) * (at - low), (right - left) / STEP_V


def likelihood(family: Family, window: Curve) -> FloatArray:
    """Logarithmic likelihood (shares,) of the capacities in SHARES, up to a constant.

    The sum over further shifts, each weighed as likely as it is.
    """
    lost = np.maximum(1.0 - SHARES, 0.0)
    curve_v, shift_sigma_v = CURVE_V + CURVE_AGED_V * lost, SHIFT_V + SHIFT_AGED_V * lost
    level = np.full(SHARES.size, -np.inf)
    for deviation in DEVIATIONS:
        level = np.logaddexp(level, _shifted(family, window, deviation * shift_sigma_v, curve_v) - 0.5 * deviation**2)
    found: FloatArray = np.where(SHARES <= SHARE_MOST, level, -np.inf)
    return found


def informative(level: FloatArray) -> bool:
    """Whether one likelihood (shares,) tells the capacity by itself."""
    _, sigma = moments(level[None])
    return bool(sigma[0] <= WINDOW_SIGMA)


def common_sigma(window: Curve) -> float:
    """Error in the share that windows of this kind have in common, since it is the family's: no average lessens it."""
    width_v = float(window.voltage_v[-1] - window.voltage_v[0])
    return COMMON_SIGMA * max(1.0, COMMON_V / width_v)


def _shifted(family: Family, window: Curve, shift_v: FloatArray, curve_v: FloatArray) -> FloatArray:
    """Likelihood with the shift (shares,) given and the start, of which nothing is known, integrated out."""
    charge_ah, slope = family.charge_and_slope(window.voltage_v - shift_v[:, None])
    off_ah = window.charge_ah - charge_ah
    variance = (slope * curve_v[:, None]) ** 2 + (COUNT_SHARE * family.rated_ah) ** 2
    independent = float(window.voltage_v[-1] - window.voltage_v[0]) / APART_V
    weight = independent / window.voltage_v.size / variance
    start_weight, start_off = weight.sum(axis=1), (weight * off_ah).sum(axis=1)
    cost = (weight * off_ah**2).sum(axis=1) - start_off**2 / start_weight
    found: FloatArray = -0.5 * (cost + np.log(start_weight) + independent * np.log(variance).mean(axis=1))
    return found


def _carried_on(new: Curve, voltage_v: FloatArray) -> FloatArray:
    """Charge at voltages within the curve or beyond, where it goes on as straight as it ends."""
    low_v, high_v = float(new.voltage_v[0]), float(new.voltage_v[-1])
    ends_v = np.array([low_v, low_v + 2.0 * STEP_V, high_v - 5.0 * STEP_V, high_v])
    ends_ah = new.at(ends_v)
    below, above = (ends_ah[1] - ends_ah[0]) / (2.0 * STEP_V), (ends_ah[3] - ends_ah[2]) / (5.0 * STEP_V)
    beyond_ah = 0.5 * below * np.minimum(voltage_v - low_v, 0.0) + above * np.maximum(voltage_v - high_v, 0.0)
    found: FloatArray = new.at(voltage_v) + beyond_ah
    return found
