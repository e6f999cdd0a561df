"""The pack as physics: cells, temperatures and power path behind the taps that chips and sensors read.

Cells move on a fixed grid (``step_s``); contacts move at their own instants in between, and the taps jump with them.
Between two such instants the taps hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.cells import Cells
from bms_daemon.sim.gate import RELEASED, Coils
from bms_daemon.sim.powerpath import PowerPath
from bms_daemon.sim.profile import OutsideWorld, demand_of
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.taps import Taps
from bms_daemon.sim.thermal import Thermal

THERMAL_PERIOD_S = 1.0
DIE_RISE_K = 5.0


@dataclass(slots=True)
class SimTaps:
    """What pins and terminals see; one object for the life of a pack, its fields replaced."""

    cell_v: FloatArray
    stack_v: float
    pack_v: float
    link_v: float
    current_a: float
    probe_degc: FloatArray
    die_degc: float


class Plant:
    """Implements ``sim.taps.Pack``. Its parts are public: set them, then call ``refresh`` to see the effect at once.

    ``balancing_mask`` asks the AFE which cells it bleeds, bool (n,); it is asked once a second.
    """

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.cells = Cells(settings, np.random.default_rng(settings.seed))
        self.thermal = Thermal(settings)
        self.path = PowerPath(settings.contactor, settings.link, settings.path)
        self.outside = OutsideWorld(settings.outside, demand_of(settings.profile, settings.seed))
        self.balancing_mask: Callable[[], np.ndarray | bool] = lambda: False
        self._step_s = settings.step_s
        self._thermal_steps = max(1, round(THERMAL_PERIOD_S / settings.step_s))
        self._coils = RELEASED
        self._start_s = self._now_s = -inf
        self._steps = 0
        self._charged_as = self._warmed_as = 0.0
        self._demand_a = 0.0
        self.cells.warm(self.thermal.degc)
        self._source_v = 0.0
        self.taps: Taps = SimTaps(np.empty(0), 0.0, 0.0, 0.0, 0.0, np.empty(0), 0.0)
        self.refresh()

    @property
    def main_aux(self) -> bool:
        return self.path.main_aux

    @property
    def main_negative_aux(self) -> bool:
        return self.path.main_negative_aux

    @property
    def precharge_aux(self) -> bool:
        return self.path.precharge_aux

    def step(self, now_s: float, coils: Coils) -> None:
        """Advance to ``now_s`` with these coils energised since the last call; the first call sets the start."""
        if self._start_s == -inf:
            self._begin(now_s)
        if coils != self._coils:
            self._switch(coils)
        self._now_s = now_s
        while self._due_s <= now_s:
            self._turn(self._due_s)

    def refresh(self) -> None:
        """Bring the taps up to what was just set on the parts, without time passing."""
        if self._start_s > -inf:
            self._flow(self._now_s)
        self._publish(self._now_s)
        self._publish_degc()

    def trip(self, tripped: bool = True) -> None:
        """The second disconnect."""
        self.path.trip(tripped)
        self.refresh()

    def set_fan(self, on: bool) -> None:
        self.thermal.fan = on

    def _begin(self, now_s: float) -> None:
        self._start_s = self._now_s = now_s
        self._flow(now_s)
        self._publish(now_s)
        self._plan()

    def _plan(self) -> None:
        """When the plant must next do something."""
        self._grid_s = self._start_s + (self._steps + 1) * self._step_s
        self._due_s = min(self._grid_s, self.path.next_event_s)

    def _switch(self, coils: Coils) -> None:
        """Coils change at the instant of the last call."""
        self._flow(self._now_s)
        self._coils = coils
        self._flow(self._now_s)
        self._plan()

    def _turn(self, now_s: float) -> None:
        """One grid step or one movement of a contact."""
        self._flow(now_s)
        if now_s >= self._grid_s:
            self._age_cells()
        self._publish(now_s)
        self._plan()

    def _flow(self, now_s: float) -> None:
        self.path.step(now_s, self._coils, self._source_v, self._demand_a)

    def _age_cells(self) -> None:
        self._steps += 1
        self.cells.step((self.path.charge_as - self._charged_as) / self._step_s, self._step_s)
        self._charged_as = self.path.charge_as
        if self._steps % self._thermal_steps == 0:
            self._warm(self._thermal_steps * self._step_s)

    def _warm(self, dt_s: float) -> None:
        self.cells.balance(self.balancing_mask(), self.settings.balance_ohm)
        cells, mean_a = self.cells, (self._charged_as - self._warmed_as) / dt_s
        self._warmed_as = self._charged_as
        self.thermal.step(mean_a, cells.r0_ohm + cells.pair_ohm.sum(axis=0), cells.slope_v_per_k, dt_s)
        cells.warm(self.thermal.degc)
        self._publish_degc()

    def _publish_degc(self) -> None:
        self.taps.probe_degc = self.thermal.probe_degc()
        self.taps.die_degc = float(self.thermal.degc.mean()) + DIE_RISE_K

    def _publish(self, now_s: float) -> None:
        """Solve the circuit at this instant and show it on the taps."""
        taps, path, r0_ohm = self.taps, self.path, self.cells.r0_ohm
        cell_v = self.cells.emf_v()
        elapsed_s = max(0.0, now_s - self._start_s) if self._start_s > -inf else 0.0
        self._demand_a = self.outside.current_a(elapsed_s, float(cell_v.sum()), float(r0_ohm.sum()))
        current_a = path.present_a(self._source_v, self._demand_a)
        cell_v += r0_ohm * current_a
        stack_v = float(cell_v.sum())
        self._source_v = stack_v
        taps.cell_v, taps.stack_v, taps.current_a = cell_v, stack_v, current_a
        taps.link_v = stack_v if path.conducting else path.link_v
        taps.pack_v = stack_v if not path.severed else path.link_v if path.joined else 0.0
