"""Every rung of the fault table in raw numbers: what brings it about, what just does not, and what must follow.

Limits are those of the four-cell pack in stage_builders: 2.0/2.4/2.7 to 3.65/3.75 V, 50 A in, 100 A out, 2 to 65 degC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stages.stage_builders import SETTINGS, channel, scan, settings, temps

from bms_daemon import model as m
from bms_daemon.config.schema import Settings

R, D, S, Q = m.Reaction, m.Doubt, m.PackState, m.Quality
Parts = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One rung. ``good`` is just not bad, ``kept`` lies within the hysteresis, ``unknown`` says nothing about it."""

    code: str
    rung: int
    reaction: m.Reaction
    bad: Parts
    good: Parts
    samples: int = 1
    hold_s: float = 0.0
    latch: bool = False
    kept: Parts = field(default_factory=dict)
    unknown: Parts = field(default_factory=dict)
    config: Settings = SETTINGS

    def __str__(self) -> str:
        return f"{self.code}-{self.reaction.name}-{self.rung}"


def cell(cell_v: float, **parts: Any) -> Parts:
    return {"cells": scan([cell_v, 3.2, 3.2, 3.2] if cell_v < 3.2 else [3.3, cell_v, 3.3, 3.3], **parts)}


def of(**parts: Any) -> Parts:
    return {"cells": scan(**parts)}


def heat(probe_degc: float) -> Parts:
    return {"temps": temps(probe_degc, probe_degc)}


def apart(probe_degc: float) -> Parts:
    return {"temps": temps(20.0, probe_degc, 20.0)}


def doubt(*doubts: m.Doubt) -> Parts:
    return {"doubts": m.Doubt(sum(doubts))}


def pins(state: m.PackState = S.STANDBY, **levels: Any) -> Parts:
    return {"state": state, "pins": m.Pins(**({"emergency_stop_ok": True, "interlock_ok": True} | levels))}


def late(name: str, quality: m.Quality, value: Any) -> Parts:
    found = value if quality is not Q.FAILED else None
    return {name: channel(found, quality, fresh=False, **({} if found is not None else {"age_s": 9.0}))}


def flow(current_a: float, charge_a: float = 50.0, discharge_a: float = 100.0) -> Parts:
    return {"state": S.CLOSED, "cells": scan(current_a=current_a), "limits": m.Limits(charge_a, discharge_a)}


def health(**parts: bool) -> Parts:
    return {"health": m.Health(**parts)}


def vcu(moving: bool) -> Parts:
    return {"vcu": m.VcuRequest(m.Request.NONE, moving, False)}


def outputs(**on: bool) -> Parts:
    """A closed pack whose chip's outputs are on or off."""
    return pins(S.CLOSED, main_aux_closed=True) | {"closed_s": 0.3, "cells": scan(**on)}


ON: Parts = {"command": m.Command(main=True)}
NO_CELLS: Parts = {"cells": channel(None)}
BLIND: Parts = {"cells": channel(None, tried=True)}
NO_TEMPS: Parts = {"temps": channel(None, tried=True)}
NO_PINS: Parts = {"pins": channel(None)}
REQUIRED = settings(can={"vcu": "required"})
FINE: Parts = {}

