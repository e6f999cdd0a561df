"""The core's own record of how late its ticks were."""

from __future__ import annotations

import numpy as np


class LatenessRecord:
    """The last ``size`` ticks, and what was missed since the start."""

    def __init__(self, size: int = 16384) -> None:
        self._late_s = np.zeros(size)
        self.ticks = 0
        self.missed = 0

    def add(self, lateness_s: float, missed: int) -> None:
        self._late_s[self.ticks % self._late_s.size] = lateness_s
        self.ticks += 1
        self.missed += missed

    def plain(self) -> dict[str, float]:
        """Percentiles of the recorded ticks, in seconds."""
        kept = self._late_s[: min(self.ticks, self._late_s.size)]
        p50, p99, worst = (float(np.percentile(kept, q)) for q in (50, 99, 100)) if kept.size else (0.0, 0.0, 0.0)
        return {"ticks": self.ticks, "missed": self.missed, "late_p50_s": p50, "late_p99_s": p99, "late_max_s": worst}
