"""Recordings of pulses from rest, and fits that have not seen the pulses which are judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bms_daemon.config.cellfile import Identity
from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.recordings import (
    COLUMNS,
    LG_AH,
    PANASONIC_AH,
    lg_job,
    panasonic_job,
    write_csv,
)
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.job import Job
from bms_daemon.offline.cellfit.reading import Source
from bms_daemon.offline.recording import Table, read_table

LEAF_AH = 32.0  # counted in the pulse recordings
LEAF = Identity(name="Nissan Leaf 2013", chemistry="nmc", source="ORNL", capacity_ah=LEAF_AH, min_v=2.5, max_v=4.2)
LEAF_FILES = {10: "10C", 25: "25C-2", 40: "40C-1"}
LEAF_FIRST_C = 0.6  # the first pulse, before which the cell is full, is the first discharge of more than this
LEAF_REST_ROWS = 40  # of the hour of rest before it, one a minute
CHANGE = 0.02  # of the largest current: rows at such a change are kept, however fast they follow


@dataclass(frozen=True, slots=True)
class Recording:
    """What a cell's sensors saw from full on; arrays (rows,), one row a second and both rows of every change."""

    name: str
    capacity_ah: float
    min_v: float
    time_s: FloatArray
    current_a: FloatArray
    voltage_v: FloatArray
    temp_degc: FloatArray


def lg_pulses(data: Path, degc: int) -> Recording:
    """HPPC at a temperature: 1, 2, 4 and 6 times the capacity, of 10 s."""
    path = next((data / "lg_hg2" / f"{degc}degC").glob("*_HPPC.csv.gz"))
    return _thinned(f"LG {degc} degC", LG_AH, 2.8, read_table(path))


def panasonic_pulses(data: Path) -> Recording:
    """The same at 25 degC, 0.5 to 6 times the capacity."""
    path = data / "panasonic_18650pf" / "25degC" / "25degC_5Pulse_HPPC.csv.gz"
    return _thinned("Panasonic 25 degC", PANASONIC_AH, 2.5, read_table(path))


def leaf_pulses(data: Path, degc: int) -> Recording:
    """Pulses of 30 s with 0.9 times the capacity; there is no temperature column. From the full cell on."""
    table = read_table(data / "nissan_leaf_2013_cell" / f"NissanLeaf-cell-Low-Current-HPPC-{LEAF_FILES[degc]}.csv.gz")
    table["temp_C"] = np.full(table["time_s"].size, float(degc))
    first = int(np.flatnonzero(table["current_A"] < -LEAF_FIRST_C * LEAF_AH)[0])
    rested = {name: values[max(0, first - LEAF_REST_ROWS) :] for name, values in table.items()}
    return _thinned(f"Leaf {degc} degC", LEAF_AH, LEAF.min_v, rested)


def lg_without_pulses(data: Path, temperatures_degc: tuple[int, ...]) -> Job:
    """C/20 discharges and mixed cycles at these temperatures, no pulse recording at all."""
    job = lg_job(data, temperatures_degc)
    return replace(job, sources=tuple(each for each in job.sources if each.kind != "pulses"))


def panasonic_without_pulses(data: Path, scratch: Path) -> Job:
    """The C/20 discharge and the drive cycle."""
    job = panasonic_job(data, scratch)
    cycle = Source(data / "panasonic_18650pf" / "25degC" / "25degC_Cycle_1.csv.gz", "cycles")
    columns = COLUMNS.model_copy(update={"initial_soc": 1.0})
    return replace(job, columns=columns, sources=(job.sources[0], cycle))


def leaf_job(data: Path, scratch: Path, temperatures_degc: tuple[int, ...]) -> Job:
    """The pulse recordings of these temperatures: there is nothing else of this cell that tells resistances."""
    sources = []
    for degc in temperatures_degc:
        seen, path = leaf_pulses(data, degc), scratch / f"leaf_{degc}.csv"
        write_csv(path, {"time_s": seen.time_s, "current_a": seen.current_a, "voltage_v": seen.voltage_v})
        sources.append(Source(path, "pulses", float(degc)))
    return Job(tuple(sources), CellColumns(initial_soc=1.0), LEAF, 25.0)


def _thinned(name: str, capacity_ah: float, min_v: float, table: Table) -> Recording:
    """Rows of a second, and both rows of every change of current, as a daemon with samples of a second may see."""
    later = np.diff(table["time_s"], prepend=-np.inf) > 0.0
    columns = [table[each][later] for each in ("time_s", "current_A", "voltage_V", "temp_C")]
    time_s, current_a = columns[:2]
    change = np.append(False, np.abs(np.diff(current_a)) > CHANGE * np.abs(current_a).max())
    second = np.diff(np.floor(time_s), prepend=-np.inf) > 0.0
    keep = second | change | np.append(change[1:], True)
    return Recording(name, capacity_ah, min_v, *(column[keep] for column in columns))
