"""The coil gate: coil supply = GPIO level and dead-man monostable and chip pins and emergency stop.

Where the chip's own FETs carry the current it stands before their CFETOFF and DFETOFF pins, and each of the chip's
outputs drives one of them.

It is hardware outside the computer, so its changes carry exact times even when nobody looks: the monostable drops out
at its last edge plus its time, whenever that is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple


class Coils(NamedTuple):
    """Which coils are energised, and which directions FETs let through where there are some."""

    main: bool
    precharge: bool
    negative: bool = False
    charge: bool = True
    discharge: bool = True


RELEASED = Coils(False, False)


class CoilGate:
    """Inputs come with their time, never earlier than the last. ``trace`` holds (time_s, main, precharge) changes.

    ``hold_off`` is told what it puts on the chip's CFETOFF and DFETOFF pins.
    """

    def __init__(self, dead_man_s: float = 0.2, fets: bool = False) -> None:
        self._dead_man_s = dead_man_s
        self._fets = fets
        self._edge_s = -inf
        self._running = False
        self._wanted = RELEASED
        self._chip = (True, True)
        self._emergency_closed = True
        self._supply = True
        self._coils = RELEASED
        self._held_off = True
        self.hold_off: Callable[[bool], None] = lambda off: None
        self.trace: list[tuple[float, bool, bool]] = []

    @property
    def next_event_s(self) -> float:
        """When the monostable drops out; infinity when it has."""
        return self._edge_s + self._dead_man_s if self._running else inf

    @property
    def emergency_closed(self) -> bool:
        return self._emergency_closed

    @property
    def _live(self) -> bool:
        return self._running and self._emergency_closed and self._supply

    def drive(self, now_s: float, main: bool, precharge: bool, negative: bool = False) -> None:
        """The levels of the GPIO outputs."""
        self._expire(now_s)
        self._wanted = Coils(main, precharge, negative)
        self._settle(now_s)

    def dead_man_edge(self, now_s: float) -> None:
        """An edge, either way, of the dead-man line retriggers the monostable."""
        self._expire(now_s)
        self._edge_s, self._running = now_s, True
        self._settle(now_s)

    def allow(self, now_s: float, charge: bool, discharge: bool) -> None:
        """The chip's charge and discharge outputs: one coil serves both directions, so both must agree."""
        self._expire(now_s)
        if self._chip != (charge, discharge):
            self._chip = (charge, discharge)
            self._settle(now_s)

    def emergency_stop(self, now_s: float, closed: bool) -> None:
        """The emergency stop's contact, wired into the coil supply."""
        self._expire(now_s)
        self._emergency_closed = closed
        self._settle(now_s)

    def supply(self, now_s: float, present: bool) -> None:
        """The coil supply itself; a brown-out takes it away."""
        self._expire(now_s)
        self._supply = present
        self._settle(now_s)

    def coil(self, now_s: float) -> Coils:
        """The coils at ``now_s``."""
        self._expire(now_s)
        return self._coils

    def released_at(self, after_s: float) -> float:
        """First instant, not before ``after_s``, at which no coil is energised; infinity if the trace has none."""
        released = True
        for time_s, main, precharge in self.trace:
            if time_s > after_s:
                if released:
                    return after_s
                if not (main or precharge):
                    return time_s
            released = not (main or precharge)
        return after_s if released else inf

    def _expire(self, now_s: float) -> None:
        due_s = self._edge_s + self._dead_man_s
        if self._running and due_s <= now_s:
            self._running = False
            self._settle(due_s)

    def _settle(self, now_s: float) -> None:
        if self._held_off is (self._live and self._wanted.main):
            self._held_off = not self._held_off
            self.hold_off(self._held_off)
        chip = any(self._chip) if self._fets else all(self._chip)
        coils = self._wanted if self._live and chip and any(self._wanted[:3]) else RELEASED
        if self._fets and coils.main:
            coils = coils._replace(charge=self._chip[0], discharge=self._chip[1])
        if coils != self._coils:
            self._coils = coils
            self.trace.append((now_s, coils.main, coils.precharge))
