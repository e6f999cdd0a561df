"""Measured pulses against the current that the estimator allowed before them, for the voltage they really reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.soc import Reading, SocState, start, step
from bms_daemon.estimation.sop import CAUTION, power_ahead
from bms_daemon.estimation.sop_bounds import Bounds
from bms_daemon.model import PowerAhead
from bms_daemon.offline.accuracy.power_recordings import Recording

LEAST_C = 0.8  # smaller pulses say more about millivolts at rest than about limits
STEADY = 0.02  # a pulse's current changes by no more than this share, and before it there is no more than this of it
LATE_S, EARLY_S = 0.06, 0.6  # how far the last row of a pulse may be from the horizon
NEAR_V = 0.5  # pulses that end as near to the lowest voltage test the limit itself
BEST, PUBLISHED = 0.0, CAUTION


@dataclass(frozen=True, slots=True)
class Pulse:
    """``before`` is the last row without current; ``voltage_v`` is that at the end, after ``span_s``."""

    before: int
    current_a: float
    voltage_v: float
    span_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """Pulses of a length (s) in one direction (``sign``: -1 discharge, 1 charge)."""

    file: CellFile
    recording: Recording
    horizon_s: float
    sign: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Allowed over measured current, less one: the best guess, and what is published. ``near`` the lowest voltage."""

    best: float
    published: float
    near: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """In per cent; ``near_error`` is the mean of ``near`` pulses alone, None without any."""

    pulses: int
    error: float
    optimistic: float
    cautious: float
    near: int
    near_error: float | None


def judged(task: Task) -> list[Judged]:
    """Follow the recording from its start, and ask before every pulse."""
    seen, cell = task.recording, Cell(task.file)
    asked = {pulse.before: pulse for pulse in pulses(seen, task.horizon_s, task.sign)}
    return [_judged(cell, state, asked[row], task) for row, state in _states(cell, seen) if row in asked]


def summary(found: Sequence[Judged]) -> Summary | None:
    """None without pulses."""
    if not found:
        return None
    best, published = (100.0 * np.array([getattr(each, name) for each in found]) for name in ("best", "published"))
    near = np.array([each.near for each in found])
    return Summary(
        len(found),
        float(np.abs(best).mean()),
        float(published.max()),
        float(published.mean()),
        int(near.sum()),
        float(np.abs(best[near]).mean()) if near.any() else None,
    )


def pulses(seen: Recording, horizon_s: float, sign: float) -> list[Pulse]:
    """Steady currents after rest that last for the horizon; longer ones count up to it."""
    flows = sign * seen.current_a >= LEAST_C * seen.capacity_ah
    begins = np.flatnonzero(flows[1:] & ~flows[:-1])
    found = (_pulse(seen, int(before), horizon_s) for before in begins)
    return [pulse for pulse in found if pulse is not None]


def _pulse(seen: Recording, before: int, horizon_s: float) -> Pulse | None:
    first = before + 1
    current_a, begun_s = seen.current_a[first], seen.time_s[first]
    last = int(np.searchsorted(seen.time_s, begun_s + horizon_s + LATE_S, side="right")) - 1
    unsteady = np.flatnonzero(np.abs(seen.current_a[first : last + 1] - current_a) > STEADY * abs(current_a))
    last = first + int(unsteady[0]) - 1 if unsteady.size else last
    short = seen.time_s[last] < begun_s + horizon_s - EARLY_S
    if short or abs(seen.current_a[before]) > STEADY * abs(current_a):
        return None
    return Pulse(before, float(current_a), float(seen.voltage_v[last]), float(seen.time_s[last] - begun_s))


def _states(cell: Cell, seen: Recording) -> Iterator[tuple[int, SocState]]:
    """The estimator row by row, told that the cell is full at the start."""
    state: SocState | None = None
    dt_s = np.diff(seen.time_s, prepend=seen.time_s[0])
    for row in range(seen.time_s.size):
        at = slice(row, row + 1)
        reading = Reading(float(dt_s[row]), seen.current_a[at], seen.voltage_v[at], seen.temp_degc[at])
        state = start(cell, reading, np.ones(1)) if state is None else step(cell, state, reading)
        yield row, state


def _judged(cell: Cell, state: SocState, pulse: Pulse, task: Task) -> Judged:
    """With the pulse's last voltage as the limit, its own current is the true limit."""
    amps, most_a = abs(pulse.current_a), 100.0 * cell.capacity_ah
    bounds = Bounds(pulse.voltage_v, pulse.voltage_v, most_a, most_a, -60.0, 200.0, -60.0, 200.0)
    best, published = (
        _allowed_a(power_ahead(cell, state, bounds, None, (pulse.span_s,), caution), task) / amps - 1.0
        for caution in (BEST, PUBLISHED)
    )
    near = task.sign < 0.0 and pulse.voltage_v <= task.recording.min_v + NEAR_V
    return Judged(best, published, near)


def _allowed_a(ahead: PowerAhead, task: Task) -> float:
    return float((ahead.discharge_a if task.sign < 0.0 else ahead.charge_a)[0])
