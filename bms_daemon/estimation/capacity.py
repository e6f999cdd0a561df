"""Capacity from observations in which both sides are noisy: recursive total least squares, for all cells at once.

A pair says that the state of charge moved by x while y of the rated capacity was counted, so y = share * x. Ordinary
least squares of y on x takes x to be exact and finds too little whenever it is not. Total least squares weighs the
distance from the line with both variances, (y - share * x)**2 / (share**2 * var(x) + var(y)); the cost is taken as it
is, on a grid of shares, instead of by moments of it (G. Plett, "Recursive approximate weighted total least squares
estimation of battery cell total capacity", 2011), so that other observations of the capacity can be added to it. What
remains between two observations is a mean and a variance, and the variance grows with the charge that passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.tables import within
from bms_daemon.model import FloatArray

SHARE_MIN, SHARE_MAX, SHARE_STEP = 0.2, 1.25, 0.005
SHARES: FloatArray = np.arange(SHARE_MIN, SHARE_MAX + SHARE_STEP / 2, SHARE_STEP)
BEGIN_SIGMA = 0.1  # of a capacity that nobody has measured, of the rated one
WALK = 0.0045  # by how much it may have changed after one full cycle, the square root of their number for more
FADE = 3e-4  # and by how much it may fade with every one, to the end
LEAST_SIGMA = 0.006  # of any belief: errors that observations share do not average out
SYSTEMATIC = 0.012  # and what all of them may have in common, added to what is told
OUTLIER = 0.01  # how often an observation has nothing to do with the capacity


@dataclass(frozen=True, slots=True)
class Belief:
    """Capacity over the rated one: ``mean`` and ``sigma`` without what all observations have in common, (n,)."""

    mean: FloatArray
    sigma: FloatArray

    @property
    def told_sigma(self) -> FloatArray:
        """Its standard uncertainty as it is to be told, (n,)."""
        found: FloatArray = np.hypot(self.sigma, SYSTEMATIC)
        return found


def unmeasured(count: int) -> Belief:
    """Of new cells: the rated capacity."""
    return Belief(np.ones(count), np.full(count, BEGIN_SIGMA))


def aged(belief: Belief, cycles: float) -> Belief:
    """The same after ``cycles`` full cycles in which nobody looked."""
    passed = max(cycles, 0.0)
    sigma = np.sqrt(belief.sigma**2 + (WALK**2 * passed + (FADE * passed) ** 2))
    return Belief(belief.mean, np.minimum(sigma, SHARE_MAX))


def learned(belief: Belief, likelihood: FloatArray) -> Belief:
    """After one observation: its logarithmic likelihood (n, shares) at each of SHARES, up to a constant.

    A row without a finite maximum says nothing and changes nothing.
    """
    best = likelihood.max(axis=1)
    usable = np.isfinite(best)
    weight = np.exp(np.where(usable[:, None], likelihood - np.where(usable, best, 0.0)[:, None], 0.0))
    weight = weight / weight.sum(axis=1)[:, None] + OUTLIER / SHARES.size
    off = (SHARES - belief.mean[:, None]) / belief.sigma[:, None]
    mean, sigma = moments(np.log(weight) - 0.5 * off**2)
    return Belief(
        np.where(usable, within(mean, SHARE_MIN, SHARE_MAX), belief.mean),
        np.where(usable, np.maximum(sigma, LEAST_SIGMA), belief.sigma),
    )


def moments(level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (n,) of logarithmic weights (n, shares) at SHARES."""
    weight = np.exp(level - level.max(axis=1)[:, None])
    weight /= weight.sum(axis=1)[:, None]
    mean = weight @ SHARES
    return mean, np.sqrt((weight * (SHARES - mean[:, None]) ** 2).sum(axis=1))


def pair_likelihood(
    moved: FloatArray, moved_sigma: FloatArray, counted: FloatArray, counted_sigma: FloatArray
) -> FloatArray:
    """Of one pair a cell, (n, shares): state of charge ``moved``, ``counted`` of the rated capacity, (n,) each."""
    off = counted[:, None] - SHARES * moved[:, None]
    spread = (SHARES * moved_sigma[:, None]) ** 2 + counted_sigma[:, None] ** 2
    found: FloatArray = -0.5 * off**2 / spread
    return found
