"""The fault table: what is compared, with which ladder, and what follows. protect.py interprets it.

A rule's probe gives one number; a rung holds while the number is above the rung's limit. Quantities that are bad when low
are probed with their sign turned. Identifiers such as S03 name rows of the fault catalogue (docs/faults.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from bms_daemon.config.schema import Settings
from bms_daemon.model import Domain, Reaction
from bms_daemon.stages import path_probes, probes
from bms_daemon.stages.probes import Scene

Limit: TypeAlias = Callable[[Settings], float]
YES: Limit = lambda _: 0.5  # noqa: E731  for probes that answer 0 or 1


class Group(Enum):
    """Which new sample makes a rule work; TICK rules work in every tick."""

    CELLS_TRIED = 0  # a new scan, believed or refused
    CELLS = 1  # a new good scan
    TEMPS_TRIED = 2
    TEMPS = 3
    COMPARED = 4  # a new sample of the slower of two currents
    CURRENT = 5  # a new good current, whoever measures it
    TICK = 6


@dataclass(frozen=True, slots=True)
class Rung:
    """Above ``limit`` in ``samples`` new samples and for ``hold_s``: ``reaction``. ``slack`` is the hysteresis."""

    reaction: Reaction
    limit: Limit = YES
    samples: int = 1
    hold_s: Limit | float = 0.0
    latch: bool = False
    slack: float = 0.0
    derate: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault: its code, its number on CAN, where it sits, what is compared and the ladder."""

    code: str
    number: int
    rows: str
    domain: Domain
    group: Group
    probe: Callable[[Scene], float]
    ladder: tuple[Rung, ...]
    where: Callable[[Scene], int] = probes.nowhere
    at_once: bool = False  # its OPEN does not wait for the fuse
    forgiven: bool = False  # its cause is a count, which the order to clear it starts anew
    low: bool = False  # what recovery charging is there to cure, or needs
    sign: float = 1.0  # of the probe, for showing


R, D, G = Reaction, Domain, Group
VOLTAGE_SLACK_V = 0.05
TEMPERATURE_SLACK_DEGC = 2.0


def _feedback_s(s: Settings) -> float:
    return s.contactor.feedback_s


def _nearly_dead_s(s: Settings) -> float:
    return s.timing.dead_man_s - s.timing.tick_s


def _over_charge_a(s: Settings) -> float:
    return s.current.over_ratio * s.current.charge_max_a


def _over_discharge_a(s: Settings) -> float:
    return s.current.over_ratio * s.current.discharge_max_a


def _middle_over_v(s: Settings) -> float:
    return (s.cell.max_v + s.cell.critical_max_v) / 2.0


def _much_lag(_: Settings) -> float:
    """10 points between the state of charge that is told and the one that is known."""
    return 0.1


def _some_changes(_: Settings) -> float:
    """5 changes of a contact within a second; a closing and an opening are two."""
    return 5.5


def _many_changes(_: Settings) -> float:
    """10 changes of a contact within a second."""
    return 10.5


