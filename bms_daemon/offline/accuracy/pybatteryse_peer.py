"""pybatteryse's extended Kalman filter on a model that pybatteryid identifies, as the README files of both show it.

The open-circuit curve is that of our fit; order, basis functions, optimizers and variances are those of the README.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
from pybatteryid import ModelStructure
from pybatteryid.identification import identify_model
from pybatteryse import load_filter, load_statespace_representation

from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.tables import KELVIN, REFERENCE_K
from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.protocol import Inputs
from bms_daemon.offline.accuracy.recordings import lg_drive
from bms_daemon.offline.accuracy.score import Estimated
from bms_daemon.offline.cellfit.job import Job

ORDER, NONLINEARITY = 2, 2
BASIS = ["1/s", "log[s]", "s", "exp[0.05*sqrt[|i|]]", "exp[[0.00366*T+1]^-1]", "d[0.01,0.99]"]
OPTIMIZERS = ["lassocv.sklearn", "ridgecv.sklearn"]
CURRENT_VARIANCE, VOLTAGE_VARIANCE, STATE_VARIANCE = 1e-2, 1e-3, 0.1
START_SIGMA = 0.15
MARGIN_SOC = 0.001  # it wants to stay within the curve
Columns = dict[str, FloatArray | float]


class Identified:
    """A model of the mixed cycles that a job names."""

    def __init__(self, job: Job) -> None:
        self._cycles = [lg_drive(source.path) for source in job.sources if source.kind == "cycles"]

    def run(self, cell: Cell, seen: Inputs) -> Estimated:
        """Rows are taken to be a second apart: the library knows one sampling period."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            space = load_statespace_representation(self._identify(cell), state_components=["s", "overpotentials"])
            found = [_run(space, seen, run) for run in range(seen.start_soc.size)]
        return Estimated(np.stack([soc for soc, _ in found], axis=1), np.stack([sigma for _, sigma in found], axis=1))

    def _identify(self, cell: Cell) -> object:
        ocv = cell.file.ocv
        structure = ModelStructure(cell.capacity_ah * 3600.0, 1)
        structure.add_emf_function(
            {
                "soc_values": np.array(ocv.soc),
                "voltage_values": np.array(ocv.voltage_v),
                "reference_temperature_value": REFERENCE_K - KELVIN,
                "dVdT_values": np.array(ocv.cold_v_per_k),
            }
        )
        structure.add_basis_functions(BASIS)
        data = [
            _columns(drive.current_a, drive.voltage_v, drive.temp_degc, min(1.0, float(drive.soc[0])))
            for drive in self._cycles
        ]
        return identify_model(data, structure, ORDER, NONLINEARITY, OPTIMIZERS)


def _run(space: object, seen: Inputs, run: int) -> tuple[FloatArray, FloatArray]:
    kalman = load_filter(
        space, "extended_kalman_filter", variance_eta_u=CURRENT_VARIANCE, variance_eta_y_e=VOLTAGE_VARIANCE
    )
    start = min(1.0, float(seen.start_soc[run])) - MARGIN_SOC
    mean, cov = kalman.run(
        dataset=_columns(seen.current_a[:, run], seen.voltage_v[:, run], seen.temp_degc, start),
        initial_state=np.array([start] + [0.0] * ORDER),
        initial_covariance=np.diag([START_SIGMA**2] + [STATE_VARIANCE] * ORDER),
    )
    return mean[:, 0], np.sqrt(cov[:, 0, 0])


def _columns(current_a: FloatArray, voltage_v: FloatArray, temp_degc: FloatArray, soc: float) -> Columns:
    return {
        "initial_soc": soc,
        "time_values": np.arange(current_a.size, dtype=float),
        "current_values": current_a,
        "voltage_values": voltage_v,
        "temperature_values": temp_degc,
    }
