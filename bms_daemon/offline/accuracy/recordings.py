"""Recordings of real cells with their true state of charge, and fits that may not see what is evaluated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bms_daemon.config.cellfile import Identity
from bms_daemon.model import FloatArray
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.job import Job
from bms_daemon.offline.cellfit.reading import Source
from bms_daemon.offline.columns import Column
from bms_daemon.offline.recording import Table, one, read_table

COLUMNS = CellColumns(
    current=Column(column="current_A"),
    voltage=Column(column="voltage_V"),
    temperature=Column(column="temp_C"),
    charge=Column(column="ah"),
)
LG_AH, PANASONIC_AH = 2.780, 2.997  # C/20 discharges at 25 degC
LG_DEGC = (0, 10, 25)
PANASONIC_WARM_DEGC = 20.0  # the C/20 test goes on in a cold chamber
LG = Identity(name="LG 18650HG2", chemistry="nmc", source="Kollmeyer", capacity_ah=LG_AH, min_v=2.8, max_v=4.2)
PANASONIC = Identity(
    name="Panasonic 18650PF", chemistry="nmc", source="Kollmeyer", capacity_ah=PANASONIC_AH, min_v=2.5, max_v=4.2
)


@dataclass(frozen=True, slots=True)
class Drive:
    """What a cell's sensors saw, and its true state of charge; arrays of shape (rows,)."""

    name: str
    time_s: FloatArray
    current_a: FloatArray
    voltage_v: FloatArray
    temp_degc: FloatArray
    soc: FloatArray

    @property
    def digest(self) -> str:
        """The same for the same contents."""
        arrays = self.time_s, self.current_a, self.voltage_v, self.temp_degc, self.soc
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def lg_cycles(data: Path, degc: int) -> list[Path]:
    """The mixed cycles at a temperature by their number; the last one is held out of every fit."""
    found = (data / "lg_hg2" / f"{degc}degC").glob("*_Mixed*.csv.gz")
    return sorted(found, key=lambda path: int(re.findall(r"Mixed(\d+)", path.name)[0]))


def lg_job(data: Path, temperatures_degc: tuple[int, ...]) -> Job:
    """Everything at these temperatures but each one's last mixed cycle."""
    sources: list[Source] = []
    for degc in temperatures_degc:
        folder = data / "lg_hg2" / f"{degc}degC"
        sources += [Source(path, "ocv") for path in sorted(folder.glob("*C20*.csv.gz"))]
        sources += [Source(path, "pulses") for path in sorted(folder.glob("*HPPC*.csv.gz"))]
        sources += [Source(path, "cycles") for path in lg_cycles(data, degc)[:-1]]
    return Job(tuple(sources), COLUMNS, LG, 25.0)


def lg_drive(path: Path) -> Drive:
    """One mixed cycle."""
    name = f"LG {path.parent.name.removesuffix('degC')} degC {path.name.split('_')[1].removesuffix('.csv.gz')}"
    return _drive(name, path, LG_AH)


def panasonic_job(data: Path, scratch: Path) -> Job:
    """C/20 and pulses: no drive cycle. Of the C/20 test ``scratch`` gets the rows of the warm chamber."""
    folder = data / "panasonic_18650pf" / "25degC"
    table = read_table(folder / "C20_OCV_Test_C20_25dC.csv.gz")
    warm = table["temp_C"] > PANASONIC_WARM_DEGC
    slow = scratch / "panasonic_c20.csv"
    write_csv(slow, {name: table[name][warm] for name in ("time_s", "current_A", "voltage_V", "temp_C", "ah")})
    pulses = folder / "25degC_5Pulse_HPPC.csv.gz"
    return Job((Source(slow, "ocv"), Source(pulses, "pulses")), COLUMNS, PANASONIC, 25.0)


def panasonic_drive(data: Path) -> Drive:
    """The one drive cycle that there is."""
    path = data / "panasonic_18650pf" / "25degC" / "25degC_Cycle_1.csv.gz"
    return _drive("Panasonic 25 degC Cycle 1", path, PANASONIC_AH)


def write_csv(path: Path, columns: Mapping[str, FloatArray]) -> None:
    """A file that a fit can read."""
    rows = np.column_stack(list(columns.values()))
    np.savetxt(path, rows, fmt="%.9g", delimiter=",", header=",".join(columns), comments="")


def _drive(name: str, path: Path, capacity_ah: float) -> Drive:
    table: Table = read_table(path)
    time_s, current_a, voltage_v, temp_degc = (
        one(table, column, path) for column in (COLUMNS.time, COLUMNS.current, COLUMNS.voltage, COLUMNS.temperature)
    )
    return Drive(name, time_s - time_s[0], current_a, voltage_v, temp_degc, 1.0 + table["ah"] / capacity_ah)
