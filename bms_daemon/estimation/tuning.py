"""The estimator's assumptions about sensors and about its own model. One set serves every cell and chemistry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Standard deviations (``*_sigma``), what they grow by, and lengths of memory.

    Quantities "of a capacity" are multiplied by the cell's capacity in Ah.
    """

    soc_sigma: float = 0.15  # of a start that somebody gave
    soc_walk: float = 2e-7  # of counting charge between samples, per square root of a second
    bias_sigma: float = 0.01  # of the current sensor's offset, A a capacity
    bias_walk: float = 1.9e-6  # its wander, A a capacity and square root of a second
    capacity_sigma: float = 0.01  # of the capacity, relative; a gain error of the sensor looks the same
    scale_sigma: float = 0.11  # of the resistances' common factors, where they were measured
    scale_sigma_k: float = 1000.0  # and more for every 1/K away from the measured temperatures
    scale_soc: float = 0.2  # by how much charge they return to the usual ones, of a capacity
    offset_sigma_v: float = 0.007  # voltage sensor and open-circuit curve; forgotten with charge that passes
    offset_sigma_k: float = 15.0  # and more for every 1/K away from the measured temperatures, V
    offset_soc: float = 0.5  # by how much charge it is forgotten, of a capacity
    branch_share: float = 1.0  # how wrong the hysteresis may be, of its half-width
    sag_sigma_v: float = 0.0013  # error of the polarisation at rest; forgotten with time
    sag_share: float = 0.3  # and more with the polarisation
    sag_share_k: float = 4000.0  # and more for every 1/K away from the measured temperatures
    sag_s: float = 300.0
    noise_v: float = 0.008  # of a voltage sample
    noise_share: float = 0.15  # and more with the voltage across the series resistance
    skew_share: float = 0.6  # and more where the current has just changed
    knee_share: float = 3.0  # and more where the curve falls off, of the distance from its chord
    adapt: float = 0.02  # how fast the noise follows what is seen
    slope_soc: float = 0.04  # the curve's slope is taken over at least this far to both sides
    blind_c: float = 0.5  # current that may have flowed unseen, of a capacity
    gap_s: float = 120.0  # a longer silence hides what flowed
    insane_c: float = 60.0  # a larger current is no measurement, of a capacity
    publish_per_s: float = 0.001  # how fast the published value may follow beyond what is counted


USUAL = Tuning()
