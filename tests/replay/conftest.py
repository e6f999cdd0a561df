"""Recordings for the tests of replay: two real cars, read with pyarrow alone, and short ones made up here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import structlog
from pyarrow import parquet

from bms_daemon.app import load_settings
from bms_daemon.config.schema import Settings
from bms_daemon.offline.recording import Recording

ROOT = Path(__file__).parents[2]
CARS = {"car2": (range(73, 89), (16, 17, 18, 19)), "car4": (range(28, 44), (29, 38, 40, 42))}

SERIES = {"car2": 88, "car4": 87}


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """The daemon's own log lines are not what these tests look at."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def nmc_settings() -> Settings:
    return load_settings(ROOT / "config" / "replay-16s-nmc.toml")


@dataclass(frozen=True)
class Car:
    """A recorded car as the file has it, and which rows are bad by the rules of replay, worked out here by itself."""

    path: Path
    time_s: np.ndarray
    dt_s: np.ndarray
    bad_value: np.ndarray

    @property
    def bad_time(self) -> np.ndarray:
        return (self.dt_s <= 0) | (self.dt_s > 60)


def read_car(folder: Path, name: str, every_cell: bool = False) -> Car:
    """With the sixteen cells of CARS, or with all that the car has."""
    path = folder / "ev_pack_faults_88cell" / f"{name}.parquet"
    table = parquet.read_table(path)
    cells, probes = CARS[name]
    cells = range(1, SERIES[name] + 1) if every_cell else cells
    volts = np.column_stack([table[f"V_{n}"].to_numpy().astype(float) for n in cells])
    degc = np.column_stack([table[f"T_{n}"].to_numpy().astype(float) for n in probes]) - 40.0
    time_s = table["time_s"].to_numpy().astype(float)
    bad = (np.isnan(volts) | (volts < 2.0) | (volts > 4.5)).any(axis=1) | ((degc < -39) | (degc > 120)).any(axis=1)
    return Car(path, time_s, np.diff(time_s, prepend=np.nan), bad)


def recording(time_s: list[float], cell_v: float = 3.7, current_a: float = -10.0, degc: float = 25.0) -> Recording:
    """Sixteen equal cells and four equal probes at these times."""
    rows = len(time_s)
    return Recording(
        np.array(time_s, dtype=float), np.full(rows, current_a), np.full((rows, 16), cell_v), np.full((rows, 4), degc)
    )
