"""Host-controlled cell balancing of the bq76952 emulator: what is accepted, and the timer that ends it.

Conditions are checked when the command comes. The bled cells' totals (CBSTATUS2, 3) are not modelled.
"""

from __future__ import annotations

import math

from bms_daemon.sim.bq76952_adc import Adc
from bms_daemon.sim.bq76952_memory import DataMemory

NO_COMMAND, IN_SLEEP = 0x10, 0x04  # Balancing Configuration: CB_NO_CMD, CB_SLEEP


class Balancer:
    """``mask`` holds the cell inputs being bled, bit 0: VC1; ``end_s`` is when the chip stops by itself."""

    def __init__(self, memory: DataMemory, adc: Adc) -> None:
        self._memory = memory
        self._adc = adc
        self.stop()

    def stop(self) -> None:
        self.mask, self.end_s, self._start_s = 0, math.inf, math.inf

    def command(self, mask: int, now_s: float, asleep: bool) -> None:
        """Start, refresh or stop (0). A refused mask stops as well, so that it reads back 0."""
        if not mask or not self._acceptable(mask, asleep):
            self.stop()
            return
        self._start_s = min(self._start_s, now_s)
        self.mask, self.end_s = mask, now_s + self._memory.u8(0x9339)

    def above(self, millivolts: int) -> int:
        """The mask of CB_SET_LVL: the highest cells above a level, no neighbours, up to the configured number."""
        raw = self._adc.cell_raw
        mask = 0
        for pin in sorted(self._adc.fitted.tolist(), key=lambda pin: -int(raw[pin])):
            neighbours = 5 << pin >> 1
            if raw[pin] > millivolts and not mask & neighbours and mask.bit_count() < self._memory.u8(0x933A):
                mask |= 1 << pin
        return mask

    def active_s(self, now_s: float) -> float:
        return now_s - self._start_s if self.mask else 0.0

    def _acceptable(self, mask: int, asleep: bool) -> bool:
        memory = self._memory
        config = memory.u8(0x9335)
        if mask & ~(memory.u16(0x9304) or 0xFFFF) or mask & mask << 1:
            return False
        if config & NO_COMMAND or (asleep and not config & IN_SLEEP):
            return False
        low, high = memory.i8(0x9336), memory.i8(0x9337)
        die_degc = self._adc.die_dk / 10.0 - 273.15
        return all(low <= degc <= high for degc in self._adc.cell_temps_degc) and die_degc <= memory.i8(0x9338)
