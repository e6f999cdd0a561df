"""The voltage of each cell at the end of a constant current.

Arrays have the shape (directions, horizons, n) or one that broadcasts to it. Currents are magnitudes; ``sign`` is
1 for charging and -1 for discharging.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np

from bms_daemon.estimation.cell import COLDEST_DEGC, HOTTEST_DEGC, Cell
from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import CAPACITY, FAST, HOUR_S, OFFSET, SAG, SLOW, SOC, variances
from bms_daemon.estimation.tables import saturated_a
from bms_daemon.model import FloatArray

SECANT_SOC = 0.02  # the curve's slope is taken over so much at least
REACH_SOC = 0.04  # resistances are looked at so far ahead
KNEE_TIMES = 1.3  # pulses of several times the capacity bend so much later than cell files say
MOST_GROWTH = 3.0  # of a resistance, as a logarithm


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the end voltage of every cell and horizon is made of.

    ``sign`` (directions, 1, 1); ``soc``, ``temp_degc``, ``direct_ohm``, ``knee_a`` (n,); ``bent_ohm`` (horizons, n),
    which answers to what the knee leaves of a current, and ``more_ohm`` (directions, horizons, n), what it gains while
    charge passes; ``soc_per_a``, which has the direction's sign, ``rest_v``, what is there without current apart
    from the open-circuit curve, and ``idle_v`` with it, (directions, horizons, n).
    """

    sign: FloatArray
    soc: FloatArray
    temp_degc: FloatArray
    soc_per_a: FloatArray
    rest_v: FloatArray
    idle_v: FloatArray
    direct_ohm: FloatArray
    bent_ohm: FloatArray
    more_ohm: FloatArray
    knee_a: FloatArray

    def voltage_v(self, cell: Cell, current_a: FloatArray) -> FloatArray:
        """At the end of currents, which broadcast to (directions, horizons, n)."""
        moved = current_a * self.soc_per_a
        bent_ohm = self.bent_ohm + np.minimum(np.abs(moved), REACH_SOC) * self.more_ohm
        across_v = self.direct_ohm * current_a + bent_ohm * saturated_a(current_a, self.knee_a)
        moved += self.soc
        found: FloatArray = cell.ocv_v(moved, self.temp_degc)
        found += self.rest_v
        found += self.sign * across_v
        return found

    def of(self, way: np.ndarray, span: np.ndarray, cells: np.ndarray) -> Ahead:
        """``cells`` (k, m), or (m,), for each pair of a direction and a horizon (k,): arrays (k, m, 1)."""
        picked = way[:, None], span[:, None], cells
        return Ahead(
            sign=self.sign[way],
            soc=self.soc[cells][..., None],
            temp_degc=self.temp_degc[cells][..., None],
            soc_per_a=self.soc_per_a[picked][..., None],
            rest_v=self.rest_v[picked][..., None],
            idle_v=self.idle_v[picked][..., None],
            direct_ohm=self.direct_ohm[cells][..., None],
            bent_ohm=self.bent_ohm[picked[1:]][..., None],
            more_ohm=self.more_ohm[picked][..., None],
            knee_a=self.knee_a[cells][..., None],
        )


@lru_cache(maxsize=32)
def _left(cell: Cell, horizons_s: tuple[float, ...]) -> FloatArray:
    """Of the pairs' voltages after each horizon, (horizons, pairs)."""
    found: FloatArray = np.exp(-np.array(horizons_s)[:, None] / cell.tau_s)
    return found


@lru_cache(maxsize=32)
def _least_series(cell: Cell) -> tuple[FloatArray, FloatArray]:
    """Temperatures, degC, and the least series resistance of any state of charge at each."""
    degc = np.arange(COLDEST_DEGC, HOTTEST_DEGC, dtype=float)
    soc = np.linspace(0.0, 1.0, 51)
    return degc, np.array([cell.circuit(soc, np.full(soc.size, each)).series_ohm.min() for each in degc])


