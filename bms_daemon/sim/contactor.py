"""A contactor: coil, armature with travel time, bouncing contact, weld, auxiliary contact."""

from __future__ import annotations

from collections import deque
from math import floor, inf
from typing import Literal

from bms_daemon.sim.settings import ContactorData

AuxFault = Literal["stuck_open", "stuck_closed", "chatter"]
CHATTER_S = 0.007  # no part of a usual tick: whoever only looks now and then sees it too
BOUNCE_STEPS = (0.3, 0.55, 0.8, 1.0)  # shares of the bounce time at which the contact opens, closes, opens, closes


class Contactor:
    """Moves only by ``command`` and ``advance``; between two events it is constant.

    A mirror auxiliary contact follows the main contact, welds included; ``aux_fault`` makes it lie.
    """

    def __init__(self, data: ContactorData) -> None:
        self._data = data
        self._coil = False
        self._contact = False
        self._moves: deque[tuple[float, bool]] = deque()
        self._now_s = 0.0
        self.welded = False
        self.coil_broken = False
        self.aux_fault: AuxFault | None = None
        self.closings = 0
        self.worst_break_a = 0.0

    @property
    def closed(self) -> bool:
        return self._contact or self.welded

    @property
    def aux(self) -> bool:
        """The auxiliary contact: closed when the main contact is, unless it lies."""
        if self.aux_fault is None:
            return self.closed
        if self.aux_fault == "chatter":
            return floor(self._now_s / CHATTER_S) % 2 == 0
        return self.aux_fault == "stuck_closed"

    @property
    def next_event_s(self) -> float:
        """When the contact next moves; infinity when it rests."""
        return self._moves[0][0] if self._moves else inf

    def command(self, now_s: float, coil: bool) -> None:
        """Energise or release the coil at ``now_s``."""
        coil = coil and not self.coil_broken
        if coil == self._coil:
            return
        self._coil = coil
        self._moves.clear()
        if coil:
            self._plan_closing(now_s + self._data.close_s)
        else:
            self._moves.append((now_s + self._data.open_s, False))

    def advance(self, now_s: float) -> None:
        """Carry out the moves due up to ``now_s``."""
        self._now_s = now_s
        while self._moves and self._moves[0][0] <= now_s:
            self._contact = self._moves.popleft()[1]

    def making(self, current_a: float) -> None:
        """The contact has just closed onto ``current_a``."""
        if abs(current_a) > self._data.weld_a:
            self.welded = True

    def breaking(self, current_a: float) -> None:
        """The contact has just opened under ``current_a``; what bounces at closing is not counted."""
        if not self._coil:
            self.worst_break_a = max(self.worst_break_a, abs(current_a))

    def _plan_closing(self, touch_s: float) -> None:
        self.closings += 1
        self._moves.append((touch_s, True))
        if self._data.bounce_s > 0.0:
            for step, share in enumerate(BOUNCE_STEPS):
                self._moves.append((touch_s + share * self._data.bounce_s, step % 2 == 1))
