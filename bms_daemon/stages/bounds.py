"""How long each reaction may take in one configuration, worked out beside the rule table.

A bound is max(the row's number in the fault catalogue, chip time + n x source period + 2 ticks); "silent" is three
periods of the source. It runs from the condition being true at the sensor or on the bus; contactor mechanics come on
top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Senses, Source, age_s, period_s, slower
from bms_daemon.config.topology import TOPOLOGIES
from bms_daemon.model import Reaction
from bms_daemon.stages.guards import UNKNOWN_GRACE_S, UNSEEN_GRACE_S
from bms_daemon.stages.rules import RULES, Group, Rule, Rung

R = Reaction
SILENT = 3  # periods of a source
LOOK_S = 1.0  # between two looks of the estimators
UNSEEN = frozenset({"afe_lost", "afe_frozen", "cells_absent", "cell_implausible"})  # they leave the cells unknown
BLINDING = {Source.AFE: UNSEEN, Source.SHUNT: frozenset({"shunt_lost"}), Source.NONE: frozenset[str]()}
"""What leaves the current unknown, by who measures it."""
AFE_CURRENTS = frozenset({"short_circuit"})  # that the chip's own current tells, whoever else measures one


@dataclass(frozen=True, slots=True)
class Bound:
    """``announce_s``: until the reaction is decided and said; ``open_s``: until the coil is released, None: it is not.

    ``how`` says what the time is made of, in words.
    """

    row: str
    code: str
    reaction: Reaction
    announce_s: float
    open_s: float | None
    how: str


Need = tuple[float, str]
CONTACTS = frozenset({"main_welded", "main_not_closing", "contact_chatter"})  # seen by auxiliary contacts alone
Numbered = tuple[str, str, Reaction, float]

# The fault catalogue's numbers: row, code, rung, seconds.
NUMBERS: tuple[Numbered, ...] = (
    ("S01", "cell_over_voltage", R.BLOCK_C, 1.0),
    ("S02", "cell_under_voltage", R.BLOCK_D, 1.0),
    ("S02", "cell_under_voltage_critical", R.OPEN, 1.0),
    ("S03", "cell_over_voltage_critical", R.OPEN, 0.3),
    ("S04", "deep_discharge", R.OPEN, 0.5),
    ("S06", "afe_frozen", R.STOP, 1.0),
    ("S07", "cells_absent", R.STOP, 0.3),
    ("S07", "cell_implausible", R.STOP, 0.3),
    ("S13", "sum_mismatch", R.STOP, 0.5),
    ("S14", "cell_missing", R.OPEN, 0.3),
    ("S17", "afe_lost", R.STOP, 0.5),
    ("S20", "afe_trip", R.OPEN, 0.0),
    ("S24", "afe_settling", R.INHIBIT, 0.0),
    ("S30", "over_current_discharge", R.OPEN, 0.2),
    ("S31", "over_current_charge", R.OPEN, 0.2),
    ("S32", "short_circuit", R.OPEN, 0.1),
    ("S33", "shunt_lost", R.STOP, 0.5),
    ("S38", "current_when_open", R.SECOND, 0.2),
    ("S41", "current_mismatch", R.STOP, 1.0),
    ("S45", "probe_invalid", R.DERATE, 5.0),
    ("S45", "probes_few", R.STOP, 5.0),
    ("S48", "over_temperature_charge", R.BLOCK_C, 5.0),
    ("S48", "over_temperature", R.BLOCK_D, 5.0),
    ("S48", "temperature_critical", R.OPEN, 5.0),
    ("S49", "under_temperature_charge", R.BLOCK_C, 5.0),
    ("B02", "afe_lost", R.STOP, 0.5),
    ("B03", "afe_lost", R.STOP, 0.5),
    ("A01", "main_welded", R.SECOND, 0.3),
    ("A02", "main_not_closing", R.OPEN, 0.3),
    ("A03", "contact_chatter", R.OPEN, 1.0),
    ("A14", "gpio_failed", R.SECOND, 0.0),
    ("A22", "emergency_stop", R.OPEN, 0.1),
    ("A22", "interlock_open", R.OPEN, 0.1),
    ("A22", "interlock_open", R.STOP, 0.1),
    ("C01", "vcu_lost", R.STOP, 1.0),
    ("C01", "vcu_lost", R.DERATE, 1.0),
    ("C04", "vcu_lost", R.STOP, 1.0),
    ("C04", "vcu_lost", R.DERATE, 1.0),
    ("C10", "can_silent", R.STOP, 3.0),
    ("C22", "limit_exceeded", R.WARN, 5.0),
    ("P02", "tick_overrun", R.STOP, 0.5),
    ("P17", "estimator_restarted", R.DERATE, 0.0),
    ("F03", "journal_missing", R.INHIBIT, 0.0),
)

_SAMPLED: dict[Group, tuple[str, Callable[[Settings], float]]] = {
    Group.CELLS: ("scan", lambda s: s.afe.scan_period_s),
    Group.CELLS_TRIED: ("scan", lambda s: s.afe.scan_period_s),
    Group.TEMPS: ("temperature scan", lambda s: s.afe.temp_period_s),
    Group.TEMPS_TRIED: ("temperature scan", lambda s: s.afe.temp_period_s),
    Group.COMPARED: ("slower current", lambda s: period_s(s, slower(s))),
    Group.CURRENT: ("current", lambda s: period_s(s, Senses.of(s).current)),
}
_SILENT: dict[str, tuple[str, Callable[[Settings], float]]] = {
    "afe_lost": _SAMPLED[Group.CELLS],
    "temps_lost": _SAMPLED[Group.TEMPS],
    "shunt_lost": ("shunt message", lambda s: s.shunt.period_s if s.shunt else 0.0),
    "pins_lost": ("pin reading", lambda s: s.gpio.read_period_s),
}
_WAITED: dict[str, tuple[str, Callable[[Settings], float]]] = {
    "afe_frozen": ("afe.frozen_s + a scan", lambda s: s.afe.frozen_s + s.afe.scan_period_s),
    "vcu_lost": ("can.vcu_timeout_s", lambda s: s.can.vcu_timeout_s),
    "estimator_restarted": ("a look at the cells", lambda s: LOOK_S + s.afe.scan_period_s),
    "can_silent": ("can.silent_s", lambda s: s.can.silent_s),
    "tick_overrun": ("timing.overrun_stop_s + 2 ticks", lambda s: s.timing.overrun_stop_s + 2.0 * s.timing.tick_s),
}


def bounds(settings: Settings) -> list[Bound]:
    """The bound of every numbered row in this configuration, in seconds."""
    rules = {rule.code: rule for rule in RULES}
    found = [_bound(numbered, rules[numbered[1]], settings) for numbered in NUMBERS if _concerns(numbered, settings)]
    path = TOPOLOGIES[settings.contactor.topology]
    return [*found, *([_precharge(settings)] if path.precharges else []), *_process(settings)]


def _concerns(numbered: Numbered, settings: Settings) -> bool:
    _, code, reaction, _ = numbered
    if code in CONTACTS:
        return settings.contactor.aux_feedback
    if code == "shunt_lost":
        return settings.shunt is not None
    if code == "short_circuit":
        return "short_circuit_a" in settings.afe.settings.hardware_limits()
    if code == "current_mismatch":
        return settings.shunt is not None and "current_a" in settings.afe.settings.measures
    if code == "vcu_lost":
        return settings.can.vcu == ("required" if reaction is R.STOP else "optional")
    return True


def _bound(numbered: Numbered, rule: Rule, settings: Settings) -> Bound:
    row, code, reaction, number_s = numbered
    rung = next(rung for rung in rule.ladder if rung.reaction is reaction)
    needed_s, how = _needed(rule, rung, settings)
    needed_s += 2.0 * settings.timing.tick_s
    announce_s = max(number_s, needed_s)
    how = f"{how} + 2 ticks" if needed_s >= number_s else f"{number_s:g} s; {how} + 2 ticks are less"
    if reaction is R.STOP:
        grace_s = _grace_s(code, settings)
        return Bound(row, code, reaction, announce_s, announce_s + grace_s, f"{how}; opens {grace_s:g} s later")
    return Bound(row, code, reaction, announce_s, announce_s if reaction >= R.OPEN else None, how)


def _grace_s(code: str, settings: Settings) -> float:
    """How long a STOP waits for low current."""
    if code in BLINDING[Senses.of(settings).current]:
        return UNKNOWN_GRACE_S
    return min(settings.open_grace_s, UNSEEN_GRACE_S) if code in UNSEEN else settings.open_grace_s


def _needed(rule: Rule, rung: Rung, settings: Settings) -> Need:
    """What sampling and debounce take at worst, without the two ticks."""
    hold_s = rung.hold_s if isinstance(rung.hold_s, float) else rung.hold_s(settings)
    if rule.code in _SILENT:
        name, period = _SILENT[rule.code]
        return SILENT * period(settings), f"{SILENT} x {name}"
    if rule.code in _WAITED:
        name, wait = _WAITED[rule.code]
        return wait(settings), name
    if rule.group is Group.TICK:
        return hold_s, f"{hold_s:g} s held" if hold_s else "at once"
    name, period = _SAMPLED[rule.group]
    chip_s = _chip_s(rule, settings)
    held = f" + {hold_s:g} s held" if hold_s else ""
    return chip_s + rung.samples * period(settings) + hold_s, f"chip {chip_s:g} s + {rung.samples} x {name}{held}"


def _chip_s(rule: Rule, settings: Settings) -> float:
    """How old a value may be when it is read."""
    if rule.group in (Group.CURRENT, Group.COMPARED):
        return age_s(settings, slower(settings) if rule.group is Group.COMPARED else Senses.of(settings).current)
    loop_s, current_s = settings.afe.settings.chip_s
    return current_s if rule.code in AFE_CURRENTS else loop_s


def _precharge(settings: Settings) -> Bound:
    """A05: one try, from the precharge coil on to off."""
    longest_s = max(2.0, settings.contactor.precharge_s) + 2.0 * settings.timing.tick_s
    return Bound("A05", "precharge_failed", R.OPEN, longest_s, longest_s, "contactor.precharge_s + 2 ticks, each try")


def _process(settings: Settings) -> list[Bound]:
    """What opens when the daemon no longer can: the dead-man, and the chip's own watchdog behind it."""
    tick_s, dead_s = settings.timing.tick_s, settings.timing.dead_man_s
    found = [
        Bound("P06", "exception", R.OPEN, 2.0 * tick_s, 2.0 * tick_s, "the exception's own tick"),
        Bound("P07", "dead_man", R.OPEN, dead_s, dead_s, "timing.dead_man_s after its last edge"),
        Bound("A16", "dead_man", R.OPEN, dead_s, dead_s, "timing.dead_man_s after its last edge"),
    ]
    hardware = settings.afe.settings.hardware_limits()
    if "host_watchdog_s" in hardware:
        watchdog_s = hardware["host_watchdog_s"]
        how = "the chip's host watchdog, should the dead-man fail"
        found.append(Bound("P07", "afe_watchdog", R.OPEN, watchdog_s, watchdog_s, how))
    return found


def table(settings: Settings) -> str:
    """The bounds as text, one line a row."""
    lines = [f"{'row':<4} {'code':<28} {'class':<8} {'announce':>9} {'open':>9}  made of"]
    for bound in bounds(settings):
        opens = f"{bound.open_s:.3f} s" if bound.open_s is not None else "-"
        name = bound.reaction.name.replace("_", "-")
        lines.append(f"{bound.row:<4} {bound.code:<28} {name:<8} {bound.announce_s:>7.3f} s {opens:>9}  {bound.how}")
    return "\n".join(lines)
