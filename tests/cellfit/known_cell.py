"""A cell whose numbers are known, its voltage worked out row by row, and recordings of it as files.

Written without the product's code: what shares a mistake cannot find it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

CAPACITY_AH = 5.0
OCV_SOC = np.array([-0.1, 0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1])
NAMES = ("time_s", "current_a", "voltage_v", "temperature_c")
TAU_S = (2.0, 10.0, 60.0, 300.0, 1500.0)


@dataclass(frozen=True)
class KnownCell:
    """``cold_v_per_k`` is the same at every state of charge; resistances rise towards empty and with cold."""

    ocv_v: tuple[float, ...] = (2.7, 3.0, 3.3, 3.42, 3.53, 3.62, 3.7, 3.83, 3.98, 4.07, 4.18, 4.3)
    cold_v_per_k: float = 2e-4
    series_ohm: float = 0.012
    pairs_ohm: tuple[float, ...] = (0.003, 0.003, 0.004, 0.004, 0.002)
    branch_v: float = 0.0

    def open_circuit_v(self, soc: np.ndarray, degc: np.ndarray) -> np.ndarray:
        return np.interp(soc, OCV_SOC, self.ocv_v) + np.minimum(degc - 25.0, 0.0) * self.cold_v_per_k

    @staticmethod
    def factor(soc: np.ndarray, degc: np.ndarray) -> np.ndarray:
        """Of every resistance, to that at 25 degC and above 30 % charge."""
        growth = 0.73 + 0.27 * np.exp(4800.0 * (1.0 / (273.15 + degc) - 1.0 / 298.15))
        return growth * np.interp(soc, [0.0, 0.3, 1.0], [1.5, 1.0, 1.0])

    @property
    def total_ohm(self) -> float:
        return self.series_ohm + sum(self.pairs_ohm)


LFP = KnownCell(
    ocv_v=(2.2, 2.6, 3.1, 3.2, 3.25, 3.285, 3.292, 3.3, 3.328, 3.33, 3.42, 3.6), cold_v_per_k=0.0, branch_v=0.01
)


@dataclass(frozen=True)
class Played:
    """Rows of a recording; arrays of one length."""

    time_s: np.ndarray
    current_a: np.ndarray
    voltage_v: np.ndarray
    temperature_c: np.ndarray
    soc: np.ndarray

    def rows(self, picked: np.ndarray | slice) -> Played:
        return Played(*(getattr(self, name)[picked] for name in self.__dataclass_fields__))

    def changed(self, **arrays: np.ndarray) -> Played:
        return replace(self, **arrays)

    @property
    def counted_ah(self) -> np.ndarray:
        return (self.soc - self.soc[0]) * CAPACITY_AH


def play(cell: KnownCell, time_s: np.ndarray, current_a: np.ndarray, degc: float = 25.0, soc: float = 1.0) -> Played:
    """A current that stands until the next row, from rest; full cells come from a charge."""
    dt_s = np.diff(time_s)
    along = soc + np.append(0.0, np.cumsum(current_a[:-1] * dt_s)) / 3600.0 / CAPACITY_AH
    degcs = np.full(time_s.size, degc)
    factor = cell.factor(along, degcs)
    knee_a = 3.0 * CAPACITY_AH / cell.factor(np.ones(1), np.full(1, degc))[0]
    states, branch = [0.0] * len(TAU_S), 1.0 if soc > 0.95 else -1.0 if soc < 0.05 else 0.0
    memory = np.zeros(time_s.size)
    memory[0] = branch * cell.branch_v
    for row, step_s in enumerate(dt_s):
        drive_a = knee_a * math.asinh(current_a[row] / knee_a) * factor[row]
        for pair, tau_s in enumerate(TAU_S):
            aim_v = cell.pairs_ohm[pair] * drive_a
            states[pair] = aim_v + (states[pair] - aim_v) * math.exp(-step_s / tau_s)
        share = math.exp(-50.0 * abs(current_a[row]) * step_s / 3600.0 / CAPACITY_AH)
        branch = branch * share + math.copysign(1.0, current_a[row]) * (1.0 - share)
        memory[row + 1] = sum(states) + branch * cell.branch_v
    voltage_v = cell.open_circuit_v(along, degcs) + cell.series_ohm * factor * current_a + memory
    return Played(time_s, current_a, voltage_v, degcs, along)


def slow(cell: KnownCell, degc: float = 25.0) -> Played:
    """C/20 down to empty, an hour of rest, up again; a row a minute."""
    current_a = np.concatenate([np.full(1200, -0.25), np.zeros(60), np.full(1200, 0.25), np.zeros(30)])
    return play(cell, 60.0 * np.arange(current_a.size), current_a, degc)


def pulses(cell: KnownCell, degc: float = 25.0) -> Played:
    """At every tenth of the capacity: 10 s of 1 C down, a minute's rest, 10 s up, then on and an hour of rest."""
    one = [(-CAPACITY_AH, 10.0, 0.5), (0.0, 60.0, 2.0), (CAPACITY_AH, 10.0, 0.5), (0.0, 60.0, 2.0)]
    on = [(-CAPACITY_AH / 2.0, 720.0, 5.0), (0.0, 3600.0, 20.0)]
    time_s, current_a, now_s = [], [], 0.0
    for amps, long_s, every_s in (one + on) * 9:
        rows = np.arange(0.0, long_s, every_s)
        time_s.append(now_s + rows)
        current_a.append(np.full(rows.size, amps))
        now_s += long_s
    return play(cell, np.concatenate(time_s), np.concatenate(current_a), degc)


def cycle(
    cell: KnownCell, seed: int, degc: float = 25.0, down_c: float = 0.6, hold: tuple[int, int] = (10, 40)
) -> Played:
    """Driving until 10 % are left: a new current after so many seconds, more down than up."""
    random = np.random.default_rng(seed)
    seconds = int(0.9 / down_c * 3600.0)
    parts: list[np.ndarray] = []
    while sum(part.size for part in parts) < seconds:
        amps = CAPACITY_AH * np.clip(random.normal(-down_c, 0.8), -2.5, 1.0)
        parts.append(np.full(random.integers(*hold), amps))
    current_a = np.concatenate([np.zeros(5), np.concatenate(parts)[:seconds]])
    current_a[5:] -= current_a[5:].mean() + CAPACITY_AH * down_c
    return play(cell, np.arange(current_a.size, dtype=float), current_a, degc)


def write(path: Path, played: Played, names: Sequence[str] = NAMES) -> Path:
    """A file with a column for each name; a name beyond the usual four is the counter's."""
    values = [played.time_s, played.current_a, played.voltage_v, played.temperature_c, played.counted_ah]
    table = np.column_stack(values[: len(names)])
    np.savetxt(path, table, fmt="%.5f", delimiter=",", header=",".join(names), comments="")
    return path
