"""A snapshot of everything, for what shows snapshots."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from bms_daemon import model as m

NAN = math.nan


def channel(value: Any, quality: m.Quality = m.Quality.GOOD) -> m.Channel[Any]:
    return m.Channel(value, 9.9, 0.1, quality, True, True, "")


def estimate(**parts: Any) -> m.Estimate:
    """A pack at 75 %, charged last an hour ago, that discharges; parts replaced by name."""
    whole = m.Estimate(
        soc=0.75,
        soc_sigma=0.02,
        soc_valid=True,
        capacity_ah=100.0,
        ageing=m.Ageing(0.942, 0.011, 1.31, 0.04, m.CapacitySource.PARTIAL_CHARGE, 3600.0),
        remaining=m.Remaining(73.06, 24.9, 3891.4, 104.2, 21915.0, math.inf),
        power=m.PowerAhead(
            np.array([101.0, 100.5, 99.96, 80.0, 40.0]),
            np.array([5301.0, 5290.0, 5259.0, 4200.0, 2100.0]),
            np.array([50.0, 50.0, 50.0, 45.0, 20.0]),
            np.array([2701.0, 2700.0, 2699.0, 2400.0, 1050.0]),
            (m.Binding.RATED, m.Binding.RATED, m.Binding.CELL_VOLTAGE, m.Binding.CELL_VOLTAGE, m.Binding.SOC),
            (m.Binding.RATED, m.Binding.RATED, m.Binding.RATED, m.Binding.CELL_VOLTAGE, m.Binding.TEMPERATURE),
        ),
        cells=m.CellStates(
            np.array([0.75, 0.76]), np.array([0.02, 0.02]), np.array([94.2, 99.0]), np.array([1.31, 1.1])
        ),
    )
    return replace(whole, **parts)


def snapshot(cells: int = 16, quality: m.Quality = m.Quality.GOOD) -> m.Snapshot:
    scan = m.AfeScan(
        cell_v=np.linspace(3.3, 3.4, cells),
        stack_v=53.6,
        pack_v=53.5,
        link_v=NAN,
        current_a=-12.5,
        conversions=77,
        trips=m.Trip.OVER_VOLTAGE | m.Trip.INTERNAL,
    )
    measured = m.Measured(
        now_s=10.0,
        dt_s=0.02,
        cells=channel(scan, quality),
        temps=channel(m.TempScan(np.array([21.5, NAN]), 30.0)),
        shunt=m.Channel(),
        pins=channel(m.Pins(interlock_ok=True)),
        vcu=channel(m.VcuRequest(m.Request.CLOSE, False, True)),
        can=m.CanHealth(),
        doubts=m.Doubt.CELL_RANGE,
        frozen_s=0.0,
        lateness_s=0.0,
        late_run_s=0.0,
        orders=m.Orders(),
        current_a=-12.5,
        pack_v=53.5,
        link_v=NAN,
        current_s=9.9,
        current_fresh=True,
        terminals=quality,
        health=m.Health(),
    )
    fault = m.Fault("CELL_OV", 1, m.Domain.ELECTRICAL, m.Reaction.BLOCK_C, True, 9.0, 3.66, 3.65, 4)
    return m.Snapshot(
        node=2,
        now_s=10.0,
        tick=500,
        measured=measured,
        estimate=estimate(soc=NAN, soc_sigma=1.0, soc_valid=False),
        faults=m.Faults((fault,), ("CELL_OV",)),
        limits=m.Limits(charge_a=0.0, charge_binding=m.Binding.FAULT),
        control=m.Control(m.PackState.RECOVERY_CHARGE),
        command=m.Command(),
        actuated=m.Actuated(),
    )
