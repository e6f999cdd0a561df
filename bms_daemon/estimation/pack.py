"""From cells to their series pack: the weakest cell decides, never the mean."""

from __future__ import annotations

import numpy as np

from bms_daemon.estimation.sop import Power, Why
from bms_daemon.model import Binding, FloatArray, PowerAhead

LEAST_A = 1e-9
BINDINGS: dict[int, Binding] = {
    Why.CURRENT: Binding.RATED,
    Why.VOLTAGE: Binding.CELL_VOLTAGE,
    Why.SOC: Binding.SOC,
    Why.TEMPERATURE: Binding.TEMPERATURE,
}


def pack_soc(soc: FloatArray, sigma: FloatArray, capacity_ah: FloatArray) -> tuple[float, float, float]:
    """State of charge, its sigma, and the usable capacity (Ah) of cells (n,) in series.

    Charge can be taken until the first cell is empty and given until the first is full; the share of the two is the
    pack's state of charge. A cell that is 3 points below the others takes 3 points of the pack's capacity. Errors of
    the two cells are taken to agree, as one cell's at both ends do.
    """
    charge_ah, room_ah = soc * capacity_ah, (1.0 - soc) * capacity_ah
    weak, strong = int(charge_ah.argmin()), int(room_ah.argmin())
    least_ah, room = float(charge_ah[weak]), float(room_ah[strong])
    usable_ah = max(least_ah + room, 1e-9)
    doubt_ah = np.array([sigma[weak] * capacity_ah[weak] * room, sigma[strong] * capacity_ah[strong] * least_ah])
    return least_ah / usable_ah, min(1.0, float(doubt_ah.sum()) / usable_ah**2), usable_ah


def pack_power(discharge: Power, charge: Power) -> PowerAhead:
    """One current passes through all cells: the least of them, at the sum of their voltages."""
    discharge_a, discharge_w, discharge_why = _series(discharge)
    charge_a, charge_w, charge_why = _series(charge)
    return PowerAhead(discharge_a, discharge_w, charge_a, charge_w, discharge_why, charge_why)


def _series(power: Power) -> tuple[FloatArray, FloatArray, tuple[Binding, ...]]:
    """Current, power and reason for each horizon."""
    rows = np.arange(power.current_a.shape[0])
    weakest = power.current_a.argmin(axis=1)
    current_a = power.current_a[rows, weakest]
    cell_v = power.power_w / np.maximum(power.current_a, LEAST_A)
    bindings = tuple(BINDINGS[why] for why in power.why[rows, weakest].tolist())
    return current_a, current_a * cell_v.sum(axis=1), bindings
