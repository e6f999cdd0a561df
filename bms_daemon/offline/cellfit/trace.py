"""A recording that is ready to be fitted: with its state of charge, and without rows that say nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.charge import Charge
from bms_daemon.offline.cellfit.reading import Log, rows_text
from bms_daemon.offline.cellfit.settings import LONGEST_S, MERGE_K, SHORTEST_S, Kind

THIN_S = 1.0  # faster rows are thinned to this
CHANGE_C = 0.02  # a change of current that is kept however fast, over capacity


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrays of shape (rows,). ``gap``: nothing was logged before this row. ``soc_sigma`` is of its start."""

    name: str
    kind: Kind
    time_s: FloatArray
    current_a: FloatArray
    voltage_v: FloatArray
    temperature_degc: FloatArray
    soc: FloatArray
    gap: npt.NDArray[np.bool_]
    soc_sigma: float
    notes: tuple[str, ...]

    @property
    def weight(self) -> FloatArray:
        """(rows,) share of every row in the recording, by the time before it."""
        dt_s = np.clip(np.diff(self.time_s, prepend=self.time_s[0]), SHORTEST_S, LONGEST_S)
        share: FloatArray = dt_s / dt_s.sum()
        return share


def make_trace(
    name: str, kind: Kind, log: Log, charge: Charge, soc: FloatArray, soc_sigma: float, capacity_ah: float
) -> Trace:
    """Leaves out rows of unknown (NaN) state of charge, and fast ones without a change of current."""
    known = np.isfinite(soc)
    keep = known & _telling(log, charge.gap, capacity_ah)
    notes = list(log.notes + charge.notes)
    if not known.all():
        notes.append(f"{rows_text(~known)} dropped: state of charge not known")
    if (known & ~keep).any():
        notes.append(f"{rows_text(known & ~keep)} faster than 1 Hz left out: same current as before")
    return Trace(
        name,
        kind,
        time_s=log.time_s[keep],
        current_a=log.current_a[keep],
        voltage_v=log.voltage_v[keep],
        temperature_degc=log.temperature_degc[keep],
        soc=soc[keep],
        gap=charge.gap[keep],
        soc_sigma=soc_sigma,
        notes=tuple(notes),
    )


def _telling(log: Log, gap: npt.NDArray[np.bool_], capacity_ah: float) -> npt.NDArray[np.bool_]:
    """(rows,) the first row of every second, both rows of every change of current, both ends of every gap."""
    second = np.diff(np.floor(log.time_s / THIN_S), prepend=-np.inf) > 0
    change = np.append(False, np.abs(np.diff(log.current_a)) > CHANGE_C * capacity_ah) | gap
    before = np.append(change[1:], True)
    telling: npt.NDArray[np.bool_] = second | change | before
    return telling


def temperature_knots(traces: Sequence[Trace]) -> FloatArray:
    """(knots,) rising: mean temperatures of the recordings, close ones merged, the closest first."""
    groups = sorted([float(np.average(trace.temperature_degc, weights=trace.weight)), 1.0] for trace in traces)
    while len(groups) > 1:
        steps = [high[0] - low[0] for low, high in pairwise(groups)]
        at = int(np.argmin(steps))
        if steps[at] > MERGE_K:
            break
        (low, low_n), (high, high_n) = groups[at : at + 2]
        groups[at : at + 2] = [[(low * low_n + high * high_n) / (low_n + high_n), low_n + high_n]]
    return np.round([mean for mean, _ in groups], 1)
