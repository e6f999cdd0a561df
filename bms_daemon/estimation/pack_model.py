"""What the estimators know of a pack before they see it: its cell, and what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bms_daemon.config.pack_cell import pack_cell
from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Senses, period_s
from bms_daemon.estimation.cell import Cell
from bms_daemon.estimation.sop_bounds import Bounds

TRICKLE_C = 0.05  # what the estimated charge alone leaves: voltage has the last word, full must be reachable; 1/h
GAPS = 3.0  # of the current's periods without a sample, after which nobody knows what flowed


@dataclass(frozen=True, slots=True)
class PackModel:
    """``gap_s`` is the time without a sample of the current that hides what flowed."""

    cell: Cell
    bounds: Bounds
    scan_period_s: float
    gap_s: float

    @classmethod
    def of(cls, settings: Settings) -> PackModel:
        """Raises CellFileError when the cell file cannot be used."""
        file = pack_cell(settings)
        bounds = _bounds(Bounds.of(file), settings)
        gap_s = GAPS * period_s(settings, Senses.of(settings).current)
        return cls(Cell(file), bounds, settings.afe.scan_period_s, gap_s)


def _bounds(cells: Bounds, settings: Settings) -> Bounds:
    """The narrower of what the cell file and what the configuration allows; temperatures are the configuration's."""
    limits, current, temps = settings.cell, settings.current, settings.temperature
    return replace(
        cells,
        min_v=max(cells.min_v, limits.min_v),
        max_v=min(cells.max_v, limits.max_v),
        charge_max_a=min(cells.charge_max_a, current.charge_max_a),
        discharge_max_a=min(cells.discharge_max_a, current.discharge_max_a),
        charge_min_degc=temps.charge_min_degc,
        charge_max_degc=temps.charge_max_degc,
        discharge_min_degc=temps.discharge_min_degc,
        discharge_max_degc=temps.discharge_max_degc,
        trickle_a=TRICKLE_C * settings.pack.capacity_ah,
    )
