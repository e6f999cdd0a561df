"""State of health of every cell: capacity from the charge between two rests, growth of the resistance.

A rest on a steep part of the open-circuit curve tells the state of charge without counting. Two such states and what
was counted between them are one observation of the capacity. On a flat part, after a gap or a short way nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bms_daemon.estimation.capacity import LEAST_SIGMA, Belief, aged, learned, pair_likelihood, unmeasured
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.resistance import BEGIN_SIGMA, MOST, Growth, due, looked
from bms_daemon.estimation.rest import Anchor, no_anchor, rested
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import HOUR_S
from bms_daemon.estimation.tuning import USUAL, Tuning
from bms_daemon.model import CapacitySource, FloatArray

REST_C = 0.02  # a current below which a cell is at rest, of a capacity
REST_S = 540.0  # from when on a rest is looked at; what is left of the polarisation then is doubt
LOOK_S = 60.0  # and how often
LEAST_MOVED = 0.15  # a shorter way says too little of a capacity
FULL_MOVED = 0.8  # a way that is called a full swing
GAIN_SIGMA = 0.005  # of the current sensor
BIAS_C = 0.005  # its offset, of a capacity; the filter takes a wrong capacity for one, so its own is not used
SPREAD_MAX = 0.1  # more doubt in what was counted makes a pair worthless, of a capacity
LONGEST_S = 1e9  # no gap is longer
KEPT_PER_CELL = 6


@dataclass(frozen=True, slots=True)
class SohState:
    """``rated_ah`` is the cell file's capacity, ``capacity_ah`` (n,) what each cell is believed to have.

    ``counted`` (n,) runs on, in rated capacities; ``unseen`` is what may have flowed besides. ``why`` and ``learned_s``
    (n,) are reason and time of the last update. Of the pack are ``clock_s``, how long it has been at rest, when a rest
    was last looked at, its full ``cycles``, and how many they were when ``belief`` was last brought up to date.
    """

    rated_ah: float
    belief: Belief
    resistance: Growth
    counted: FloatArray
    anchor: Anchor
    why: np.ndarray
    learned_s: FloatArray
    capacity_ah: FloatArray
    clock_s: float = 0.0
    rest_s: float = 0.0
    looked_s: float = 0.0
    unseen: float = 0.0
    cycles: float = 0.0
    aged_cycles: float = 0.0

    @property
    def now(self) -> Belief:
        """The belief with the cycles since it was last brought up to date."""
        return aged(self.belief, self.cycles - self.aged_cycles)

    @property
    def capacity_sigma_ah(self) -> FloatArray:
        """Standard uncertainty, Ah, (n,)."""
        found: FloatArray = self.rated_ah * self.now.told_sigma
        return found

    @property
    def growth(self) -> FloatArray:
        """Resistance over that of the cell file at the same temperature and state of charge, (n,)."""
        return self.resistance.factor

    @property
    def growth_sigma(self) -> FloatArray:
        """Standard uncertainty of it, (n,)."""
        return self.resistance.told_sigma

    def age_s(self, cell: int) -> float:
        """Time since the capacity of a cell was last learned, s; infinite before that."""
        known = self.why[cell] != CapacitySource.NONE
        return self.clock_s - float(self.learned_s[cell]) if known else float("inf")


def begin(cell: Cell, count: int, kept: tuple[float, ...] = ()) -> SohState:
    """New cells, or what `kept` gave in an earlier run; something else than that is ignored, cell by cell."""
    table = np.array(kept if len(kept) == count * KEPT_PER_CELL else [np.nan] * (count * KEPT_PER_CELL), dtype=float)
    mean, sigma, log_growth, growth_sigma, known, age_s = rows = table.reshape(count, KEPT_PER_CELL).T
    fresh = unmeasured(count)
    sane = np.isfinite(rows).all(axis=0) & (np.abs(mean - 0.7) <= 0.6) & (sigma >= LEAST_SIGMA) & (growth_sigma > 0.0)
    sane &= np.abs(log_growth) <= np.log(MOST)
    belief = Belief(np.where(sane, mean, fresh.mean), np.where(sane, np.minimum(sigma, 1.0), fresh.sigma))
    return SohState(
        cell.capacity_ah,
        belief,
        Growth(np.where(sane, log_growth, 0.0), np.where(sane, np.minimum(growth_sigma, 1.0), BEGIN_SIGMA)),
        np.zeros(count),
        no_anchor(count),
        np.where(sane & (known > 0.0), int(CapacitySource.KEPT), int(CapacitySource.NONE)),
        np.where(sane, -np.maximum(age_s, 0.0), 0.0),
        cell.capacity_ah * belief.mean,
    )


def kept(state: SohState) -> tuple[float, ...]:
    """What must outlive the process, KEPT_PER_CELL finite numbers a cell, one cell after the other."""
    known = state.why != CapacitySource.NONE
    age_s = np.where(known, state.clock_s - state.learned_s, 0.0)
    belief, grown = state.now, state.resistance
    rows = belief.mean, belief.sigma, grown.mean, grown.sigma, known.astype(float), age_s
    return tuple(round(value, 6) for value in np.array(rows).T.ravel().tolist())


def step(
    cell: Cell, state: SohState, soc: SocState, dt_s: float, mean_a: FloatArray, tuning: Tuning = USUAL
) -> SohState:
    """Let ``dt_s`` pass, in which ``mean_a`` (n,) flowed, after the filter took the same sample.

    Time that does not pass, or goes back, changes nothing; a current that nobody saw only widens the doubt.
    """
    if not dt_s > 0.0:
        return state
    peak_c = float(np.abs(mean_a).max()) / state.rated_ah
    if not (peak_c <= tuning.insane_c and dt_s <= tuning.gap_s):
        blind_s = min(dt_s, LONGEST_S)
        unseen = state.unseen + tuning.blind_c * blind_s / HOUR_S
        return replace(state, clock_s=state.clock_s + blind_s, rest_s=0.0, unseen=unseen)
    state = _counted(state, dt_s, mean_a, peak_c)
    if due(state.resistance, state.cycles, peak_c):
        state = replace(state, resistance=looked(state.resistance, soc, state.cycles, tuning))
    if state.rest_s >= REST_S and state.clock_s - state.looked_s >= LOOK_S:
        state = _looked(cell, state, soc, tuning)
    return state


def _counted(state: SohState, dt_s: float, mean_a: FloatArray, peak_c: float) -> SohState:
    hours = dt_s / HOUR_S
    return replace(
        state,
        counted=state.counted + mean_a * (hours / state.rated_ah),
        clock_s=state.clock_s + dt_s,
        rest_s=state.rest_s + dt_s if peak_c <= REST_C else 0.0,
        cycles=state.cycles + 0.5 * peak_c * hours,
    )


def _looked(cell: Cell, state: SohState, soc: SocState, tuning: Tuning) -> SohState:
    """What a rest says: the end of a pair where there is a start far enough away, else perhaps a better start."""
    here = rested(cell, soc, state.counted, state.clock_s, state.unseen, tuning)
    moved, counted = here.soc - state.anchor.soc, here.counted - state.anchor.counted
    counted_sigma = _counted_sigma(state.anchor, here, counted)
    moved_sigma = np.hypot(here.sigma, state.anchor.sigma)
    steep = here.usable & state.anchor.usable
    pair = steep & (np.abs(moved) >= LEAST_MOVED) & (counted_sigma <= SPREAD_MAX)
    better = here.usable & (~state.anchor.usable | pair | (here.sigma <= np.hypot(state.anchor.sigma, counted_sigma)))
    state = replace(state, looked_s=state.clock_s, anchor=here.where(better, state.anchor))
    return _learned(state, pair, moved, moved_sigma, counted, counted_sigma) if pair.any() else state


def _counted_sigma(since: Anchor, here: Anchor, counted: FloatArray) -> FloatArray:
    """Of what was counted since the start: the sensor's offset over the time, its gain, and what nobody saw."""
    offset = BIAS_C * (here.clock_s - since.clock_s) / HOUR_S
    found: FloatArray = np.hypot(np.hypot(offset, GAIN_SIGMA * counted), here.unseen - since.unseen)
    return found


def _learned(
    state: SohState,
    pair: np.ndarray,
    moved: FloatArray,
    moved_sigma: FloatArray,
    counted: FloatArray,
    counted_sigma: FloatArray,
) -> SohState:
    likelihood = pair_likelihood(moved, np.maximum(moved_sigma, 1e-4), counted, np.maximum(counted_sigma, 1e-4))
    belief = learned(state.now, np.where(pair[:, None], likelihood, np.nan))
    source = np.where(moved > 0.0, int(CapacitySource.PARTIAL_CHARGE), int(CapacitySource.PARTIAL_DISCHARGE))
    source = np.where(np.abs(moved) >= FULL_MOVED, int(CapacitySource.FULL_SWING), source)
    return replace(
        state,
        belief=belief,
        aged_cycles=state.cycles,
        why=np.where(pair, source, state.why),
        learned_s=np.where(pair, state.clock_s, state.learned_s),
        capacity_ah=state.rated_ah * belief.mean,
    )
