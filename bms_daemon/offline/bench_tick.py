"""Processor time of one whole tick, for strings of any length, on a rig that feeds it a healthy closed pack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bms_daemon.config.schema import Settings
from bms_daemon.model import (
    Actuated,
    AfeScan,
    Command,
    Health,
    Orders,
    PackState,
    Pins,
    Raw,
    Sample,
    ShuntReading,
    TempScan,
    VcuRequest,
)
from bms_daemon.model import Request as Asked
from bms_daemon.offline.bench_figure import Figure, percentile
from bms_daemon.runtime.stopwatch import cpu_s
from bms_daemon.tick import Plan, first_state, tick

TICK_S = 0.02
TICKS_A_SCAN, TICKS_A_PIN_READ, TICKS_A_SECOND = 5, 2, 50
CELL_V, CURRENT_A = 3.3, -20.0
PRECHARGED_AFTER_S = 0.3
BUDGETS_S = {16: 0.5e-3, 100: 0.8e-3, 400: 1.5e-3}
IDLE_BUDGET_S = 0.1e-3


class SteadyPack:
    """Implements ``ports.Rig``: fresh samples at the shipped periods, a link that fills, contacts that follow."""

    def __init__(self, cells: int) -> None:
        self._noise = np.random.default_rng(1)
        self._cells = cells
        self._command = Command()
        self._precharge_since_s = float("inf")
        self._ticks = 0
        self._raw = Raw(health=Health())
        self.scanned = False

    def newest(self, now_s: float) -> Raw:
        return self._raw

    def advance(self, now_s: float) -> None:
        """One tick further: a scan every fifth, and temperature, shunt, pin and VCU samples at their periods."""
        self._ticks += 1
        self.scanned = self._ticks % TICKS_A_SCAN == 0
        changes: dict[str, object] = {"orders": self._orders()}
        if self.scanned:
            changes["cells"] = self._sample(self._scan(now_s), now_s)
            changes["vcu"] = self._sample(VcuRequest(Asked.NONE, False, False), now_s)
        if self._ticks % TICKS_A_PIN_READ == 0:
            changes["pins"] = self._sample(self._pins(), now_s)
        if self._ticks % TICKS_A_SECOND == 1:
            changes["temps"] = self._sample(TempScan(np.array([20.0, 21.0, 22.0]), 30.0), now_s)
            changes["shunt"] = self._sample(ShuntReading(self._current_a), now_s)
        self._raw = replace(self._raw, **changes)  # type: ignore[arg-type]

    def actuate(self, command: Command) -> Actuated:
        if command.precharge and not self._command.precharge:
            self._precharge_since_s = self._ticks * TICK_S
        self._command = command
        return Actuated(command.main, command.precharge)

    @property
    def _current_a(self) -> float:
        return CURRENT_A if self._command.main else 0.0

    def _sample(self, value: object, now_s: float) -> Sample[object]:
        return Sample(value, now_s, self._ticks)

    def _orders(self) -> Orders:
        return Orders(open=self._ticks == 3 * TICKS_A_SECOND, close=self._ticks == 4 * TICKS_A_SECOND)

    def _pins(self) -> Pins:
        return Pins(True, True, self._command.main, self._command.precharge)

    def _scan(self, now_s: float) -> AfeScan:
        cell_v = CELL_V + 0.001 * self._noise.standard_normal(self._cells)
        stack_v = float(cell_v.sum())
        linked = self._command.main or now_s > self._precharge_since_s + PRECHARGED_AFTER_S
        link_v = stack_v if linked else 0.0
        on = self._command.charge and self._command.discharge
        current_a = self._current_a
        return AfeScan(cell_v, stack_v, self._ticks, stack_v, link_v, current_a, charge_on=on, discharge_on=on)


def measure(base: Settings, cells: int, ticks: int) -> tuple[list[float], list[float]]:
    """Processor seconds of every tick of a closed pack: without a new scan, and with one."""
    settings = base.model_copy(update={"pack": base.pack.model_copy(update={"series": cells})})
    plan, rig = Plan.of(settings), SteadyPack(cells)
    state = first_state(settings, None, 0.0)
    plain: list[float] = []
    scanned: list[float] = []
    for number in range(1, ticks + 1):
        rig.advance(number * TICK_S)
        start_s = cpu_s()
        state, snapshot = tick(rig, state, plan, number * TICK_S)
        spent_s = cpu_s() - start_s
        if snapshot.control.state is PackState.CLOSED:
            (scanned if rig.scanned else plain).append(spent_s)
    return plain, scanned


def figures(base: Settings, calibration_s: float, ticks: int) -> list[Figure]:
    """Median processor time of a tick without and with a new scan, at every size that has a budget."""
    found: list[Figure] = []
    for cells, budget_s in BUDGETS_S.items():
        plain, scanned = measure(base, cells, ticks)
        for name, values, limit_s in (("without a scan", plain, IDLE_BUDGET_S), ("with a scan", scanned, budget_s)):
            half_s, most_s = percentile(values, 0.5), percentile(values, 0.99)
            what = f"processor time of a tick {name}, {cells} cells"
            note = f"median; p99 {most_s * 1e3:.3f} ms; {half_s / calibration_s:.4f} loops"
            found.append(Figure(what, half_s * 1e3, "ms", limit_s * 1e3, note=note))
    return found
