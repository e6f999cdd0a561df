"""What counts of one run, and of many. Every run is judged alone: pooled runs would hide one behind another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.protocol import NONE, WRONG_START, Disturbance
from bms_daemon.offline.accuracy.recordings import Drive

WARM_UP_S = 600.0
NEAR_POINTS = 3.0
INSIDE_SHARE, SIGMA_TIMES, SIGMA_POINTS = 0.9, 3.0, 1.0
POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Estimated:
    """State of charge and its standard uncertainty, each (rows, runs); an estimator may tell none."""

    soc: FloatArray
    sigma: FloatArray | None


@dataclass(frozen=True, slots=True)
class Score:
    """One run, in percentage points. ``inside`` share of time within two sigma; it and ``sigma_rms`` None without."""

    drive: str
    disturbance: str
    rmse: float
    worst: float
    settle_s: float
    inside: float | None
    sigma_rms: float | None

    @property
    def honest(self) -> bool:
        """The uncertainty told covers the error, and is not so wide that this says nothing."""
        if self.inside is None or self.sigma_rms is None:
            return False
        return self.inside >= INSIDE_SHARE and self.sigma_rms <= max(SIGMA_TIMES * self.rmse, SIGMA_POINTS)


@dataclass(frozen=True, slots=True)
class Summary:
    """Many runs. None where no run says anything about it."""

    runs: int
    rmse: float
    worst: float
    undisturbed: float | None
    settle_s: float | None
    honest: float | None
    inside: float | None


def score(drive: Drive, disturbances: Sequence[Disturbance], found: Estimated) -> list[Score]:
    """One score a disturbance, which is a column of what was found."""
    sigmas = found.sigma.T if found.sigma is not None else [None] * len(disturbances)
    runs = zip(disturbances, found.soc.T, sigmas, strict=True)
    return [_score(drive, each, POINTS * (soc - drive.soc), sigma) for each, soc, sigma in runs]


def settle_s(time_s: FloatArray, error: FloatArray, near: float) -> float:
    """When the error comes within ``near`` for good, s from the first row; 0 if it never leaves."""
    away = np.flatnonzero(~(np.abs(error) <= near))
    if away.size == 0:
        return 0.0
    if away[-1] + 1 == error.size:
        return float("inf")
    return float(time_s[away[-1] + 1] - time_s[0])


def summary(scores: Sequence[Score]) -> Summary:
    """Mean of the runs' errors, and the worst of everything else."""
    calm = [each.rmse for each in scores if each.disturbance == NONE.name]
    settled = [each.settle_s for each in scores if each.disturbance == WRONG_START.name]
    inside = [each.inside for each in scores if each.inside is not None]
    return Summary(
        len(scores),
        float(np.mean([each.rmse for each in scores])),
        max(each.worst for each in scores),
        float(np.mean(calm)) if calm else None,
        max(settled, default=None),
        float(np.mean([each.honest for each in scores])) if inside else None,
        min(inside, default=None),
    )


def mean_rmse(scores: Sequence[Score], disturbance: Disturbance) -> float:
    """Of the runs with one disturbance."""
    return float(np.mean([each.rmse for each in scores if each.disturbance == disturbance.name]))


def _score(drive: Drive, disturbance: Disturbance, error: FloatArray, sigma: FloatArray | None) -> Score:
    warm = drive.time_s - drive.time_s[0] >= WARM_UP_S
    late = error[warm]
    inside = sigma_rms = None
    if sigma is not None:
        points = POINTS * sigma[warm]
        inside, sigma_rms = float(np.mean(np.abs(late) <= 2.0 * points)), _rms(points)
    settled_s = settle_s(drive.time_s, error, NEAR_POINTS)
    return Score(
        drive.name, disturbance.name, _rms(late), float(np.abs(late).max()), settled_s, inside, sigma_rms
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
