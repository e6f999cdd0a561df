"""The open-circuit curve over state of charge and temperature, and what temperatures alone decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.model import FloatArray


@dataclass(frozen=True, slots=True)
class AtTemperature:
    """What temperatures alone decide; numbers in place of arrays where all of them are the same.

    ``away_k`` from 25 degC, no further than the curve's slopes hold, the ``slopes`` there (knots,), V/K, and the
    ``curve`` (knots,), V, each where one serves all; ``row`` where the circuit's table begins for them; ``share`` of
    the way to the circuit's next row; how ``strange`` they are, 1/K.
    """

    away_k: FloatArray | float
    slopes: FloatArray | None
    curve: FloatArray | None
    row: FloatArray | float
    share: FloatArray | float
    strange: FloatArray | float


@dataclass(frozen=True, slots=True)
class Curve:
    """Open-circuit voltage over state of charge, V, and its slopes by temperature, V/K, arrays (knots,)."""

    soc: FloatArray
    base_v: FloatArray
    cold_v_per_k: FloatArray
    warm_v_per_k: FloatArray

    @classmethod
    def of(cls, file: CellFile) -> Self:
        ocv = file.ocv
        return cls(*map(np.array, (ocv.soc, ocv.voltage_v, ocv.cold_v_per_k, ocv.warm_v_per_k)))

    def at(self, away_k: float) -> tuple[FloatArray, FloatArray]:
        """Slopes (knots,), V/K, and the curve (knots,), V, so far from 25 degC."""
        slopes = self._slopes(away_k >= 0.0)
        return slopes, self.base_v + away_k * slopes

    def common_slopes(self, away_k: FloatArray) -> FloatArray | None:
        """Slopes (knots,), V/K, of temperatures that are on one side of 25 degC; None where they are not."""
        warm = int(np.count_nonzero(away_k >= 0.0))
        return None if 0 < warm < away_k.size else self._slopes(warm > 0)

    def voltage_v(self, soc: FloatArray, warmth: AtTemperature) -> FloatArray:
        """Straight between knots, at the end beyond them."""
        if warmth.curve is not None:
            return np.interp(soc, self.soc, warmth.curve)
        return np.interp(soc, self.soc, self.base_v) + warmth.away_k * self.slope_v_per_k(soc, warmth)

    def slope_v_per_k(self, soc: FloatArray, warmth: AtTemperature) -> FloatArray:
        """By temperature."""
        if warmth.slopes is not None:
            return np.interp(soc, self.soc, warmth.slopes)
        cold, warm = (np.interp(soc, self.soc, row) for row in (self.cold_v_per_k, self.warm_v_per_k))
        return np.where(np.asarray(warmth.away_k) >= 0.0, warm, cold)

    def _slopes(self, warm: bool) -> FloatArray:
        return self.warm_v_per_k if warm else self.cold_v_per_k