CASES = (
    Case("cell_over_voltage", 0, R.BLOCK_C, cell(3.651), cell(3.65), 2, kept=cell(3.61), unknown=NO_CELLS),
    Case("cell_over_voltage", 1, R.STOP, cell(3.701), cell(3.699), 2, 5.0, kept=cell(3.66), unknown=NO_CELLS),
    Case("cell_over_voltage_critical", 0, R.OPEN, cell(3.751), cell(3.75), 2, latch=True, kept=cell(3.71),
         unknown=NO_CELLS),
    Case("cell_under_voltage", 0, R.BLOCK_D, cell(2.699), cell(2.7), 2, kept=cell(2.74), unknown=NO_CELLS),
    Case("cell_under_voltage_critical", 0, R.OPEN, cell(2.399), cell(2.4), 2, latch=True, kept=cell(2.44),
         unknown=NO_CELLS),
    Case("deep_discharge", 0, R.OPEN, cell(1.999), cell(2.0), 3, latch=True, kept=cell(2.04), unknown=NO_CELLS),
    Case("afe_frozen", 0, R.STOP, {"frozen_s": 0.71}, {"frozen_s": 0.7}),
    Case("cells_absent", 0, R.STOP, doubt(D.CELLS_ABSENT), FINE, 3, unknown=BLIND),
    Case("cell_missing", 0, R.OPEN, doubt(D.CELL_MISSING), FINE, 2, latch=True, unknown=BLIND),
    Case("cell_implausible", 0, R.INFO, doubt(D.CELL_RANGE), FINE, unknown=BLIND),
    Case("cell_implausible", 1, R.STOP, doubt(D.CELL_RANGE), FINE, 3, unknown=BLIND),
    Case("sum_mismatch", 0, R.STOP, doubt(D.SUM_STACK), FINE, 3, unknown=BLIND),
    Case("afe_lost", 0, R.DERATE, late("cells", Q.HELD, scan()), FINE),
    Case("afe_lost", 1, R.STOP, late("cells", Q.FAILED, scan()), late("cells", Q.HELD, scan())),
    Case("afe_settling", 0, R.INHIBIT, NO_CELLS, FINE),
    Case("afe_reset", 0, R.OPEN, doubt(D.RESET), FINE, unknown=BLIND),
    Case("afe_trip", 0, R.OPEN, of(trips=m.Trip.OVER_VOLTAGE), of(trips=m.Trip.HOST_WATCHDOG), latch=True,
         unknown=NO_CELLS),
    Case("afe_limits_refused", 0, R.INHIBIT, health(limits_accepted=False), FINE),
    Case("over_current_discharge", 0, R.OPEN, of(current_a=-110.1), of(current_a=-110.0), 2, unknown=NO_CELLS),
    Case("over_current_charge", 0, R.OPEN, of(current_a=55.1), of(current_a=55.0), 2, unknown=NO_CELLS),
    Case("short_circuit", 0, R.OPEN, of(trips=m.Trip.SHORT_CIRCUIT), of(trips=m.Trip.INTERNAL), latch=True,
         unknown=NO_CELLS),
    Case("shunt_lost", 0, R.STOP, late("shunt", Q.FAILED, 0), late("shunt", Q.HELD, m.ShuntReading(0.0))),
    Case("current_mismatch", 0, R.INHIBIT, doubt(D.CURRENT_MISMATCH, D.CURRENT_SUSPECT), FINE, 3,
         unknown=late("cells", Q.HELD, scan())),
    Case("current_mismatch", 1, R.STOP, doubt(D.CURRENT_MISMATCH),
         doubt(D.CURRENT_MISMATCH, D.CURRENT_SUSPECT), 8, unknown=late("cells", Q.HELD, scan())),
    Case("current_when_open", 0, R.SECOND, of(current_a=2.1), of(current_a=-2.0), 2, latch=True, unknown=NO_CELLS),
    Case("over_temperature", 0, R.BLOCK_D, heat(55.1), heat(55.0), 2, kept=heat(53.1), unknown=NO_TEMPS),
    Case("under_temperature_charge", 0, R.BLOCK_C, heat(1.9), heat(2.0), 2, kept=heat(3.9), unknown=NO_TEMPS),
    Case("under_temperature_discharge", 0, R.BLOCK_D, heat(-15.1), heat(-15.0), 2, kept=heat(-13.1), unknown=NO_TEMPS),
    Case("temperature_critical", 0, R.OPEN, heat(65.1), heat(65.0), 2, latch=True, kept=heat(63.1), unknown=NO_TEMPS),
    Case("probe_invalid", 0, R.DERATE, doubt(D.PROBE_RANGE), FINE, 2, unknown=NO_TEMPS),
    Case("probes_few", 0, R.STOP, doubt(D.PROBES_FEW), FINE, 3, unknown=NO_TEMPS),
    Case("temps_lost", 0, R.STOP, late("temps", Q.FAILED, 0), late("temps", Q.HELD, temps())),
    Case("main_welded", 0, R.INHIBIT, pins(main_aux_closed=False, main_negative_aux_closed=True),
         pins(main_aux_closed=False, main_negative_aux_closed=False), 1, 0.2, True, unknown=NO_PINS),
    Case("main_welded", 1, R.SECOND, pins(main_aux_closed=True), pins(S.CLOSED, main_aux_closed=True), 1, 0.2, True,
         unknown=NO_PINS),
    Case("main_not_closing", 0, R.OPEN, pins(S.CLOSED, main_aux_closed=False), pins(main_aux_closed=False), 1, 0.2,
         True,
         unknown={"state": S.CLOSED} | NO_PINS),
    Case("main_not_closing", 1, R.OPEN, pins(S.CLOSED, main_aux_closed=False) | {"closed_s": 0.21},
         pins(S.CLOSED, main_aux_closed=False) | {"closed_s": 0.2}, 1, 0.02, True,
         unknown={"state": S.CLOSED} | NO_PINS),
    Case("precharge_failed", 0, R.OPEN, {"control": m.Control(S.STANDBY, precharge_tries=3)},
         {"control": m.Control(S.STANDBY, precharge_tries=2)}, latch=True),
    Case("precharge_too_fast", 0, R.WARN, {"control": m.Control(S.STANDBY, precharge_fast=True)}, FINE),
    Case("precharge_welded", 0, R.INHIBIT, pins(precharge_aux_closed=True),
         pins(precharge_aux_closed=True) | {"command": m.Command(precharge=True)}, 1, 0.2, True, unknown=NO_PINS),
    Case("link_live", 0, R.INHIBIT, of(link_v=-6.7), of(link_v=6.6), unknown=NO_CELLS),
    Case("gpio_failed", 0, R.OPEN, {"actuated": m.Actuated(ok=False)}, FINE, latch=True, unknown=NO_PINS),
    Case("gpio_failed", 1, R.SECOND, {"actuated": m.Actuated(stuck=True)}, {"actuated": m.Actuated(ok=False)}, 1, 0.02,
         True, unknown=NO_PINS),
    Case("emergency_stop", 0, R.OPEN, pins(emergency_stop_ok=False), pins(emergency_stop_ok=None), latch=True,
         unknown=NO_PINS),
    Case("interlock_open", 0, R.STOP, pins(interlock_ok=False) | vcu(True), pins(interlock_ok=None), 1, 0.02, True,
         unknown=NO_PINS),
    Case("interlock_open", 1, R.OPEN, pins(interlock_ok=False) | vcu(False), pins(interlock_ok=False) | vcu(True), 1,
         0.02, True,
         unknown=NO_PINS),
    Case("vcu_lost", 0, R.DERATE, late("vcu", Q.FAILED, 0),
         late("vcu", Q.HELD, m.VcuRequest(m.Request.NONE, False, False))),
    Case("vcu_lost", 1, R.STOP, FINE, vcu(False), config=REQUIRED),
    Case("can_silent", 0, R.WARN, {"can": m.CanHealth(1.01)}, {"can": m.CanHealth(1.0)}),
    Case("can_silent", 1, R.STOP, {"can": m.CanHealth(3.01)}, {"can": m.CanHealth(3.0)}),
    Case("tick_overrun", 0, R.STOP, {"late_run_s": 0.11}, {"late_run_s": 0.1}),
    Case("journal_missing", 0, R.INHIBIT, health(commissioned=False), FINE),
    Case("journal_write", 0, R.WARN, health(journal_ok=False), FINE),
    Case("limit_exceeded", 0, R.WARN, flow(57.1), flow(56.9), 1, 5.0, unknown={"state": S.CLOSED} | NO_CELLS),
    Case("limit_exceeded", 1, R.STOP, flow(-112.1), flow(-111.9), 1, 30.0, unknown={"state": S.CLOSED} | NO_CELLS),
    Case("limit_exceeded", 2, R.STOP, flow(2.1, charge_a=0.0), flow(1.9, charge_a=0.0), 1, 2.0,
         unknown={"state": S.CLOSED} | NO_CELLS),
    Case("configuration_unapproved", 0, R.INHIBIT, health(approved=False), FINE),
    Case("pins_lost", 0, R.STOP, NO_PINS, late("pins", Q.HELD, m.Pins())),
    Case("over_temperature_charge", 0, R.BLOCK_C, heat(45.1), heat(45.0), 2, kept=heat(43.1), unknown=NO_TEMPS),
    Case("afe_watchdog", 0, R.OPEN, of(trips=m.Trip.HOST_WATCHDOG), of(trips=m.Trip.OVER_CURRENT_CHARGE),
         unknown=NO_CELLS),
    Case("stalled", 0, R.OPEN, ON | {"step_s": 0.181}, ON | {"step_s": 0.179}),
    Case("afe_outputs_off", 0, R.OPEN, outputs(charge_on=True), outputs(charge_on=True, discharge_on=True), 2,
         latch=True, unknown=outputs() | NO_CELLS),
    Case("fan_failed", 0, R.DERATE, {"actuated": m.Actuated(fan_ok=False)}, FINE),
    Case("contact_chatter", 0, R.WARN, pins(aux_changes=6), pins(aux_changes=5), unknown=NO_PINS),
    Case("estimator_restarted", 0, R.DERATE, {"estimate": m.Estimate(recovering=True)}, FINE),
    Case("soc_catching_up", 0, R.WARN, {"estimate": m.Estimate(soc_lag=0.101)}, {"estimate": m.Estimate(soc_lag=0.1)}),
    Case("current_contradicted", 0, R.WARN, doubt(D.CURRENT_CONTRADICTED), FINE, 1, 2.0, unknown=BLIND),
    Case("current_contradicted", 1, R.STOP, doubt(D.CURRENT_CONTRADICTED, D.CURRENT_STUCK),
         doubt(D.CURRENT_CONTRADICTED), 1, 10.0, unknown=BLIND),
    Case("terminals_mismatch", 0, R.INHIBIT, doubt(D.TERMINALS), FINE, 1, 2.0, unknown=BLIND),
    Case("temperature_spread", 0, R.WARN, apart(35.1), apart(35.0), 3, kept=apart(33.1), unknown=NO_TEMPS),
    Case("temperature_spread", 1, R.DERATE, apart(4.9), apart(5.0), 3, 30.0, kept=apart(6.9), unknown=NO_TEMPS),
    Case("contact_chatter", 1, R.OPEN, pins(aux_changes=11), pins(aux_changes=10), latch=True, unknown=NO_PINS),
)  # fmt: skip
