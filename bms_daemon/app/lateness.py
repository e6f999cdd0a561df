"""The core's own record of how late its ticks were."""

from __future__ import annotations

import numpy as np

EDGES_MS = (1, 5, 20)


class LatenessRecord:
    """The last ``size`` ticks; what was missed, and how many came later than each edge, since the start."""

    def __init__(self, size: int = 16384) -> None:
        self._late_s = np.zeros(size)
        self.ticks = 0
        self.missed = 0
        self._over = dict.fromkeys(EDGES_MS, 0)

    def add(self, lateness_s: float, missed: int) -> None:
        self._late_s[self.ticks % self._late_s.size] = lateness_s
        self.ticks += 1
        self.missed += missed
        for edge_ms in EDGES_MS:
            if lateness_s * 1e3 <= edge_ms:
                break
            self._over[edge_ms] += 1

    def plain(self) -> dict[str, float]:
        """Percentiles of the recorded ticks, in seconds, and the counts."""
        kept = self._late_s[: min(self.ticks, self._late_s.size)]
        p50, p99, worst = np.percentile(kept, (50, 99, 100)).tolist() if kept.size else (0.0, 0.0, 0.0)
        late = {"late_p50_s": p50, "late_p99_s": p99, "late_max_s": worst}
        over = {f"over_{edge_ms}_ms": count for edge_ms, count in self._over.items()}
        return {"ticks": self.ticks, "missed": self.missed} | late | over
