"""From cells to their series pack: the weakest cell decides, never the mean."""

from __future__ import annotations

from bms_daemon.model import FloatArray

LEAST_USABLE = 0.01  # of a cell's capacity


def pack_soc(soc: FloatArray, sigma: FloatArray, capacity_ah: FloatArray) -> tuple[float, float, float]:
    """State of charge, its sigma, and the usable capacity (Ah) of cells (n,) in series.

    Charge can be taken until the first cell is empty and given until the first is full; the share of the two is the
    pack's state of charge. A cell that is 3 points below the others takes 3 points of the pack's capacity. Errors of
    the two cells are taken to agree, as one cell's at both ends do; a less certain cell may be the one that decides.
    Where next to nothing is usable, nothing is certain.
    """
    charge_ah, doubt_ah = soc * capacity_ah, sigma * capacity_ah
    room_ah = capacity_ah - charge_ah
    least_ah, room = float(charge_ah.min()), float(room_ah.min())
    usable_ah = least_ah + room
    if usable_ah <= LEAST_USABLE * float(capacity_ah.max()):
        return float(least_ah > room), 1.0, max(usable_ah, 0.0)
    weak, strong = (charge_ah - doubt_ah).argmin(), (room_ah - doubt_ah).argmin()
    pack_sigma = (float(doubt_ah[weak]) * room + float(doubt_ah[strong]) * least_ah) / usable_ah**2
    return least_ah / usable_ah, min(1.0, pack_sigma), usable_ah
