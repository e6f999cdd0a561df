"""What is done to a drive before an estimator sees it: wrong starts and wrong sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.accuracy.recordings import Drive

START, OFFSET_C, GAIN, VOLTAGE_V = -0.2, 1.0 / 60.0, 0.01, 0.005


@dataclass(frozen=True, slots=True)
class Disturbance:
    """``soc`` is added to the true start, ``offset_c`` times the capacity to the current after ``gain``."""

    name: str
    soc: float = 0.0
    offset_c: float = 0.0
    gain: float = 1.0
    voltage_v: float = 0.0


NONE = Disturbance("none")
WRONG_START = Disturbance("wrong start", soc=START)
OFFSETS = Disturbance("offset +C/60", offset_c=OFFSET_C), Disturbance("offset -C/60", offset_c=-OFFSET_C)
GAINS = Disturbance("gain +1 %", gain=1.0 + GAIN), Disturbance("gain -1 %", gain=1.0 - GAIN)
VOLTAGES = Disturbance("voltage +5 mV", voltage_v=VOLTAGE_V), Disturbance("voltage -5 mV", voltage_v=-VOLTAGE_V)
TOGETHER = (
    Disturbance("all together +", START, OFFSET_C, 1.0 + GAIN, VOLTAGE_V),
    Disturbance("all together -", START, -OFFSET_C, 1.0 - GAIN, -VOLTAGE_V),
)
START_AND_OFFSET = (
    Disturbance("wrong start, offset +C/60", START, OFFSET_C),
    Disturbance("wrong start, offset -C/60", START, -OFFSET_C),
)
ALL = (NONE, WRONG_START, *OFFSETS, *GAINS, *VOLTAGES, *TOGETHER)
SOME = (NONE, WRONG_START, *TOGETHER)
WITHOUT_OFFSET = (NONE, WRONG_START)
WITH_OFFSET = (*OFFSETS, *START_AND_OFFSET)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an estimator sees of a drive, one column a disturbance.

    ``dt_s`` (rows,) from the row before, 0 for the first; ``current_a`` and ``voltage_v`` (rows, runs);
    ``temp_degc`` (rows,); ``start_soc`` (runs,).
    """

    dt_s: FloatArray
    current_a: FloatArray
    voltage_v: FloatArray
    temp_degc: FloatArray
    start_soc: FloatArray


def inputs(drive: Drive, capacity_ah: float, disturbances: Sequence[Disturbance]) -> Inputs:
    """Disturb a drive in several ways at once."""
    gain = np.array([each.gain for each in disturbances])
    offset_a = np.array([each.offset_c for each in disturbances]) * capacity_ah
    return Inputs(
        np.diff(drive.time_s, prepend=drive.time_s[0]),
        drive.current_a[:, None] * gain + offset_a,
        drive.voltage_v[:, None] + np.array([each.voltage_v for each in disturbances]),
        drive.temp_degc,
        drive.soc[0] + np.array([each.soc for each in disturbances]),
    )
