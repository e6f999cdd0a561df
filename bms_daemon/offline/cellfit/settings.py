"""What the fit is tuned to: weights were chosen on a cell of 2.78 Ah by the error on recordings left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bms_daemon.model import FloatArray

Kind = Literal["ocv", "pulses", "cycles"]
Chemistry = Literal["lfp", "nmc"]

# Knots over state of charge. The open-circuit voltage bends most at its ends.
OCV_SOC: FloatArray = np.unique(
    np.round(
        np.concatenate(
            [
                [-0.05, 0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08],
                np.arange(0.1, 0.92, 0.02),
                [0.92, 0.94, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0, 1.03],
            ]
        ),
        4,
    )
)
RESISTANCE_SOC: FloatArray = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
HYSTERESIS_SOC: FloatArray = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])

TAU_S: FloatArray = np.array([2.0, 10.0, 60.0, 300.0, 1500.0])  # from a second to half an hour, a factor of 5 apart
KNEE_C = 3.0  # charge transfer saturates above about this current over capacity, 1/h
HYSTERESIS_RATE = {"lfp": 50.0, "nmc": 0.0}  # a branch is left within some 2 % of the capacity; 0: no hysteresis
CLIP_V = {"lfp": 0.005, "nmc": 0.015}  # residuals beyond count linearly only; LFP's plateau asks for finer work
TUNED_AH = 2.78  # the fit sees every cell scaled to this capacity, so that the weights below suit all sizes
MERGE_K = 5.0  # recordings whose mean temperatures are closer share one row of the tables

ROUNDS = 5  # of reweighting; later ones change less than 0.1 mV
FIRST_ROUNDS = 3  # of the first fit, which only has to find where recordings start
OCV_RISE_V = 0.01  # the least rise over a whole state of charge
SHORTEST_S, LONGEST_S = 0.1, 5.0  # a row weighs the time before it, within these: edges count, rests do not drown all

START_SIGMA = 0.004  # of a start that is known by a full charge
BIAS_SIGMA_C = 1.0 / 400.0  # of the current or the counter, over capacity, 1/h
CYCLES_START, CYCLES_BIAS = 0.3, 0.08  # what of these is left for cycles, whose start and current are known better
MEMORY_SIGMA_V = 1.0  # of a pair after a gap in a drive: as good as free
NUISANCE_V = 0.01  # what a shift of one sigma is weighed against

OCV_KNEE_V = 0.5  # a bend beyond this slope change (V per unit of soc) is a real knee and is smoothed less
SLOPE_SMOOTH, SLOPE_SMALL = 1e-4, 1e-2  # of the change with temperature: smooth, and small where nothing is known
TIE, SMOOTH = 1e-2, 1e-4  # resistance: neighbouring temperatures follow the law of growth; smooth over soc
BRANCH_TIE, BRANCH_SMOOTH = 3e-3, 1e-2  # hysteresis: the same from temperature to temperature; smooth over soc
RIDGE_TAU_S = 300.0  # a pair of this time constant bears the ridge, faster ones less: slow ones imitate a charge error
FLOOR = 1e-9  # keeps directions that no data see finite


@dataclass(frozen=True, slots=True)
class Weights:
    """How much a whole recording of a kind counts, and what holds the unknowns together."""

    ocv: float
    pulses: float
    cycles: float
    ridge: float
    ocv_smooth: float

    def of(self, kind: Kind) -> float:
        return {"ocv": self.ocv, "pulses": self.pulses, "cycles": self.cycles}[kind]


# Cycles are what the cell file is for, and say most. Without them slow pairs are guesses and are held small.
WITH_CYCLES = Weights(ocv=0.1, pulses=0.05, cycles=1.0, ridge=1e-5, ocv_smooth=3e-8)
WITHOUT_CYCLES = Weights(ocv=0.01, pulses=0.05, cycles=1.0, ridge=3e-4, ocv_smooth=1e-6)


@dataclass(frozen=True, slots=True)
class Form:
    """What a fit has to know before it looks at data. ``knots_degc`` (temperatures,) rises."""

    capacity_ah: float
    chemistry: Chemistry
    knots_degc: FloatArray

    @property
    def hysteresis_rate(self) -> float:
        return HYSTERESIS_RATE[self.chemistry]

    @property
    def clip_v(self) -> float:
        return CLIP_V[self.chemistry]
