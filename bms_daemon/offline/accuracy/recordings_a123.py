"""G. Plett's recordings of an A123 LFP cell: for evaluation alone, so what is fitted to them is never shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bms_daemon.config.cellfile import Identity
from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.recordings import Drive, write_csv
from bms_daemon.offline.cellfit.columns import CellColumns
from bms_daemon.offline.cellfit.job import Job
from bms_daemon.offline.cellfit.reading import Source
from bms_daemon.offline.columns import Column
from bms_daemon.offline.recording import Table, read_table

A123_AH = 2.06
SLOW_EFFICIENCY = 0.9955  # of the slow tests, from their totals
SLOW_DEGC = {"N25": -25, "N15": -15, "N05": -5, "P05": 5, "P15": 15, "P25": 25, "P35": 35, "P45": 45}
DYNAMIC = {-5: "30_N05", 5: "45_P05", 25: "50_P25"}
A123 = Identity(name="A123 LFP", chemistry="lfp", source="Plett", capacity_ah=A123_AH, min_v=2.0, max_v=3.65)
COLUMNS = CellColumns(charge=Column(column="charge_ah"), temperature=Column(column="temperature_c"))


def a123_job(data: Path, scratch: Path) -> Job:
    """Slow discharges (S1) and charges (S3) at eight temperatures, and the dynamic test at 25 degC."""
    sources = [_slow(data, scratch, tag, script) for tag in SLOW_DEGC for script in (1, 3)]
    sources.append(Source(_written(scratch, a123_drive(data, 25)), "cycles", 25.0))
    return Job(tuple(sources), COLUMNS, A123, 25.0)


def a123_drive(data: Path, degc: int) -> Drive:
    """The dynamic test at a temperature. Truth by Plett: efficiency and capacity from the totals of three scripts."""
    first, second, third = (_dynamic(data, degc, script) for script in (1, 2, 3))
    out_ah = sum(_total(table["dis_ah"]) for table in (first, second, third))
    in_ah = sum(_total(table["chg_ah"]) for table in (first, second, third))
    efficiency = out_ah / in_ah
    capacity_ah = sum(_total(table["dis_ah"]) - efficiency * _total(table["chg_ah"]) for table in (first, second))
    return Drive(
        f"A123 {degc} degC dynamic",
        first["time_s"] - first["time_s"][0],
        -first["current_A"],
        first["voltage_V"],
        np.full(first["time_s"].size, float(degc)),
        1.0 - (first["dis_ah"] - efficiency * first["chg_ah"]) / capacity_ah,
    )


def _slow(data: Path, scratch: Path, tag: str, script: int) -> Source:
    name = f"A123_OCV_{tag}_S{script}"
    table = read_table(data / "plett_a123_lfp" / "ocv_data" / f"{name}.csv.gz")
    start = 1.0 if script == 1 else 0.0
    soc = start - (table["dis_ah"] - SLOW_EFFICIENCY * table["chg_ah"]) / A123_AH
    degc = float(SLOW_DEGC[tag])
    drive = Drive(
        name, table["time_s"], table["current_A"], table["voltage_V"], np.full(soc.size, degc), soc
    )
    return Source(_written(scratch, drive), "ocv", degc)


def _written(scratch: Path, drive: Drive) -> Path:
    """As a file whose counter is the true state of charge."""
    path = scratch / f"{drive.name.replace(' ', '_')}.csv"
    columns = {"time_s": drive.time_s, "current_a": drive.current_a, "voltage_v": drive.voltage_v}
    write_csv(path, {**columns, "temperature_c": drive.temp_degc, "charge_ah": (drive.soc - 1.0) * A123_AH})
    return path


def _dynamic(data: Path, degc: int, script: int) -> Table:
    return read_table(data / "plett_a123_lfp" / "dyn_data" / f"A123_DYN_{DYNAMIC[degc]}_s{script}.csv.gz")


def _total(counter_ah: FloatArray) -> float:
    return float(counter_ah[-1] - counter_ah[0])
