"""What validation remembers of one source, and how the newest sample turns into a channel with age and quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from bms_daemon.model import Channel, Quality, Sample

T = TypeVar("T")
NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True)
class Ages:
    """A value is HELD after ``held_s`` and FAILED after ``lost_s``."""

    held_s: float
    lost_s: float

    @classmethod
    def of_period(cls, period_s: float) -> Ages:
        """Held after two periods, lost after three: "silent" in the fault catalogue."""
        return cls(2.0 * period_s, 3.0 * period_s)


@dataclass(frozen=True, slots=True)
class Trail(Generic[T]):
    """The last good value of a source and what was refused since."""

    value: T | None = None
    time_s: float = NEVER_S
    seq: int = -1
    bad_run: int = 0
    refused: int = 0
    reason: str = "never seen"


Verdict = tuple[T | None, str]  # the value to believe, or None and why not


def follow(
    trail: Trail[T], sample: Sample[T] | None, ages: Ages, now_s: float, judge: Callable[[T], Verdict[T]]
) -> tuple[Channel[T], Trail[T]]:
    """Judge the newest sample if it is new, and state age and quality of the last good value.

    A failed attempt is counted, but there is nothing in it to judge: it is not ``tried``.
    """
    new = sample is not None and sample.seq != trail.seq
    if sample is not None and new:
        trail = _judged(trail, sample, judge)
    age_s = now_s - trail.time_s
    quality = grade(age_s, ages)
    value = trail.value if quality is not Quality.FAILED else None
    fresh = new and trail.bad_run == 0 and value is not None
    tried = new and sample is not None and sample.ok
    channel = Channel(value, trail.time_s, age_s, quality, fresh, tried, trail.reason, trail.bad_run, trail.refused)
    return channel, trail


def _judged(trail: Trail[T], sample: Sample[T], judge: Callable[[T], Verdict[T]]) -> Trail[T]:
    value, reason = (None, sample.reason) if sample.value is None else judge(sample.value)
    if value is not None:
        return Trail(value, sample.time_s, sample.seq, 0, trail.refused, "")
    return replace(trail, seq=sample.seq, bad_run=trail.bad_run + 1, refused=trail.refused + 1, reason=reason)


def grade(age_s: float, ages: Ages) -> Quality:
    """Quality of a good value by its age. A value from the future, or of no time at all, is not believed."""
    if not -1e-6 <= age_s <= ages.lost_s:
        return Quality.FAILED
    return Quality.GOOD if age_s <= ages.held_s else Quality.HELD
