"""A solution as a cell file: numbers with as many digits as they are worth, checked by the file's own schema."""

from __future__ import annotations

import numpy as np

from bms_daemon.config.cellfile import CellFile, Hysteresis, Identity, OpenCircuit, Resistance
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.design import SLOPE_K
from bms_daemon.offline.cellfit.settings import (
    HYSTERESIS_SOC,
    KNEE_C,
    OCV_SOC,
    RESISTANCE_SOC,
    TAU_S,
    TUNED_AH,
)
from bms_daemon.offline.cellfit.solve import Solution

Row = tuple[float, ...]
Table = tuple[Row, ...]

VOLT_DIGITS, OHM_DIGITS, SLOPE_DIGITS = 4, 4, 3
LEAST_RISE_V = 1e-4  # rounding must not make the voltage flat


def cell_file(found: Solution, identity: Identity) -> CellFile:
    curves = [found.unknowns[found.at.curve(which)] for which in range(3)]
    knots = tuple(float(degc) for degc in found.form.knots_degc)
    series, *pairs = [_ohms(found, which) for which in range(1 + TAU_S.size)]
    return CellFile(
        schema=1,
        cell=identity,
        ocv=OpenCircuit(
            soc=_row(OCV_SOC),
            voltage_v=_rising(curves[0]),
            cold_v_per_k=_significant(curves[1] / SLOPE_K, SLOPE_DIGITS),
            warm_v_per_k=_significant(curves[2] / SLOPE_K, SLOPE_DIGITS),
            temperature_min_degc=knots[0],
            temperature_max_degc=knots[-1],
        ),
        resistance=Resistance(
            soc=_row(RESISTANCE_SOC),
            temperature_degc=knots,
            series_ohm=series,
            tau_s=_row(TAU_S),
            pair_ohm=tuple(pairs),
            knee_c=KNEE_C,
        ),
        hysteresis=_hysteresis(found),
    )


def _ohms(found: Solution, which: int) -> Table:
    """One table of a cell of the capacity that was scaled away for the fit."""
    ohm = found.unknowns[found.at.table(which)] * TUNED_AH / found.form.capacity_ah
    return tuple(_significant(row, OHM_DIGITS) for row in ohm.reshape(found.at.temperatures, -1))


def _hysteresis(found: Solution) -> Hysteresis | None:
    if not found.at.hysteresis:
        return None
    table = found.unknowns[found.at.branches :].reshape(found.at.temperatures, -1)
    voltage = tuple(_row(np.round(row, VOLT_DIGITS)) for row in table)
    return Hysteresis(soc=_row(HYSTERESIS_SOC), voltage_v=voltage, rate=found.form.hysteresis_rate)


def _rising(voltage_v: FloatArray) -> Row:
    steps = LEAST_RISE_V * np.arange(voltage_v.size)
    return _row(np.round(np.maximum.accumulate(np.round(voltage_v, VOLT_DIGITS) - steps) + steps, VOLT_DIGITS))


def _significant(values: FloatArray, digits: int) -> Row:
    return tuple(float(f"{value:.{digits - 1}e}") if abs(value) > 1e-9 else 0.0 for value in values)


def _row(values: FloatArray) -> Row:
    return tuple(float(value) for value in values)
