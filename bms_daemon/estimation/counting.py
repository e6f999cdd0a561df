"""Counting charge from sample to sample of the current: what passed for good, and what the estimator's step needs.

Where the sensor counts charge itself, what samples say is held to its counter, and a gap between samples is bridged by
it. A counter is believed as far as it has agreed with the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite, nan

from bms_daemon.estimation.soc_filter import HOUR_S

STEP_AH = 1.0 / HOUR_S  # what the coarsest counter does not show
SHARE = 0.1  # of the charge by samples, by which a counter may differ that is believed
IDLE = 1e-4  # and of the largest current: rounding, where next to nothing flows


@dataclass(frozen=True, slots=True)
class Sample:
    """A current and, NaN where nobody counts, the sensor's own counter: Ah, charging less discharging."""

    at_s: float
    current_a: float
    charge_ah: float = nan


@dataclass(frozen=True, slots=True)
class Sight:
    """For how long two samples, and two readings of a counter, say what flowed between; the largest that flows."""

    gap_s: float
    bridge_s: float
    largest_a: float


@dataclass(frozen=True, slots=True)
class Counter:
    """A sensor's counter beside the samples. ``behind_ah``: how far the count is behind it, within ``room_ah``.

    ``agreed_ah``: what has passed since they last contradicted each other; the counter may have begun anew then.
    """

    charge_ah: float = nan
    behind_ah: float = 0.0
    agreed_ah: float = 0.0
    room_ah: float = 0.0

    def held(self, charge_ah: float, sampled_ah: float, swing_ah: float, idle_ah: float) -> tuple[float, Counter]:
        """What passed between two samples: ``sampled_ah``, kept as near to the counter as both can be known.

        That is a step of the counter and ``swing_ah``, since current and counter are not read at the same instant;
        after a load it shrinks by halves. A counter that contradicts is left aside, and begins anew.
        """
        room_ah = max(STEP_AH + swing_ah, 0.5 * self.room_ah)
        behind_ah = _within(self.behind_ah, room_ah) + (charge_ah - self.charge_ah) - sampled_ah
        left_ah = _within(behind_ah, room_ah)
        excess_ah = behind_ah - left_ah
        if not abs(excess_ah) <= SHARE * abs(sampled_ah) + idle_ah:
            return sampled_ah, Counter(charge_ah)
        return sampled_ah + excess_ah, Counter(charge_ah, left_ah, self.agreed_ah + abs(sampled_ah), room_ah)

    def bridged(self, charge_ah: float, span_s: float, sight: Sight) -> tuple[float, Counter]:
        """What passed in a gap; NaN where the counter does not say.

        It must have agreed for so long that any larger error than SHARE would have shown. What is more than could
        have flowed is no difference, and a counter so near to zero may have begun anew.
        """
        most_ah = sight.largest_a * span_s / HOUR_S
        proven = SHARE * self.agreed_ah >= STEP_AH + sight.largest_a * sight.gap_s / HOUR_S
        passed_ah = charge_ah - self.charge_ah
        if proven and span_s <= sight.bridge_s and abs(passed_ah) <= most_ah < abs(charge_ah):
            return passed_ah, replace(self, charge_ah=charge_ah)
        return nan, self


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
    counter: Counter = field(default_factory=Counter)

    @property
    def span_s(self) -> float:
        """Time since the estimator's last step."""
        return self.at_s - self.since_s

    @property
    def mean_a(self) -> float:
        """Mean current since the estimator's last step; NaN when some of it is not known."""
        return nan if self.blind or not self.span_s > 0.0 else self.passed_ah * HOUR_S / self.span_s


def count(past: Counting, sample: Sample, sight: Sight) -> Counting:
    """Add a sample: trapezoid over the samples' own times, held to the sensor's counter; in a gap the counter alone.

    Where neither says what flowed, nobody knows.
    """
    at_s, current_a = sample.at_s, sample.current_a
    if past.at_s != past.at_s:
        blind, counter = not isfinite(current_a), Counter(sample.charge_ah)
        return replace(past, at_s=at_s, since_s=at_s, current_a=current_a, blind=blind, counter=counter)
    span_s = at_s - past.at_s
    if span_s <= 0.0:
        return past
    charge_ah, counter = _between(past, sample, span_s, sight)
    if not isfinite(charge_ah):
        return replace(past, at_s=at_s, current_a=current_a, blind=True)
    return replace(
        past,
        at_s=at_s,
        current_a=current_a,
        passed_ah=past.passed_ah + charge_ah,
        charged_ah=past.charged_ah + max(0.0, charge_ah),
        discharged_ah=past.discharged_ah + max(0.0, -charge_ah),
        counter=counter,
    )


def _between(past: Counting, sample: Sample, span_s: float, sight: Sight) -> tuple[float, Counter]:
    """Charge since the sample before, NaN where it is not known, and the counter with what it is worth now."""
    hours = span_s / HOUR_S
    mean_a = 0.5 * (past.current_a + sample.current_a)
    if span_s > sight.gap_s or not isfinite(mean_a):
        return past.counter.bridged(sample.charge_ah, span_s, sight)
    swing_ah = max(abs(past.current_a), abs(sample.current_a)) * hours
    return past.counter.held(sample.charge_ah, mean_a * hours, swing_ah, IDLE * sight.largest_a * hours)


def _within(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)


def handed_over(counting: Counting) -> Counting:
    """After the estimator's step: a new span begins."""
    return replace(counting, since_s=counting.at_s, passed_ah=0.0, blind=not isfinite(counting.current_a))
