"""State of charge along a recording: where it starts, and where it has to be found again after a gap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.branches import first_direction
from bms_daemon.offline.cellfit.charge import REST_C, Charge
from bms_daemon.offline.cellfit.reading import Log
from bms_daemon.offline.cellfit.settings import START_SIGMA, Kind

LITTLE_C = 0.05  # a charge at no more than this lifts the voltage by less than FULL_V
FULL_V = 0.06  # a cell after a full charge is at most this far below its full open-circuit voltage
REST_S = 600.0  # how long a cell has to rest within a recording for its voltage to say where it is
VOLTAGE_SIGMA_V = 0.005  # of a rest voltage as open-circuit voltage
WIDEST_SIGMA = 0.05
NOT_KNOWN = (
    "its state of charge at the start is not known, for it starts neither full nor at a rest on a known curve: "
    "give slow discharges with --ocv, or initial_soc in the map of --columns"
)


class Curve(Protocol):
    """What is known of the open-circuit voltage before the recordings are fitted."""

    def full_v(self, temp_degc: float) -> float: ...

    def soc(self, rest_v: float, temp_degc: float) -> tuple[float, float] | None:
        """State of charge and its sigma from a rest voltage; None where the curve is not known."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row whose state of charge is known."""

    row: int
    soc: float
    sigma: float = START_SIGMA


class StartError(ValueError):
    """A recording whose state of charge cannot be told; the text says what to give."""


def soc_along(
    log: Log, charge: Charge, kind: Kind, capacity_ah: float, initial_soc: float | None, curve: Curve
) -> tuple[FloatArray, float]:
    """(rows,) state of charge, NaN after a gap where it was not found again; and the sigma of its start."""
    soc = np.full(log.time_s.size, np.nan)
    sigma = START_SIGMA
    cuts = [0, *np.flatnonzero(charge.lost), log.time_s.size]
    for first, end in pairwise(cuts):
        anchor = _first(log, kind, capacity_ah, initial_soc, curve) if first == 0 else None
        anchor = anchor or _rest(log, capacity_ah, curve, first, end)
        if anchor is None:
            if first == 0:
                raise StartError(NOT_KNOWN)
            continue
        sigma = max(sigma, anchor.sigma)
        soc[first:end] = anchor.soc + (charge.ah[first:end] - charge.ah[anchor.row]) / capacity_ah
    return soc, sigma


def _first(
    log: Log, kind: Kind, capacity_ah: float, initial_soc: float | None, curve: Curve
) -> Anchor | None:
    if initial_soc is not None:
        return Anchor(0, initial_soc)
    if kind == "ocv":
        return Anchor(0, 0.0 if first_direction(log, capacity_ah) > 0.0 else 1.0)
    full = log.voltage_v[0] >= curve.full_v(float(log.temperature_degc[0])) - FULL_V
    return Anchor(0, 1.0) if full and log.current_a[0] <= LITTLE_C * capacity_ah else None


def _rest(log: Log, capacity_ah: float, curve: Curve, first: int, end: int) -> Anchor | None:
    """The segment's first row if it is at rest, for a recording and a gap are taken to follow one; else a long rest."""
    rest = np.abs(log.current_a[first:end]) < REST_C * capacity_ah
    row = first if rest[0] else first + _long_rest(rest, log.time_s[first:end])
    if row < first:
        return None
    found = curve.soc(float(log.voltage_v[row]), float(log.temperature_degc[row]))
    return None if found is None else Anchor(row, found[0], min(WIDEST_SIGMA, max(START_SIGMA, found[1])))


def _long_rest(rest: npt.NDArray[np.bool_], time_s: FloatArray) -> int:
    """The last row of the first rest that is long enough; very negative without one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rest, [False]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if time_s[end - 1] - time_s[start] >= REST_S:
            return int(end - 1)
    return -(10**9)
