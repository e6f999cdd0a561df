"""Charge along a recording: counted by the cycler or from the current, and where it was not seen at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.reading import Log

GAP_S, GAP_TIMES = 120.0, 5.0  # a gap is longer than both: so many seconds, and so many usual row intervals
USUAL_SHARE = 0.9  # of the row intervals, at most so long: loggers write rests more rarely than pulses
REST_C = 0.02  # less current than this over capacity is rest
RESTED_V = 0.02  # a cell that rested through a gap comes back within this
JUMP_TIMES, JUMP_SHARE = 2.0, 0.002  # a counter that moves by more than the current can, and so much of the capacity


@dataclass(frozen=True, slots=True)
class Charge:
    """Along a recording, arrays of shape (rows,). ``ah`` is since the first row, and unknown across ``lost`` rows.

    ``gap``: before this row nothing was logged. ``lost``: nor was the charge counted.
    """

    ah: FloatArray
    gap: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def count(log: Log, capacity_ah: float) -> Charge:
    """A counter where there is one; else current that stands until the next row, and nothing in a gap."""
    gap = gaps(log.time_s)
    by_current_ah = np.append(0.0, log.current_a[:-1] * np.diff(log.time_s)) / 3600.0
    if log.counted_ah is not None:
        step_ah, notes = _by_counter(log, by_current_ah, gap, capacity_ah)
        return Charge(np.cumsum(step_ah), gap, np.zeros_like(gap), notes)
    lost = gap & ~_rested(log, capacity_ah)
    found_again = f"{np.sum(lost)} gaps without a counter: state of charge found again from the next rest"
    notes = (found_again,) if lost.any() else ()
    return Charge(np.cumsum(np.where(gap, 0.0, by_current_ah)), gap, lost, notes)


def gaps(time_s: FloatArray) -> npt.NDArray[np.bool_]:
    """(rows,) true where nothing was logged before a row."""
    dt_s = np.diff(time_s)
    usual_s = float(np.quantile(dt_s, USUAL_SHARE)) if dt_s.size else 0.0
    return np.append(False, dt_s > max(GAP_S, GAP_TIMES * usual_s))


def _rested(log: Log, capacity_ah: float) -> npt.NDArray[np.bool_]:
    """(rows,) true where before a row and at it no current flowed, at the same voltage."""
    rest = np.abs(log.current_a) < REST_C * capacity_ah
    same = np.abs(np.diff(log.voltage_v)) < RESTED_V
    return np.append(False, rest[1:] & rest[:-1] & same)


def _by_counter(
    log: Log, by_current_ah: FloatArray, gap: npt.NDArray[np.bool_], capacity_ah: float
) -> tuple[FloatArray, tuple[str, ...]]:
    """A counter that is reset jumps; there the current counts."""
    assert log.counted_ah is not None
    step_ah = np.diff(log.counted_ah, prepend=log.counted_ah[0])
    most_ah = np.abs(log.current_a).max() * np.diff(log.time_s, prepend=log.time_s[0]) / 3600.0
    jump = ~gap & (np.abs(step_ah) > JUMP_TIMES * most_ah + JUMP_SHARE * capacity_ah)
    notes = (f"counter jumped {np.sum(jump)} times: current counted there",) if jump.any() else ()
    return np.where(jump, by_current_ah, step_ah), notes
