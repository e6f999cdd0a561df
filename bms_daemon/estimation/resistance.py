"""Growth of the resistance over that of the cell file at the same temperature and state of charge, averaged for long.

The filter's factor on the file's tables already holds both. It follows every drive; what ages is its average over
throughput, where it could be seen: a current flowed, the temperature is one for which the file has resistances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bms_daemon.estimation.soc import SocState
from bms_daemon.estimation.soc_filter import FAST
from bms_daemon.estimation.tables import within
from bms_daemon.estimation.tuning import Tuning
from bms_daemon.model import FloatArray

BEGIN_SIGMA = 0.2  # of a resistance that nobody has measured, relative
WALK = 0.01  # by how much it may have changed after one full cycle, relative
EVERY_CYCLES = 0.02  # how often it is looked at, and from where on two looks are independent, in full cycles
EXCITED_C = 0.1  # least current at which a resistance is seen, of a capacity
TABLE_SIGMA = 0.05  # error of the cell file's tables, relative: no average lessens it
LEAST, MOST = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Of each cell: the logarithm's ``mean`` and ``sigma`` (n,), and the pack's full ``cycles`` at the last look."""

    mean: FloatArray
    sigma: FloatArray
    cycles: float = 0.0

    @property
    def factor(self) -> FloatArray:
        """Resistance over that of a new cell, (n,)."""
        found: FloatArray = np.exp(self.mean)
        return found

    @property
    def told_sigma(self) -> FloatArray:
        """Standard uncertainty of the factor, (n,)."""
        found: FloatArray = self.factor * np.hypot(self.sigma, TABLE_SIGMA)
        return found


def due(growth: Growth, cycles: float, current_c: float) -> bool:
    """Whether it is time for a look, and something to see."""
    return cycles - growth.cycles >= EVERY_CYCLES and current_c >= EXCITED_C


def looked(growth: Growth, soc: SocState, cycles: float, tuning: Tuning) -> Growth:
    """One more look, weighed by how well the filter knows its factor."""
    seen, variance = soc.filter.mean[FAST], soc.filter.cov[FAST, FAST]
    informative = (variance <= tuning.scale_sigma**2) & (soc.filter.strange <= 0.0) & ~soc.unusable
    before = growth.sigma**2 + WALK**2 * (cycles - growth.cycles)
    gain = np.where(informative, before / (before + variance + TABLE_SIGMA**2), 0.0)
    mean = within(growth.mean + gain * (seen - growth.mean), np.log(LEAST), np.log(MOST))
    return Growth(mean, np.sqrt(np.minimum((1.0 - gain) * before, 1.0)), cycles)
