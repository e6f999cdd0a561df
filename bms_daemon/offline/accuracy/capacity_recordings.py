"""Cells that were cycled until they were worn out: their constant-current charges and measured capacities."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.charge_window import Curve
from bms_daemon.offline.recording import Table, read_table

CALCE_AH, NASA_AH = 1.1, 2.0  # nominal
FAILED_AH = 0.1  # a test that gave less has failed
END_V = 4.19  # above it a charger turns to constant voltage
CONSTANT = 0.97  # of the charge's current: less is no longer constant current
NEAR_CYCLES, SHORT = 3, 0.05  # a discharge that gave so much less or more than those beside it was not a full one
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Charge:
    """One constant-current charge before the discharge of a ``cycle``, which gave ``true_ah``; NaN if not measured."""

    cycle: int
    curve: Curve
    true_ah: float


@dataclass(frozen=True, slots=True)
class AgedCell:
    """A cell's recorded life in order."""

    name: str
    nominal_ah: float
    charges: tuple[Charge, ...]


def aged_cells(data: Path) -> list[AgedCell]:
    """Every cell with recorded charges that is there."""
    calce = [_calce(path) for path in sorted((data / "calce_cs2").glob("*_every*.csv.gz"))]
    return calce + [_nasa(path) for path in sorted((data / "nasa_pcoe").glob("*_charge_*.csv.gz"))]


def constant_current(time_s: FloatArray, current_a: FloatArray, voltage_v: FloatArray) -> Curve:
    """The first constant-current charge in some rows, up to END_V; empty where there is none."""
    charging = current_a[current_a > 0.0]
    if not charging.size:
        return Curve(charging, charging)
    steady = current_a >= CONSTANT * np.quantile(charging, 0.9)
    first = int(np.argmax(steady))
    ends = np.flatnonzero(~steady[first:])
    rows = slice(first, first + int(ends[0]) if ends.size else None)
    passed_as = np.diff(time_s[rows]) * 0.5 * (current_a[rows][1:] + current_a[rows][:-1])
    return Curve.of(voltage_v[rows], np.append(0.0, np.cumsum(passed_as)) / HOUR_S).up_to(END_V)


def full_only(capacity_ah: Sequence[float]) -> FloatArray:
    """Measured capacities in order, NaN where the discharge was cut short or failed."""
    known = np.array([ah if ah >= FAILED_AH else np.nan for ah in capacity_ah])
    usual = [
        np.nanmedian(known[max(0, at - NEAR_CYCLES) : at + NEAR_CYCLES + 1]) if np.isfinite(known[at]) else np.nan
        for at in range(known.size)
    ]
    return np.where(np.abs(known - usual) <= SHORT * np.array(usual), known, np.nan)


def _calce(path: Path) -> AgedCell:
    """The charge stands before the discharge in the same cycle."""
    name = path.name.split("_every")[0]
    rows = [row for row in _rows(path.parent / "capacity_vs_cycle.csv.gz") if row["cell"] == name]
    true_ah = dict(
        zip((int(row["cycle"]) for row in rows), full_only([_ah(row["q_dis_ah"]) for row in rows]), strict=True)
    )
    curves = _curves(read_table(path), "cycle")
    return AgedCell(
        name, CALCE_AH, tuple(Charge(at, curve, float(true_ah.get(at, np.nan))) for at, curve in curves)
    )


def _nasa(path: Path) -> AgedCell:
    """Tests are numbered; the discharge is the next test that is one, if no charge comes before it."""
    name = path.name.split("_charge")[0]
    rows = [row for row in _rows(path.parent / "metadata.csv.gz") if row["battery_id"] == name]
    tests = sorted((int(row["test_id"]), row) for row in rows if row["type"] in ("charge", "discharge"))
    discharges = [(number, _ah(row["Capacity"])) for number, row in tests if row["type"] == "discharge"]
    true_ah = dict(
        zip((number for number, _ in discharges), full_only([ah for _, ah in discharges]), strict=True)
    )
    following = {number: after for (number, _), (after, _) in pairwise(tests)}
    charges = []
    for test, curve in _curves(read_table(path), "test_id"):
        cycle = 1 + sum(number < test for number in true_ah)
        charges.append(Charge(cycle, curve, float(true_ah.get(following.get(test, -1), np.nan))))
    return AgedCell(name, NASA_AH, tuple(charges))


def _curves(table: Table, number: str) -> list[tuple[int, Curve]]:
    found = []
    for at in np.unique(table[number]):
        rows = table[number] == at
        curve = constant_current(table["time_s"][rows], table["current_A"][rows], table["voltage_V"][rows])
        found.append((int(at), curve))
    return [(at, curve) for at, curve in found if curve.voltage_v.size >= 2]


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _ah(text: str) -> float:
    return float(text) if text else float("nan")
