"""Capacity of ageing cells from parts of their charges, by our estimator and by counting alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.capacity import Belief, aged, learned
from bms_daemon.offline.accuracy.capacity_recordings import END_V, AgedCell, Charge
from bms_daemon.offline.accuracy.charge_window import Family, common_sigma, informative, likelihood

NEW_CYCLES = 30  # the reference is from these; they are not evaluated
COMPLETE = 0.9  # a reference charges at least so much of the most that one of these did
REFERENCE_SIGMA = 0.03  # of the capacity when the life that is evaluated begins, relative
LOWEST_V, STEP_V = 3.60, 0.05
POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Found:
    """What is believed after one window; all in per cent of the nominal capacity.

    ``informed``: the window told something, else it is the belief from before. ``counting``: error of counting alone.
    """

    true: float
    error: float
    sigma: float
    counting: float
    informed: bool


@dataclass(frozen=True, slots=True)
class Windows:
    """A cell through one window of voltage, every charge that passes it."""

    cell: str
    low_v: float
    high_v: float
    found: tuple[Found, ...]


def window_ends(width_v: float) -> list[tuple[float, float]]:
    """Voltages every STEP_V from LOWEST_V, and the topmost window below END_V."""
    lows = [LOWEST_V + STEP_V * step for step in range(20) if LOWEST_V + STEP_V * step + width_v < END_V - STEP_V / 2]
    return [(round(low, 2), round(low + width_v, 2)) for low in [*lows, END_V - width_v]]


def reference(cell: AgedCell) -> Charge | None:
    """The last complete charge of the new cell whose discharge was measured."""
    new = [charge for charge in cell.charges if charge.cycle <= NEW_CYCLES]
    most_ah = max((charge.curve.charge_ah[-1] for charge in new), default=0.0)
    good = [charge for charge in new if charge.curve.charge_ah[-1] >= COMPLETE * most_ah and charge.true_ah > 0.0]
    return good[-1] if good else None


def through(cell: AgedCell, low_v: float, high_v: float) -> Windows:
    """Estimates one after the other over a cell's life, each from what was believed before and one window.

    What happens in between is known by its number of cycles alone.
    """
    new = reference(cell)
    if new is None:
        return Windows(cell.name, low_v, high_v, ())
    passing = [
        (charge, window)
        for charge in cell.charges
        if charge.cycle > NEW_CYCLES and (window := charge.curve.window(low_v, high_v)) is not None
    ]
    family, usual = Family.of(new.curve, new.true_ah), new.curve.window(low_v, high_v)
    belief, last, found = Belief(np.ones(1), np.full(1, REFERENCE_SIGMA)), new.cycle, []
    for charge, window in passing:
        belief, last = aged(belief, float(charge.cycle - last)), charge.cycle
        level = likelihood(family, window)
        informed = informative(level)
        belief = learned(belief, level[None]) if informed else belief
        counted = window.charge_ah[-1] / usual.charge_ah[-1] if usual is not None else np.nan
        shares = float(belief.mean[0]), float(np.hypot(belief.sigma[0], common_sigma(window))), float(counted)
        found.append(_found(charge, new.true_ah, cell.nominal_ah, shares, informed))
    return Windows(cell.name, low_v, high_v, tuple(found))


def _found(
    charge: Charge, new_ah: float, nominal_ah: float, shares: tuple[float, float, float], informed: bool
) -> Found:
    """From shares of the new cell's capacity: believed, its sigma, counted."""
    true = POINTS * charge.true_ah / nominal_ah
    believed, sigma, counted = (POINTS * new_ah / nominal_ah * share for share in shares)
    return Found(true, believed - true, sigma, counted - true, informed)


def between(windows: Sequence[Windows], least: float, most: float) -> list[Found]:
    """All whose truth is known and lies between two capacities, %."""
    return [each for one in windows for each in one.found if least <= each.true < most]
