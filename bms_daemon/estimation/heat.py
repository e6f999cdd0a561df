"""Heat of a cell: what a current makes, how far it warms one lumped mass, and which current is still allowed.

Bernardi's balance with currents that are positive when charging: ``i * (v - u) + i * T * du/dT``. The mass obeys
``C * dT/dt = heat - (T - surroundings) / R``, so after a time of constant heat it is warmer by
``heat * R * (1 - exp(-time / (R * C)))`` than it would be without.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bms_daemon.config.cellfile import Heat
from bms_daemon.estimation.cell import KELVIN, REFERENCE_K, Cell
from bms_daemon.model import FloatArray


def generated_w(
    current_a: FloatArray, across_v: FloatArray, soc: FloatArray, temp_degc: FloatArray, cell: Cell
) -> FloatArray:
    """Heat (n,) of a current, W; ``across_v`` is the terminal voltage less the open-circuit one."""
    found: FloatArray = current_a * (across_v + reversible_v(cell, soc, temp_degc))
    return found


def reversible_v(cell: Cell, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """Heat of reaction over current, V, (n,): ``T * du/dT``, positive where charging warms."""
    knots, *rows = _slopes(cell)
    cold, warm = (np.interp(soc, knots, row) for row in rows)
    found: FloatArray = (KELVIN + temp_degc) * np.where(temp_degc < REFERENCE_K - KELVIN, cold, warm)
    return found


@lru_cache(maxsize=32)
def _slopes(cell: Cell) -> tuple[FloatArray, FloatArray, FloatArray]:
    ocv = cell.file.ocv
    return np.array(ocv.soc), np.array(ocv.cold_v_per_k), np.array(ocv.warm_v_per_k)


def rise_k_per_w(heat: Heat, span_s: FloatArray) -> FloatArray:
    """How much warmer a cell is after a time of constant heat, K/W."""
    found: FloatArray = heat.resistance_k_per_w * -np.expm1(-span_s / (heat.resistance_k_per_w * heat.capacity_j_per_k))
    return found


def allowed_a(spare_w: FloatArray, ohm: FloatArray, direct_v: FloatArray) -> FloatArray:
    """The magnitude at which ``ohm * i**2 + direct_v * i`` is ``spare_w``, A; arrays broadcast, ``ohm`` above 0."""
    spare_w = np.maximum(spare_w, 0.0)
    found: FloatArray = 2.0 * spare_w / (direct_v + np.sqrt(direct_v**2 + 4.0 * ohm * spare_w) + 1e-12)
    return found
