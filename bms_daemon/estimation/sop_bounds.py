"""What may be asked of a cell: of each direction, and as much as rating, charge and heat allow.

Arrays have the shape (directions, horizons) or one that broadcasts to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.heat import allowed_a, reversible_v, rise_k_per_w
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import HOUR_S
from bms_daemon.estimation.sop_path import Ahead, usable_ah
from bms_daemon.model import Binding, FloatArray

RATED, VOLTAGE, SOC, TEMPERATURE = map(int, (Binding.RATED, Binding.CELL_VOLTAGE, Binding.SOC, Binding.TEMPERATURE))

Most = tuple[FloatArray, np.ndarray]  # currents, and the Binding of each


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be asked of a cell; currents are magnitudes."""

    min_v: float
    max_v: float
    charge_max_a: float
    discharge_max_a: float
    charge_min_degc: float
    charge_max_degc: float
    discharge_min_degc: float
    discharge_max_degc: float
    trickle_a: float = 0.0  # what the state of charge alone leaves

    @classmethod
    def of(cls, file: CellFile) -> Self:
        """What the cell file itself allows."""
        cell = file.cell
        return cls(
            cell.min_v,
            cell.max_v,
            cell.charge_max_c * cell.capacity_ah,
            cell.discharge_max_c * cell.capacity_ah,
            cell.charge_min_degc,
            cell.charge_max_degc,
            cell.discharge_min_degc,
            cell.discharge_max_degc,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """The same by direction, arrays (directions, 1)."""

    limit_v: FloatArray
    rated_a: FloatArray
    min_degc: FloatArray
    max_degc: FloatArray

    @classmethod
    def of(cls, bounds: Bounds) -> Self:
        give = bounds.min_v, bounds.discharge_max_a, bounds.discharge_min_degc, bounds.discharge_max_degc
        take = bounds.max_v, bounds.charge_max_a, bounds.charge_min_degc, bounds.charge_max_degc
        return cls(*np.array([give, take]).T[:, :, None])


def by_rating_and_charge(
    path: Ahead, state: SocState, asked: Asked, horizons_s: tuple[float, ...], caution: float, trickle_a: float
) -> Most:
    """What the rating and the charge at hand allow, and which of them binds."""
    room = np.array([path.soc, 1.0 - path.soc]) - caution * state.soc_sigma
    room_ah = np.minimum.reduce(room * usable_ah(state), axis=1)[:, None]
    by_charge_a = np.maximum(room_ah * (HOUR_S / np.array(horizons_s)), trickle_a)
    by_charge = by_charge_a < asked.rated_a
    return np.where(by_charge, by_charge_a, asked.rated_a), np.where(by_charge, SOC, RATED)


def and_by_heat(
    most: Most,
    path: Ahead,
    spare_k: FloatArray,
    settled_ohm: FloatArray,
    cell: Cell,
    state: SocState,
    horizons_s: tuple[float, ...],
) -> Most:
    """The same, and the hottest cell at its highest temperature at the end: what it is now counts as surroundings.

    ``spare_k`` (directions, 1) is how far it is from there. It is taken to have the largest resistance, hysteresis and
    heat of reaction of any cell; the latter counts where it warms, and every pair is taken as settled.
    """
    if cell.file.heat is None:
        return most
    reaction_v = np.maximum.reduce(path.sign[:, 0] * reversible_v(cell, path.soc, state.temp_degc), axis=1)
    direct_v = np.maximum(reaction_v, 0.0)[:, None] + state.filter.circuit.hysteresis_v.max()
    by_heat_a = allowed_a(spare_k / rise_k_per_w(cell, horizons_s), settled_ohm.max(), direct_v)
    most_a, why = most
    return np.minimum(most_a, by_heat_a), np.where(by_heat_a < most_a, TEMPERATURE, why)
