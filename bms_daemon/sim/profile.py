"""What the world beyond the DC link asks of the pack over time: current profiles, charger, load, obedience."""

from __future__ import annotations

import csv
import gzip
import zlib
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from math import inf, pi
from pathlib import Path
from typing import IO, cast

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.settings import Constant, Household, Outside, Profile, Recorded, Steps

DAY_S = 86400.0
MINUTES = 1440
Demand = Callable[[float], float]
"""Seconds since the start -> amperes, positive when charging."""


def demand_of(profile: Profile, seed: int = 0) -> Demand:
    """The profile as a function of time. A recorded file is read here; raises ValueError when it does not fit."""
    match profile:
        case Constant():
            return lambda time_s: profile.current_a
        case Steps():
            times, currents = np.array(sorted(profile.points)).T
            return _held(times.tolist(), currents.tolist(), profile.period_s or inf)
        case Household():
            return _household(profile, seed)
        case Recorded():
            times_s, currents_a = read_recording(profile)
            period_s = times_s[-1] if profile.repeat and times_s[-1] > 0.0 else inf
            return _held(times_s, currents_a, period_s)


def _held(times_s: list[float], currents_a: list[float], period_s: float) -> Demand:
    """Each current holds until the next time; nothing flows before the first."""

    def current_a(time_s: float) -> float:
        at_s = time_s % period_s if period_s < inf else time_s
        index = bisect_right(times_s, at_s) - 1
        return currents_a[index] if index >= 0 else 0.0

    return current_a


def household_day_a(profile: Household, day: int, seed: int) -> FloatArray:
    """One day's current minute by minute from midnight, shape (1440,). Same day and seed, same currents."""
    rng = np.random.default_rng([seed, day])
    hours = np.arange(MINUTES) / 60.0
    elevation = np.clip(np.sin((hours - 6.0) / 12.0 * pi), 0.0, None)
    cloud = 1.0 - 0.6 * rng.random() * np.abs(np.interp(hours, np.arange(25), rng.uniform(-1.0, 1.0, 25)))
    evening = np.exp(-(((hours - 19.5) / 1.8) ** 2))
    load_a = profile.base_a + profile.evening_a * evening
    ripple = 1.0 + profile.noise * np.clip(rng.standard_normal(MINUTES), -3.0, 3.0)
    return profile.solar_a * elevation * cloud - load_a * ripple


def _household(profile: Household, seed: int) -> Demand:
    @lru_cache(maxsize=2)
    def day_a(day: int) -> list[float]:
        return cast(list[float], household_day_a(profile, day, seed).tolist())

    def current_a(time_s: float) -> float:
        day, second = divmod(time_s + profile.start_hour * 3600.0, DAY_S)
        return day_a(int(day))[int(second / 60.0)]

    return current_a


def _open_text(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def read_recording(profile: Recorded) -> tuple[list[float], list[float]]:
    """Times from 0 in s and currents in A. Raises ValueError for missing columns, no rows, backward time; OSError."""
    try:
        pairs = np.array(_pairs(profile))
    except (csv.Error, EOFError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"{profile.file}: {error}") from error
    times_s, currents_a = pairs.T
    if not np.all(np.isfinite(pairs)):
        raise ValueError(f"{profile.file}: a value that is not a number")
    if np.any(np.diff(times_s) < 0.0):
        raise ValueError(f"{profile.file}: {profile.time_column} runs backwards")
    return (times_s - times_s[0]).tolist(), (profile.sign * currents_a).tolist()


def _pairs(profile: Recorded) -> list[tuple[float, float]]:
    with _open_text(profile.file) as stream:
        rows = csv.DictReader(stream)
        missing = {profile.time_column, profile.current_column} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        pairs = [(float(row[profile.time_column]), float(row[profile.current_column])) for row in rows]
    if not pairs:
        raise ValueError("no rows")
    return pairs


class OutsideWorld:
    """Charger and load. ``override_a`` and ``short_ohm`` are a test's way past every limit; None: not in force."""

    def __init__(self, settings: Outside, demand: Demand) -> None:
        self._settings = settings
        self.demand = demand
        self.override_a: float | None = None
        self.short_ohm: float | None = None
        self.charge_limit_a = inf
        self.discharge_limit_a = inf

    def publish(self, charge_a: float, discharge_a: float) -> None:
        """Limits as the pack publishes them, magnitudes; a world that does not obey ignores them."""
        if self._settings.obey_limits:
            self.charge_limit_a, self.discharge_limit_a = charge_a, discharge_a

    def current_a(self, time_s: float, emf_v: float, ohm: float) -> float:
        """What flows into a pack of this open-circuit voltage and resistance, were it connected."""
        collapse_a = -emf_v / ohm
        if self.short_ohm is not None:
            return -emf_v / (ohm + self.short_ohm)
        if self.override_a is not None:
            return max(self.override_a, collapse_a)
        asked_a = min(max(self.demand(time_s), -self.discharge_limit_a), self.charge_limit_a)
        return max(self._within_voltage(asked_a, emf_v, ohm), collapse_a)

    def _within_voltage(self, asked_a: float, emf_v: float, ohm: float) -> float:
        """Constant voltage at the top, the same at the bottom."""
        top_v, bottom_v = self._settings.charge_stop_v, self._settings.discharge_stop_v
        if asked_a > 0.0 and top_v is not None:
            return min(asked_a, max(0.0, (top_v - emf_v) / ohm))
        if asked_a < 0.0 and bottom_v is not None:
            return max(asked_a, min(0.0, (bottom_v - emf_v) / ohm))
        return asked_a
