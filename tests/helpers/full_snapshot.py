"""A snapshot of everything, for what shows snapshots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bms_daemon import model as m

NAN = math.nan


def channel(value: Any, quality: m.Quality = m.Quality.GOOD) -> m.Channel[Any]:
    return m.Channel(value, 9.9, 0.1, quality, True, True, "")


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
        health=m.Health(),
    )
    fault = m.Fault("CELL_OV", 1, m.Domain.ELECTRICAL, m.Reaction.BLOCK_C, True, 9.0, 3.66, 3.65, 4)
    return m.Snapshot(
        node=2,
        now_s=10.0,
        tick=500,
        measured=measured,
        estimate=m.Estimate(),
        faults=m.Faults((fault,), ("CELL_OV",)),
        limits=m.Limits(charge_a=0.0, charge_binding=m.Binding.FAULT),
        control=m.Control(m.PackState.RECOVERY_CHARGE),
        command=m.Command(),
        actuated=m.Actuated(),
    )