def look_ahead(
    cell: Cell,
    state: SocState,
    horizons_s: tuple[float, ...],
    sign: FloatArray,
    caution: float,
    coldest_degc: float = inf,
) -> tuple[Ahead, FloatArray]:
    """What lies ahead in each direction (``sign``: (directions, 1, 1)), and the settled resistance (n,), ohm.

    Resistances and errors of the voltage are taken ``caution`` standard deviations on the safe side, resistances those
    of a cell that is ``coldest_degc`` where that is colder. The part of the series resistance that depends on the state
    of charge is no ohmic one but charge transfer: it saturates as the pairs do. The series resistance is that at the
    end of the way, the pairs' that half of the way.
    """
    now = state.filter
    mean, cov, cold_degc = now.mean, now.cov, np.minimum(state.temp_degc, coldest_degc)
    growth = mean[FAST : SLOW + 1] + caution * _sigma(variances(cov)[FAST : SLOW + 1])
    factors = np.exp(np.minimum(growth, MOST_GROWTH))
    pair_factors = factors[_rows(cell)]
    around = cell.circuit(mean[SOC] + REACH_SOC * np.append(0.0, sign)[:, None], cold_degc)
    series_ohm, pair_ohm = factors[0] * around.series_ohm, pair_factors * around.pair_ohm.swapaxes(0, 1)
    left = _left(cell, horizons_s)
    settled_ohm = np.add.reduce(pair_ohm, axis=1)
    risen_ohm = settled_ohm[:, None] - left @ pair_ohm  # here and in each direction: (1 + directions, horizons, n)
    direct_ohm = np.minimum(factors[0] * np.interp(cold_degc, *_least_series(cell)), series_ohm[0])
    gain_ohm = (series_ohm[1:] - series_ohm[0])[:, None] + 0.5 * (risen_ohm[1:] - risen_ohm[0])
    still_v = left @ (pair_factors * now.pair_v) + (mean[OFFSET] + mean[SAG])
    open_v, sigma_v = _open(cell, state, sign)
    rest_v = still_v + sign * (caution * sigma_v[:, None] + around.hysteresis_v[0])
    path = Ahead(
        sign=sign,
        soc=mean[SOC],
        temp_degc=state.temp_degc,
        soc_per_a=sign * (np.array(horizons_s)[:, None] / HOUR_S / usable_ah(state)),
        rest_v=rest_v,
        idle_v=rest_v + open_v,
        direct_ohm=direct_ohm,
        bent_ohm=risen_ohm[0] + (series_ohm[0] - direct_ohm),
        more_ohm=gain_ohm * (1.0 / REACH_SOC),
        knee_a=KNEE_TIMES * cell.knee_a / around.cold[0],
    )
    return path, series_ohm[0] + settled_ohm[0]


def usable_ah(state: SocState) -> FloatArray:
    """Every cell's capacity (n,): its own, or what the filter believes where that is less."""
    found: FloatArray = state.filter.capacity_ah / np.maximum(1.0 - state.filter.mean[CAPACITY], 1.0)
    return found


@lru_cache(maxsize=32)
def _rows(cell: Cell) -> np.ndarray:
    """Which factor each pair has, (pairs,): 0 the one of the fast pairs, 1 that of the slow ones."""
    return (np.arange(cell.tau_s.size) >= cell.fast_pairs).astype(np.intp)


def _open(cell: Cell, state: SocState, sign: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Voltage without current and hysteresis (n,), and its sigma each way (directions, n).

    State of charge and errors of the voltage make up for each other. The curve's slope is that to where the state of
    charge would be, were it wrong by its sigma to the unsafe side: it may stand before a knee.
    """
    soc, cov = state.filter.mean[SOC], state.filter.cov
    reach = np.maximum(_sigma(cov[SOC, SOC]), SECANT_SOC) * np.append(0.0, sign)[:, None]
    open_v = cell.ocv_v(soc + reach, state.temp_degc)
    slope = (open_v[1:] - open_v[0]) / reach[1:]
    errors = cov[OFFSET, OFFSET] + cov[SAG, SAG] + 2.0 * cov[OFFSET, SAG]
    return open_v[0], _sigma(errors + slope * (2.0 * (cov[SOC, OFFSET] + cov[SOC, SAG]) + slope * cov[SOC, SOC]))


def _sigma(variance: FloatArray) -> FloatArray:
    found: FloatArray = np.sqrt(np.maximum(variance, 0.0))
    return found
