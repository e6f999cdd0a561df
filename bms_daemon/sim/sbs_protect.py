"""A smart battery's own protection: which alarm bits stand in BatteryStatus and whether its FETs conduct.

A table of bands: what reaches ``trips`` stays until it has been under ``releases`` for ``hold_s``. Thresholds are those
of a usual lithium-ion pack; the standard names none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

OVER_CHARGED, TERMINATE_CHARGE, OVER_TEMP, TERMINATE_DISCHARGE = 0x8000, 0x4000, 0x1000, 0x0800
FULLY_CHARGED, FULLY_DISCHARGED = 0x0020, 0x0010
FULL_V = 4.2
OVER_CURRENT = 3.0  # times the capacity in an hour


@dataclass(frozen=True, slots=True)
class Band:
    quantity: str
    trips: float
    releases: float
    bits: int
    hold_s: float = 0.0
    charge_off: bool = False
    discharge_off: bool = False


BANDS = (
    Band("high_v", FULL_V, 4.15, FULLY_CHARGED | TERMINATE_CHARGE),
    Band("high_v", 4.28, 4.18, OVER_CHARGED | TERMINATE_CHARGE, charge_off=True),
    Band("minus_low_v", -3.0, -3.1, FULLY_DISCHARGED | TERMINATE_DISCHARGE),
    Band("minus_low_v", -2.5, -3.0, FULLY_DISCHARGED | TERMINATE_DISCHARGE, discharge_off=True),
    Band("degc", 60.0, 55.0, OVER_TEMP | TERMINATE_CHARGE, charge_off=True),
    Band("degc", 70.0, 65.0, OVER_TEMP | TERMINATE_DISCHARGE, discharge_off=True),
    Band("charging", OVER_CURRENT, 0.1, TERMINATE_CHARGE, hold_s=10.0, charge_off=True),
    Band("discharging", OVER_CURRENT, 0.1, TERMINATE_DISCHARGE, hold_s=10.0, discharge_off=True),
)


class Guards:
    """Judges every measurement. ``bits`` belong to BatteryStatus."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing has tripped."""
        self._last_s: dict[Band, float] = {}  # when each tripped band was last seen above its release

    def judge(self, now_s: float, seen: dict[str, float]) -> None:
        for band in BANDS:
            value = seen[band.quantity]
            if value >= band.trips or (band in self._last_s and value > band.releases):
                self._last_s[band] = now_s
            elif now_s >= self._last_s.get(band, inf) + band.hold_s:
                del self._last_s[band]

    @property
    def bits(self) -> int:
        bits = 0
        for band in self._last_s:
            bits |= band.bits
        return bits

    @property
    def charge_on(self) -> bool:
        return not any(band.charge_off for band in self._last_s)

    @property
    def discharge_on(self) -> bool:
        return not any(band.discharge_off for band in self._last_s)
