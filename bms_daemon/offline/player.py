"""A recording as a pack: recorded cells, probes and current on the taps, contactors and a link around them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.offline.recording import Recording
from bms_daemon.offline.timeline import Part
from bms_daemon.sim.gate import RELEASED, Coils
from bms_daemon.sim.plant import SimTaps
from bms_daemon.sim.powerpath import PowerPath
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.taps import Taps

RENEW_S = 0.02
OPEN_PROBE_DEGC = -60.0  # what a probe that is not there reads
DIE_DEGC = 35.0


class Player:
    """Implements ``sim.taps.Pack``. Time of the part is the loop's less ``start_s``; before it, the first row stands.

    The recorded current flows only through a closed main contactor. ``on_silence`` is told when the bus falls silent
    and when it speaks again.
    """

    def __init__(self, recording: Recording, part: Part, world: WorldSettings, start_s: float) -> None:
        self.on_silence: Callable[[bool], None] = lambda silent: None
        self._recording, self._part, self._start_s = recording, part, start_s
        self.path = PowerPath(world.contactor, world.link, world.path)
        self._at = 0
        self._coils = RELEASED
        self._renew_s = self._due_s = float("-inf")
        self._now_s = float("-inf")
        self._silent = False
        self._demand_a = 0.0
        self._ended = False
        cells, probes = recording.cell_v.shape[1], recording.probe_degc.shape[1]
        self.taps: Taps = SimTaps(np.zeros(cells), 0.0, 0.0, 0.0, 0.0, np.zeros(probes), DIE_DEGC)
        self._show(start_s)

    @property
    def main_aux(self) -> bool:
        return self.path.main_aux

    @property
    def main_negative_aux(self) -> bool:
        return self.path.main_negative_aux

    @property
    def precharge_aux(self) -> bool:
        return self.path.precharge_aux

    def end(self) -> None:
        """Let the current cease: the recording is over."""
        self._ended = True

    def step(self, now_s: float, coils: Coils) -> None:
        """Advance contactors exactly and the recorded values every 20 ms; in between the taps hold."""
        if self._now_s == float("-inf"):
            self._now_s = now_s
        if coils != self._coils:
            self._flow(self._now_s)
            self._coils = coils
            self._flow(self._now_s)
        self._now_s = now_s
        if now_s >= self._renew_s:
            self._show(now_s)
            self._flow(now_s)
        elif now_s >= self._due_s:
            self._flow(now_s)

    def _flow(self, now_s: float) -> None:
        demand_a = 0.0 if self._ended else self._demand_a
        self.taps.current_a = self.path.step(now_s, self._coils, self.taps.pack_v, demand_a)
        self.taps.link_v = self.path.link_v
        self._due_s = min(now_s + RENEW_S, self.path.next_event_s)

    def _show(self, now_s: float) -> None:
        self._renew_s = now_s + RENEW_S
        pieces, at_s = self._part.pieces, max(0.0, now_s - self._start_s)
        while self._at + 1 < len(pieces) and at_s >= pieces[self._at].end_s:
            self._at += 1
        piece = pieces[self._at]
        if (piece.row < 0) is not self._silent:
            self._silent = piece.row < 0
            self.on_silence(self._silent)
        if piece.row < 0:
            return
        share = (at_s - piece.start_s) / (piece.end_s - piece.start_s) if piece.to_row >= 0 else 0.0
        self._put(piece.row, max(piece.to_row, piece.row), min(1.0, share))

    def _put(self, row: int, to_row: int, share: float) -> None:
        recording, taps = self._recording, self.taps
        taps.cell_v = _served(recording.cell_v, row, to_row, share, 0.0)
        taps.probe_degc = _served(recording.probe_degc, row, to_row, share, OPEN_PROBE_DEGC)
        taps.stack_v = taps.pack_v = float(taps.cell_v.sum())
        here, there = float(recording.current_a[row]), float(recording.current_a[to_row])
        current_a = here + share * (there - here)
        self._demand_a = current_a if current_a == current_a else 0.0


def _served(values: FloatArray, row: int, to_row: int, share: float, unknown: float) -> FloatArray:
    """A row on its way to another; what is not known reads as ``unknown``."""
    served = values[row] + share * (values[to_row] - values[row]) if to_row != row else values[row]
    lost = served != served
    return np.where(lost, unknown, served) if lost.any() else served