RULES: tuple[Rule, ...] = (
    Rule("cell_over_voltage", 1, "S01", D.ELECTRICAL, G.CELLS, probes.max_cell_v,
         (Rung(R.BLOCK_C, lambda s: s.cell.max_v, samples=2, slack=VOLTAGE_SLACK_V),
          Rung(R.STOP, _middle_over_v, samples=2, hold_s=5.0, slack=VOLTAGE_SLACK_V)), probes.max_cell),
    Rule("cell_over_voltage_critical", 2, "S03", D.ELECTRICAL, G.CELLS, probes.max_cell_v,
         (Rung(R.OPEN, lambda s: s.cell.critical_max_v, samples=2, latch=True, slack=VOLTAGE_SLACK_V),), probes.max_cell),
    Rule("cell_under_voltage", 3, "S02", D.ELECTRICAL, G.CELLS, probes.minus_min_cell_v,
         (Rung(R.BLOCK_D, lambda s: -s.cell.min_v, samples=2, slack=VOLTAGE_SLACK_V),), probes.min_cell, low=True, sign=-1.0),
    Rule("cell_under_voltage_critical", 4, "S02", D.ELECTRICAL, G.CELLS, probes.minus_min_cell_v,
         (Rung(R.OPEN, lambda s: -s.cell.critical_min_v, samples=2, latch=True, slack=VOLTAGE_SLACK_V),),
         probes.min_cell, low=True, sign=-1.0),
    Rule("deep_discharge", 5, "S04", D.ELECTRICAL, G.CELLS, probes.minus_min_cell_v,
         (Rung(R.OPEN, lambda s: -s.cell.recharge_min_v, samples=3, latch=True, slack=VOLTAGE_SLACK_V),), probes.min_cell, sign=-1.0),
    Rule("afe_frozen", 6, "S06", D.SENSOR, G.TICK, probes.frozen_s, (Rung(R.STOP, lambda s: s.afe.frozen_s),)),
    Rule("cells_absent", 7, "S07", D.SENSOR, G.CELLS_TRIED, probes.cells_absent, (Rung(R.STOP, samples=3),)),
    Rule("cell_missing", 8, "S14 G04", D.SENSOR, G.CELLS_TRIED, probes.cell_missing, (Rung(R.OPEN, samples=2, latch=True),)),
    Rule("cell_implausible", 9, "S07 S08 S24", D.SENSOR, G.CELLS_TRIED, probes.cell_range, (Rung(R.INFO), Rung(R.STOP, samples=3))),
    Rule("sum_mismatch", 10, "S13", D.SENSOR, G.CELLS_TRIED, probes.sum_stack, (Rung(R.STOP, samples=3),)),
    Rule("afe_lost", 11, "S17 S25 B02 B03", D.COMMUNICATION, G.TICK, probes.cells_quality,
         (Rung(R.DERATE, derate=0.5), Rung(R.STOP, lambda _: 1.5))),
    Rule("afe_settling", 12, "S24 A12", D.SENSOR, G.TICK, probes.cells_never, (Rung(R.INHIBIT),)),
    Rule("afe_reset", 13, "S19", D.ELECTRICAL, G.CELLS_TRIED, probes.afe_reset, (Rung(R.OPEN),)),
    Rule("afe_trip", 14, "S20", D.ELECTRICAL, G.CELLS_TRIED, probes.afe_trip, (Rung(R.OPEN, latch=True),)),
    Rule("afe_limits_refused", 15, "G05", D.SENSOR, G.TICK, probes.limits_refused, (Rung(R.INHIBIT),)),
    Rule("over_current_discharge", 16, "S30", D.ELECTRICAL, G.CURRENT, probes.discharge_a, (Rung(R.OPEN, _over_discharge_a, samples=2),)),
    Rule("over_current_charge", 17, "S31", D.ELECTRICAL, G.CURRENT, probes.charge_a, (Rung(R.OPEN, _over_charge_a, samples=2),)),
    Rule("short_circuit", 18, "S32", D.ELECTRICAL, G.CELLS_TRIED, probes.short_circuit, (Rung(R.OPEN, latch=True),)),
    Rule("shunt_lost", 19, "S33 S39 S43", D.COMMUNICATION, G.TICK, probes.shunt_lost, (Rung(R.STOP, lambda _: 1.5),)),
    Rule("current_mismatch", 20, "S36 S41", D.SENSOR, G.COMPARED, probes.current_mismatch,
         (Rung(R.INHIBIT, samples=3, derate=0.5), Rung(R.STOP, lambda _: 1.5, samples=8))),
    Rule("current_when_open", 21, "S37 S38", D.CONTACTOR, G.CURRENT, probes.current_when_open_a,
         (Rung(R.SECOND, probes.quiet_a, samples=2, latch=True),)),
    Rule("over_temperature", 22, "S48", D.THERMAL, G.TEMPS, probes.max_degc,
         (Rung(R.BLOCK_D, lambda s: s.temperature.discharge_max_degc, samples=2, slack=TEMPERATURE_SLACK_DEGC),), probes.max_probe),
    Rule("under_temperature_charge", 23, "S49", D.THERMAL, G.TEMPS, probes.minus_min_degc,
         (Rung(R.BLOCK_C, lambda s: -s.temperature.charge_min_degc, samples=2, slack=TEMPERATURE_SLACK_DEGC),), probes.min_probe, sign=-1.0),
    Rule("under_temperature_discharge", 24, "S49", D.THERMAL, G.TEMPS, probes.minus_min_degc,
         (Rung(R.BLOCK_D, lambda s: -s.temperature.discharge_min_degc, samples=2, slack=TEMPERATURE_SLACK_DEGC),), probes.min_probe, sign=-1.0),
    Rule("temperature_critical", 25, "S48", D.THERMAL, G.TEMPS, probes.max_degc,
         (Rung(R.OPEN, lambda s: s.temperature.critical_max_degc, samples=2, latch=True, slack=TEMPERATURE_SLACK_DEGC),), probes.max_probe),
    Rule("probe_invalid", 26, "S45 S46", D.SENSOR, G.TEMPS_TRIED, probes.probe_range, (Rung(R.DERATE, samples=2, derate=0.5),)),
    Rule("probes_few", 27, "S45 S46", D.SENSOR, G.TEMPS_TRIED, probes.probes_few, (Rung(R.STOP, samples=3),)),
    Rule("temps_lost", 28, "S25", D.COMMUNICATION, G.TICK, probes.temps_quality, (Rung(R.STOP, lambda _: 1.5),)),
    Rule("main_welded", 29, "A01", D.CONTACTOR, G.TICK, path_probes.mains_welded,
         (Rung(R.INHIBIT, hold_s=_feedback_s, latch=True), Rung(R.SECOND, lambda _: 1.5, hold_s=_feedback_s, latch=True)),
         path_probes.welded_main),
    Rule("main_not_closing", 30, "A02", D.CONTACTOR, G.TICK, path_probes.main_not_closing,
         (Rung(R.OPEN, hold_s=_feedback_s, latch=True), Rung(R.OPEN, lambda _: 1.5, hold_s=0.02, latch=True))),
    Rule("precharge_failed", 31, "A05", D.CONTACTOR, G.TICK, path_probes.precharge_tries,
         (Rung(R.OPEN, lambda s: s.contactor.precharge_tries - 0.5, latch=True),), forgiven=True),
    Rule("precharge_too_fast", 32, "A06", D.CONTACTOR, G.TICK, path_probes.precharge_fast, (Rung(R.WARN),)),
    Rule("precharge_welded", 33, "A08", D.CONTACTOR, G.TICK, path_probes.precharge_welded, (Rung(R.INHIBIT, hold_s=_feedback_s, latch=True),)),
    Rule("link_live", 34, "A04 A08", D.CONTACTOR, G.CELLS, path_probes.link_ratio, (Rung(R.INHIBIT),), low=True),
    Rule("gpio_failed", 35, "A13 A14", D.CONTACTOR, G.TICK, path_probes.gpio_failed,
         (Rung(R.OPEN, latch=True), Rung(R.SECOND, lambda _: 1.5, hold_s=0.02, latch=True))),
    Rule("emergency_stop", 36, "A22", D.OPERATOR, G.TICK, path_probes.emergency_stop, (Rung(R.OPEN, latch=True),), at_once=True),
    Rule("interlock_open", 37, "A22 A23", D.OPERATOR, G.TICK, path_probes.interlock_open,
         (Rung(R.STOP, hold_s=0.02, latch=True), Rung(R.OPEN, lambda _: 1.5, hold_s=0.02, latch=True))),
    Rule("vcu_lost", 38, "C01 C02 C04", D.COMMUNICATION, G.TICK, path_probes.vcu_lost,
         (Rung(R.DERATE, derate=0.0), Rung(R.STOP, lambda _: 1.5))),
    Rule("can_silent", 39, "C10 C11 C12", D.COMMUNICATION, G.TICK, path_probes.can_silent_s,
         (Rung(R.WARN, lambda _: 1.0), Rung(R.STOP, lambda s: s.can.silent_s))),
    Rule("tick_overrun", 40, "P02", D.COMPUTE, G.TICK, path_probes.late_run_s, (Rung(R.STOP, lambda s: s.timing.overrun_stop_s),)),
    Rule("journal_missing", 41, "F03 F05", D.STORAGE, G.TICK, path_probes.not_commissioned, (Rung(R.INHIBIT),)),
    Rule("journal_write", 42, "F01 F02", D.STORAGE, G.TICK, path_probes.journal_failing, (Rung(R.WARN),)),
    Rule("limit_exceeded", 43, "C22", D.ELECTRICAL, G.CURRENT, probes.beyond_limit,
         (Rung(R.WARN, hold_s=5.0), Rung(R.STOP, hold_s=30.0), Rung(R.STOP, lambda _: 1.5, hold_s=2.0))),
    Rule("configuration_unapproved", 44, "G09", D.STORAGE, G.TICK, path_probes.not_approved, (Rung(R.INHIBIT),)),
    Rule("pins_lost", 45, "A13", D.COMMUNICATION, G.TICK, path_probes.pins_quality, (Rung(R.STOP, lambda _: 1.5),)),
    Rule("over_temperature_charge", 46, "S48", D.THERMAL, G.TEMPS, probes.max_degc,
         (Rung(R.BLOCK_C, lambda s: s.temperature.charge_max_degc, samples=2, slack=TEMPERATURE_SLACK_DEGC),), probes.max_probe),
    Rule("afe_watchdog", 47, "P07 P08", D.COMPUTE, G.CELLS_TRIED, probes.afe_watchdog, (Rung(R.OPEN),)),
    Rule("stalled", 48, "P03 P08 K03", D.COMPUTE, G.TICK, path_probes.stalled_s, (Rung(R.OPEN, _nearly_dead_s),), at_once=True),
    Rule("afe_outputs_off", 49, "S20", D.ELECTRICAL, G.CELLS, probes.outputs_off, (Rung(R.OPEN, samples=2, latch=True),)),
    Rule("fan_failed", 50, "A20", D.THERMAL, G.TICK, path_probes.fan_failed, (Rung(R.DERATE, derate=0.5),)),
    Rule("contact_chatter", 51, "A03", D.CONTACTOR, G.TICK, path_probes.aux_changes,
         (Rung(R.WARN, _some_changes), Rung(R.OPEN, _many_changes, latch=True))),
    Rule("estimator_restarted", 52, "P17", D.COMPUTE, G.TICK, path_probes.estimator_recovering, (Rung(R.DERATE, derate=0.5),)),
    Rule("soc_catching_up", 53, "P18", D.COMPUTE, G.TICK, path_probes.soc_lag, (Rung(R.WARN, _much_lag),)),
    Rule("current_contradicted", 54, "S34 S35 S36", D.SENSOR, G.TICK, probes.current_contradicted,
         (Rung(R.WARN, hold_s=2.0), Rung(R.STOP, lambda _: 1.5, hold_s=10.0))),
    Rule("terminals_mismatch", 55, "S12 S52", D.SENSOR, G.TICK, probes.terminals_apart, (Rung(R.INHIBIT, hold_s=2.0),)),
    Rule("temperature_spread", 56, "S47 S51", D.THERMAL, G.TEMPS, probes.hottest_spread_k,
         (Rung(R.WARN, lambda s: s.temperature.spread_k, samples=3, slack=TEMPERATURE_SLACK_DEGC),
          Rung(R.DERATE, lambda s: s.temperature.spread_k, samples=3, hold_s=30.0, slack=TEMPERATURE_SLACK_DEGC, derate=0.5)),
         probes.spread_probe),
)  # fmt: skip

CODES: dict[str, int] = {rule.code: rule.number for rule in RULES}
