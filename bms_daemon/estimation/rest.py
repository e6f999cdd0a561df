"""What a cell at rest tells of its state of charge by voltage alone, and whether that is worth anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import LEAST_SIGMA, SocState
from bms_daemon.estimation.soc_filter import OFFSET, SAG, SOC
from bms_daemon.estimation.tables import within
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

REACH = 0.02  # the curve's slope is taken over this far to both sides
HALVINGS = 8  # of the range in which the curve's inverse lies, before a straight line
USABLE_SIGMA = 0.03  # more doubt in the state of charge is no start and no end of a pair
FLATTEST_V = 1e-3  # per state of charge
WORTHLESS = 1.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """States of charge that voltage told, and where the counters of time and charge then stood; arrays (n,).

    ``counted`` and ``unseen`` are in capacities. Without a state ``sigma`` is WORTHLESS.
    """

    soc: FloatArray
    sigma: FloatArray
    counted: FloatArray
    clock_s: FloatArray
    unseen: FloatArray

    @property
    def usable(self) -> np.ndarray:
        """Whether they are sure enough, (n,)."""
        found: np.ndarray = self.sigma <= USABLE_SIGMA
        return found

    def where(self, choose: np.ndarray, other: Anchor) -> Anchor:
        """These where ``choose`` (n,) says so, else the other ones."""
        return Anchor(
            np.where(choose, self.soc, other.soc),
            np.where(choose, self.sigma, other.sigma),
            np.where(choose, self.counted, other.counted),
            np.where(choose, self.clock_s, other.clock_s),
            np.where(choose, self.unseen, other.unseen),
        )


def no_anchor(count: int) -> Anchor:
    """Before the first rest."""
    zero = np.zeros(count)
    return Anchor(zero, zero + WORTHLESS, zero, zero, zero)


def rested(cell: Cell, state: SocState, counted: FloatArray, clock_s: float, unseen: float, tuning: Tuning) -> Anchor:
    """States of charge from the voltages of cells at rest.

    The filter splits a rest voltage between its state of charge and two errors of the voltage; put together again they
    are that voltage, and the curve's inverse at it knows nothing of counting.
    """
    now, temp_degc = state.filter, state.temp_degc
    rest_v = cell.ocv_v(now.mean[SOC], temp_degc) + now.mean[OFFSET] + now.mean[SAG]
    soc = _inverse(cell, rest_v, temp_degc)
    doubt_v = _doubt_v(state, tuning)
    found = (np.abs(rest_v - cell.ocv_v(soc, temp_degc)) <= doubt_v) & ~state.unusable
    sigma = np.hypot(doubt_v / _slope_v(cell, soc, temp_degc), LEAST_SIGMA)
    sigma = np.where(found, np.minimum(sigma, WORTHLESS), WORTHLESS)
    return Anchor(soc, sigma, counted, np.full_like(soc, clock_s), np.full_like(soc, unseen))


def _inverse(cell: Cell, rest_v: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """State of charge (n,) whose open-circuit voltage is ``rest_v``; the nearer end of the curve beyond it."""
    low = np.zeros_like(rest_v)
    for halving in range(1, HALVINGS + 1):
        middle = low + 0.5**halving
        low = np.where(rest_v > cell.ocv_v(middle, temp_degc), middle, low)
    high = low + 0.5**HALVINGS
    low_v, high_v = cell.ocv_v(np.array([low, high]), temp_degc)
    share = (rest_v - low_v) / np.maximum(high_v - low_v, 1e-9)
    return low + within(share, 0.0, 1.0) * (high - low)


def _doubt_v(state: SocState, tuning: Tuning) -> FloatArray:
    """Of a rest voltage: the curve with its hysteresis, and what is left of the polarisation."""
    now = state.filter
    curve_v = tuning.offset_sigma_v + tuning.offset_sigma_k * now.strange
    curve_v = curve_v + tuning.branch_share * now.circuit.hysteresis_v
    sag_v = tuning.sag_sigma_v + tuning.sag_share * np.abs(now.pair_v).sum(axis=0)
    found: FloatArray = np.hypot(curve_v, sag_v)
    return found


def _slope_v(cell: Cell, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
    high, low = np.minimum(soc + REACH, 1.0), np.maximum(soc - REACH, 0.0)
    high_v, low_v = cell.ocv_v(np.array([high, low]), temp_degc)
    found: FloatArray = np.maximum((high_v - low_v) / (high - low), FLATTEST_V)
    return found
