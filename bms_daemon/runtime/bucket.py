"""A token bucket: so many at once, so many a second, the rest refused."""

from __future__ import annotations


class TokenBucket:
    """``burst`` tokens at first, refilled at ``rate_per_s``. The caller brings the time (monotonic seconds)."""

    __slots__ = ("_burst", "_rate_per_s", "_time_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._time_s = float("-inf")

    def take(self, now_s: float) -> bool:
        """Take one token; False when there is none."""
        gained = max(0.0, now_s - self._time_s) * self._rate_per_s
        self._tokens = min(self._burst, self._tokens + gained)
        self._time_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
