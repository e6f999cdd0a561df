"""Counting charge from sample to sample of the current: what passed for good, and what the estimator's step needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, nan

from bms_daemon.estimation.soc_filter import HOUR_S


@dataclass(frozen=True, slots=True)
class Counting:
    """``since_s``: time of the estimator's last step, from which ``passed_ah`` counts (positive: charged).

    ``blind``: some of the current since then is not known; ``passed_ah`` then lacks it.
    """

    at_s: float = nan
    current_a: float = nan
    since_s: float = nan
    passed_ah: float = 0.0
    blind: bool = False
    charged_ah: float = 0.0
    discharged_ah: float = 0.0

    @property
    def span_s(self) -> float:
        """Time since the estimator's last step."""
        return self.at_s - self.since_s

    @property
    def mean_a(self) -> float:
        """Mean current since the estimator's last step; NaN when some of it is not known."""
        return nan if self.blind or not self.span_s > 0.0 else self.passed_ah * HOUR_S / self.span_s


def count(past: Counting, at_s: float, current_a: float, gap_s: float) -> Counting:
    """Add a sample: trapezoid over the samples' own times. Longer than ``gap_s``, nobody knows what flowed."""
    if past.at_s != past.at_s:
        return replace(past, at_s=at_s, since_s=at_s, current_a=current_a, blind=not isfinite(current_a))
    span_s = at_s - past.at_s
    if span_s <= 0.0:
        return past
    mean_a = 0.5 * (past.current_a + current_a)
    if span_s > gap_s or not isfinite(mean_a):
        return replace(past, at_s=at_s, current_a=current_a, blind=True)
    charge_ah = mean_a * span_s / HOUR_S
    return replace(
        past,
        at_s=at_s,
        current_a=current_a,
        passed_ah=past.passed_ah + charge_ah,
        charged_ah=past.charged_ah + max(0.0, charge_ah),
        discharged_ah=past.discharged_ah + max(0.0, -charge_ah),
    )


def handed_over(counting: Counting) -> Counting:
    """After the estimator's step: a new span begins."""
    return replace(counting, since_s=counting.at_s, passed_ah=0.0, blind=not isfinite(counting.current_a))
