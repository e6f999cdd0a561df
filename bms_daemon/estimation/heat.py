"""Heat of a cell: what a current makes, how far it warms one lumped mass, and which current is still allowed.

Bernardi's balance with currents that are positive when charging: ``i * (v - u) + i * T * du/dT``. The mass obeys
``C * dT/dt = heat - (T - surroundings) / R``, so after a time of constant heat it is warmer by
``heat * R * (1 - exp(-time / (R * C)))`` than it would be without.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.tables import KELVIN
from bms_daemon.model import FloatArray


def generated_w(
    current_a: FloatArray, across_v: FloatArray, soc: FloatArray, temp_degc: FloatArray, cell: Cell
) -> FloatArray:
    """Heat (n,) of a current, W; ``across_v`` is the terminal voltage less the open-circuit one."""
    found: FloatArray = current_a * (across_v + reversible_v(cell, soc, temp_degc))
    return found


def reversible_v(cell: Cell, soc: FloatArray, temp_degc: FloatArray) -> FloatArray:
    """Heat of reaction over current, V, (n,): ``T * du/dT``, positive where charging warms."""
    return (KELVIN + temp_degc) * cell.ocv_v_per_k(soc, temp_degc)


@lru_cache(maxsize=32)
def rise_k_per_w(cell: Cell, spans_s: tuple[float, ...]) -> FloatArray:
    """How much warmer a cell whose file has a section ``heat`` is after times of constant heat, K/W."""
    heat = cell.file.heat
    assert heat is not None
    settling_s = heat.resistance_k_per_w * heat.capacity_j_per_k
    found: FloatArray = heat.resistance_k_per_w * -np.expm1(-np.array(spans_s) / settling_s)
    return found


def allowed_a(spare_w: FloatArray, ohm: FloatArray, direct_v: FloatArray) -> FloatArray:
    """The magnitude at which ``ohm * i**2 + direct_v * i`` is ``spare_w``, A; arrays broadcast, ``ohm`` above 0."""
    spare_w = np.maximum(spare_w, 0.0)
    found: FloatArray = 2.0 * spare_w / (direct_v + np.sqrt(direct_v**2 + 4.0 * ohm * spare_w) + 1e-12)
    return found
