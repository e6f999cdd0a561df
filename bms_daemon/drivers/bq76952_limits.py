"""The bq76952's hardware limits as codes: ranges, steps and rounding (TI SLUUBY2B).

A limit is never rounded to the lax side: thresholds and delays go to the next stricter code, hysteresis to the wider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_SLACK = 1e-6  # of a code: a value given as an exact multiple must not fall to the next one by its last bit
_SHORT_CIRCUIT_MV = (10, 20, 40, 60, 80, 100, 125, 150, 175, 200, 250, 300, 350, 400, 450, 500)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: value = offset + code x step, or steps[code]. ``per_shunt``: in mV, divided by the shunt's mOhm."""

    key: str
    item: str
    low: int
    high: int
    step: float = 0.0
    offset: float = 0.0
    steps: tuple[int, ...] = ()
    per_shunt: bool = False
    up: bool = False

    def value(self, code: int, shunt_mohm: float) -> float:
        """What the chip does with this code, in the key's unit."""
        raw = self.steps[code] if self.steps else self.offset + code * self.step
        return round(raw / shunt_mohm if self.per_shunt else raw, 9)

    def code(self, value: float, shunt_mohm: float) -> int:
        """The code to write. Raises ValueError, saying the range, for what the chip cannot do."""
        lowest, highest = self.value(self.low, shunt_mohm), self.value(self.high, shunt_mohm)
        if not lowest * (1.0 - _SLACK) <= value <= highest * (1.0 + _SLACK):
            raise ValueError(f"{self.key} = {value:g} is outside what the chip can do, {lowest:g} to {highest:g}")
        raw = value * shunt_mohm if self.per_shunt else value
        if self.steps:
            return max(code for code, step in enumerate(self.steps) if step <= raw * (1.0 + _SLACK))
        exact = (raw - self.offset) / self.step
        code = math.ceil(exact - _SLACK) if self.up else math.floor(exact + _SLACK)
        return min(max(code, self.low), self.high)


def _current(key: str, item: str, high: int) -> tuple[Limit, Limit]:
    threshold = Limit(f"{key}_a", f"{item} threshold", 2, high, step=2.0, per_shunt=True)
    return threshold, Limit(f"{key}_delay_s", f"{item} delay", 1, 127, step=3.3e-3, offset=6.6e-3)


def _voltage(key: str, item: str, high: int, up: bool) -> tuple[Limit, Limit, Limit]:
    return (
        Limit(f"{key}_v", f"{item} threshold", 20, high, step=50.6e-3, up=up),
        Limit(f"{key}_delay_s", f"{item} delay", 1, 2047, step=3.3e-3),
        Limit(f"{key}_hysteresis_v", f"{item} hysteresis", 2, 20, step=50.6e-3, up=True),
    )


LIMITS: tuple[Limit, ...] = (
    *_voltage("under_voltage", "CUV", 90, up=True),
    *_voltage("over_voltage", "COV", 110, up=False),
    *_current("over_current_charge", "OCC", 62),
    *_current("over_current_discharge", "OCD1", 100),
    *_current("over_current_discharge_fast", "OCD2", 100),
    Limit("short_circuit_a", "SCD threshold", 0, 15, steps=_SHORT_CIRCUIT_MV, per_shunt=True),
    Limit("short_circuit_delay_s", "SCD delay", 1, 31, step=15e-6, offset=-15e-6),
    Limit("recovery_s", "recovery time", 1, 255, step=1.0, up=True),
    Limit("host_watchdog_s", "HWD delay", 1, 65535, step=1.0),
)


def encode_limits(values: Mapping[str, float], shunt_mohm: float) -> dict[str, int]:
    """Codes by data-memory item. Raises ValueError for the first limit that the chip cannot do."""
    return {limit.item: limit.code(values[limit.key], shunt_mohm) for limit in LIMITS}


def decode_limits(codes: Mapping[str, float], shunt_mohm: float) -> dict[str, float]:
    """Limits by key, as the chip applies these codes."""
    return {limit.key: limit.value(int(codes[limit.item]), shunt_mohm) for limit in LIMITS}
