"""Two currents compared: each sample of the slower against what the faster one saw in the time that it may speak of."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Source
from bms_daemon.model import AfeScan, Channel, Doubt, Quality, ShuntReading


@dataclass(frozen=True, slots=True)
class Span:
    """Lowest and highest current of the faster sensor, since ``begun_s`` and in the stretch before."""

    low_a: float = float("inf")
    high_a: float = float("-inf")
    last_low_a: float = float("inf")
    last_high_a: float = float("-inf")
    begun_s: float = float("-inf")

    def seen(self, current_a: float) -> Span:
        low_a, high_a = min(self.low_a, current_a), max(self.high_a, current_a)
        return Span(low_a, high_a, self.last_low_a, self.last_high_a, self.begun_s)

    def turned(self, now_s: float) -> Span:
        return Span(last_low_a=self.low_a, last_high_a=self.high_a, begun_s=now_s)

    def miss_a(self, current_a: float) -> float:
        """How far a current lies outside of the span; 0 inside or when there was none."""
        low_a, high_a = min(self.low_a, self.last_low_a), max(self.high_a, self.last_high_a)
        return max(low_a - current_a, current_a - high_a, 0.0) if low_a <= high_a else 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """``fresh``: this tick brought a sample of the slower sensor."""

    span: Span
    doubts: Doubt
    fresh: bool = False


def compare(
    span: Span,
    cells: Channel[AfeScan],
    shunt: Channel[ShuntReading],
    doubts: Doubt,
    slower: tuple[Source, float],
    settings: Settings,
    now_s: float,
) -> Compared:
    """``slower``: which of the two, and how old its samples may be. Without a good faster one nothing is found."""
    afe_a = cells.value.current_a if cells.fresh and cells.value is not None else nan
    shunt_a = shunt.value.current_a if shunt.fresh and shunt.value is not None else nan
    by_shunt = slower[0] is Source.SHUNT
    fast_a, slow_a = (afe_a, shunt_a) if by_shunt else (shunt_a, afe_a)
    span = span.seen(fast_a) if fast_a == fast_a else span
    if slower[0] is Source.NONE or slow_a != slow_a:
        return Compared(span, doubts)
    if (cells if by_shunt else shunt).quality is Quality.GOOD:
        allowed_a = max(settings.current.mismatch_a, settings.current.mismatch_ratio * abs(slow_a))
        apart = span.miss_a(slow_a) > allowed_a
        doubts = doubts | Doubt.CURRENT_MISMATCH if apart else doubts & ~Doubt.CURRENT_MISMATCH
    return Compared(span.turned(now_s) if now_s - span.begun_s >= slower[1] else span, doubts, True)
