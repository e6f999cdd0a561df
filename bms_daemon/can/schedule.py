"""When frames go out: absolute deadlines, one frame for any number of missed ones, silence when the snapshot is old."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bms_daemon.can.e2e import Protect, Protection
from bms_daemon.can.packing import Packer
from bms_daemon.model import Snapshot

Frame: TypeAlias = tuple[int, bytes]
EARLY_S = 1e-6  # a tick that comes this much before a deadline serves it


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message: what its rows carry and when they go out.

    ``per_turn`` rows go out every ``cycle_s``, in rotation; ``used`` says how many of the rows count now (None: all).
    ``change`` gives a key; a new key sends the message at once, but not within ``gap_s`` of its last frame.
    """

    frame_id: int
    cycle_s: float
    rows: tuple[Packer, ...]
    phase_s: float = 0.0
    per_turn: int = 1
    protection: Protection | None = None
    used: Callable[[Snapshot], int] | None = None
    change: Callable[[Snapshot], Hashable] | None = None
    gap_s: float = 0.0


class _Slot:
    """An outgoing message with its deadline, row, counter and last key."""

    def __init__(self, what: Outgoing, start_s: float) -> None:
        self.what = what
        self.due_s = start_s + what.phase_s
        self.sent_s = float("-inf")
        self.row = 0
        self.key: Hashable = None
        self.protect = Protect(what.protection) if what.protection else None

    def wants(self, snapshot: Snapshot, now_s: float) -> bool:
        if now_s >= self.due_s - EARLY_S:
            return True
        return now_s >= self.sent_s + self.what.gap_s - EARLY_S and self.owes(snapshot)

    def owes(self, snapshot: Snapshot) -> bool:
        """Whether a change has not been said yet."""
        return self.what.change is not None and self.what.change(snapshot) != self.key

    def postpone(self, now_s: float) -> int:
        """Move the deadline to the next one on its grid; returns how many were missed."""
        late = now_s - self.due_s + EARLY_S
        if late < 0.0:
            return 0
        missed = int(late // self.what.cycle_s)
        self.due_s += (missed + 1) * self.what.cycle_s
        return missed

    def emit(self, snapshot: Snapshot, now_s: float, out: list[Frame]) -> None:
        what = self.what
        self.sent_s = now_s
        if what.change is not None:
            self.key = what.change(snapshot)
        rows = len(what.rows) if what.used is None else max(1, min(what.used(snapshot), len(what.rows)))
        for _ in range(min(what.per_turn, rows)):
            payload = what.rows[self.row % rows](snapshot)
            self.row = (self.row + 1) % rows
            if payload is not None:
                out.append((what.frame_id, self.protect.complete(payload) if self.protect else payload))


class Schedule:
    """Pure timing over messages, most urgent first. ``missed`` counts deadlines that passed without a frame."""

    def __init__(self, outgoing: Sequence[Outgoing], stale_s: float) -> None:
        self._outgoing = tuple(outgoing)
        self._stale_s = stale_s
        self._slots: tuple[_Slot, ...] = ()
        self.missed = 0

    def due(self, snapshot: Snapshot, now_s: float) -> list[Frame]:
        """Frames for this instant, as identifier and payload; none when the snapshot is older than allowed."""
        out: list[Frame] = []
        if now_s - snapshot.now_s > self._stale_s:
            return out
        for slot in self._slots or self._begin(now_s):
            if slot.wants(snapshot, now_s):
                self.missed += slot.postpone(now_s)
                slot.emit(snapshot, now_s, out)
        return out

    def owes(self, snapshot: Snapshot) -> bool:
        """Whether a change of this snapshot waits for the gap after the frame before it."""
        return any(slot.owes(snapshot) for slot in self._slots)

    def _begin(self, now_s: float) -> Iterable[_Slot]:
        self._slots = tuple(_Slot(what, now_s) for what in self._outgoing)
        return self._slots
