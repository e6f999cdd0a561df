"""Judgements on one sample: absent cells, ranges, sum against stack, dead probes. Nothing is repaired or voted away."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np

from bms_daemon.config.schema import CellLimits, TemperatureLimits
from bms_daemon.model import AfeScan, Doubt, ShuntReading, TempScan

ABSENT_V = 0.1  # a connected cell never reads less; 0x0000 and 0xFFFF (-1 mV) do


def doubt_cells(scan: AfeScan, limits: CellLimits, series: int, needs_current: bool) -> tuple[Doubt, str]:
    """What is wrong with a scan, and why it is refused; an empty reason means that the values are used.

    A sum that does not match the stack is doubted and not refused: an over-charged cell among them must still trip.
    """
    cell_v = scan.cell_v
    if scan.was_reset:
        return Doubt.RESET, "the chip was reset"
    if cell_v.shape != (series,):
        return Doubt.CELL_MISSING, f"{cell_v.size} cells answered, {series} are configured"
    low_v, high_v = float(cell_v.min()), float(cell_v.max())
    if not (low_v >= limits.valid_min_v and high_v <= limits.valid_max_v):
        return _refuse(scan, limits)
    blind = needs_current and not isfinite(scan.current_a)
    return _doubt_sum(scan, limits), "no current in the scan" if blind else ""


def _refuse(scan: AfeScan, limits: CellLimits) -> tuple[Doubt, str]:
    absent = ~(scan.cell_v >= ABSENT_V)
    count = int(absent.sum())
    if count == absent.size:
        return Doubt.CELLS_ABSENT, "every cell reads as absent"
    if count:
        return Doubt.CELL_MISSING, f"cell {int(np.argmax(absent)) + 1} reads as absent"
    outside = (scan.cell_v < limits.valid_min_v) | (scan.cell_v > limits.valid_max_v)
    where = int(np.argmax(outside))
    return Doubt.CELL_RANGE, f"cell {where + 1} reads {scan.cell_v[where]:.3f} V"


def _doubt_sum(scan: AfeScan, limits: CellLimits) -> Doubt:
    apart_v = abs(float(scan.cell_v.sum()) - scan.stack_v)
    return Doubt.NONE if apart_v <= limits.sum_tolerance_v else Doubt.SUM_STACK


def doubt_temps(scan: TempScan, limits: TemperatureLimits) -> tuple[Doubt, TempScan | None]:
    """Blank probes that are open, shorted or lost (NaN); refuse the scan when too few are left."""
    good = (scan.probe_degc >= limits.valid_min_degc) & (scan.probe_degc <= limits.valid_max_degc)
    left = int(good.sum())
    few = Doubt.PROBES_FEW if left < limits.probes_required else Doubt.NONE
    if left == 0:
        return Doubt.PROBE_RANGE | few, None
    if left == good.size:
        return few, scan
    return Doubt.PROBE_RANGE | few, replace(scan, probe_degc=np.where(good, scan.probe_degc, np.nan))


def judge_shunt(reading: ShuntReading) -> tuple[ShuntReading | None, str]:
    """A reading without a finite current is none."""
    return (reading, "") if isfinite(reading.current_a) else (None, "no current in the message")
