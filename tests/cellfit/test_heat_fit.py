"""Heat capacity and thermal resistance come back from made-up recordings, and are refused where nothing tells them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bms_daemon.config.cellfile import CellFile
from bms_daemon.estimation.cell import Cell
from bms_daemon.offline.cellfit.heat import fit_heat
from bms_daemon.offline.cellfit.trace import Trace

CAPACITY, RESISTANCE, OHM = 60.0, 7.0, 0.05


def cell(slope_v_per_k: float = 0.0) -> Cell:
    soc, slopes = (0.0, 1.0), (slope_v_per_k,) * 2
    table = {
        "schema": 1,
        "cell": {"name": "warm", "chemistry": "nmc", "source": "x", "capacity_ah": 2.0, "min_v": 2.5, "max_v": 4.5},
        "ocv": {"soc": soc, "voltage_v": (3.0, 4.2), "cold_v_per_k": slopes, "warm_v_per_k": slopes},
        "resistance": {
            "soc": soc, "temperature_degc": (25.0,), "series_ohm": ((OHM, OHM),), "tau_s": (10.0,),
            "pair_ohm": (((0.0, 0.0),),),
        },
    }  # fmt: skip
    return Cell(CellFile.model_validate(table))


def drive(chamber_degc: float, seed: int, hours: float = 3.0, slope_v_per_k: float = 0.0) -> Trace:
    """A new current every five minutes or so, the temperature worked out second by second and rounded as logged."""
    random = np.random.default_rng(seed)
    seconds = int(3600 * hours)
    current_a = np.repeat(random.uniform(-6.0, 4.0, seconds // 300 + 1), 300)[:seconds]
    degc = np.empty(seconds)
    degc[0] = chamber_degc
    for row in range(seconds - 1):
        amps, kelvin = current_a[row], degc[row] - chamber_degc
        heat_w = OHM * amps**2 + amps * (273.15 + degc[row]) * slope_v_per_k
        degc[row + 1] = degc[row] + (heat_w - kelvin / RESISTANCE) / CAPACITY
    soc = 0.7 + np.cumsum(current_a) / 3600.0 / 200.0
    known = cell(slope_v_per_k)
    voltage_v = known.ocv_v(soc, degc) + OHM * current_a
    time_s, gap = np.arange(float(seconds)), np.zeros(seconds, dtype=bool)
    return Trace("made up", "cycles", time_s, current_a, voltage_v, np.round(degc, 1), soc, gap, 0.0, ())


def test_numbers_come_back_whatever_the_chambers() -> None:
    found = fit_heat(cell(), [drive(5.0, 1), drive(24.0, 2)])
    assert found is not None
    assert found.capacity_j_per_k == pytest.approx(CAPACITY, rel=0.1)
    assert found.resistance_k_per_w == pytest.approx(RESISTANCE, rel=0.1)


def test_heat_of_reaction_is_counted() -> None:
    found = fit_heat(cell(1.5e-4), [drive(20.0, 3, slope_v_per_k=1.5e-4), drive(20.0, 4, slope_v_per_k=1.5e-4)])
    assert found is not None
    assert found.capacity_j_per_k == pytest.approx(CAPACITY, rel=0.1)
    blind = fit_heat(cell(), [drive(20.0, 3, slope_v_per_k=1.5e-4), drive(20.0, 4, slope_v_per_k=1.5e-4)])
    assert blind is None or abs(blind.capacity_j_per_k / CAPACITY - 1.0) > 0.1


def test_a_sensor_that_jumps_now_and_then_does_not_matter() -> None:
    good = drive(20.0, 5, hours=6.0)
    degc = good.temperature_degc.copy()
    degc[5::2000] += 200.0
    found = fit_heat(cell(), [replace(good, temperature_degc=degc)])
    assert found is not None
    assert found.capacity_j_per_k == pytest.approx(CAPACITY, rel=0.1)


def still(trace: Trace) -> Trace:
    return replace(trace, temperature_degc=np.full(trace.time_s.size, 25.0))


def idle(trace: Trace) -> Trace:
    nothing = np.zeros(trace.time_s.size)
    volts = cell().ocv_v(trace.soc, trace.temperature_degc)
    return replace(trace, current_a=nothing, voltage_v=volts)


def noise(trace: Trace) -> Trace:
    return replace(trace, temperature_degc=25.0 + np.random.default_rng(1).normal(0.0, 1.0, trace.time_s.size))


def slow(trace: Trace) -> Trace:
    return replace(trace, kind="ocv")


def short(trace: Trace) -> Trace:
    names = ("time_s", "current_a", "voltage_v", "temperature_degc", "soc", "gap")
    return replace(trace, **{name: getattr(trace, name)[:3600] for name in names})


@pytest.mark.parametrize("spoil", [still, idle, noise, slow, short])
def test_recordings_that_do_not_tell_are_refused(spoil: object) -> None:
    assert fit_heat(cell(), [spoil(drive(20.0, 6))]) is None  # type: ignore[operator]


def test_no_recording_tells_nothing() -> None:
    assert fit_heat(cell(), []) is None
