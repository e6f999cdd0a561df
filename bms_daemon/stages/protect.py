"""Protect: interpret the fault table. Debounce counts new samples, durations are seconds, unknown clears nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bms_daemon.config.schema import Settings
from bms_daemon.model import Domain, Fault, Faults, Measured, Reaction
from bms_daemon.stages.probes import Scene
from bms_daemon.stages.rules import RULES, Group, Rule, Rung

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """A rung whose condition holds: for how many samples, since when, and whether it has become active."""

    count: int
    since_s: float
    active: bool
    fault: Fault
    derate: float


@dataclass(frozen=True, slots=True)
class ProtectState:
    """Rungs that stand, faults that are latched, and the picture that follows from both."""

    standings: Mapping[Key, Standing] = field(default_factory=dict)
    latched: Mapping[str, Fault] = field(default_factory=dict)
    faults: Faults = Faults()
    kept: frozenset[str] = frozenset()  # latches that no order clears now: their cause stands or cannot be seen


@dataclass(frozen=True, slots=True)
class Step:
    """A rung with its numbers worked out."""

    limit: float
    clear: float
    hold_s: float
    rung: Rung


@dataclass(frozen=True, slots=True)
class Armed:
    """A rule with its numbers worked out. ``floor`` is the lowest limit: below it nothing begins."""

    rule: Rule
    steps: tuple[Step, ...]
    floor: float


RuleSet = Mapping[Group, tuple[Armed, ...]]


def arm(settings: Settings, rules: Iterable[Rule] = RULES) -> RuleSet:
    """Work out every limit of the table for one configuration."""
    groups: dict[Group, list[Armed]] = {group: [] for group in Group}
    for rule in rules:
        steps = tuple(_step(rung, settings) for rung in rule.ladder)
        groups[rule.group].append(Armed(rule, steps, min(step.limit for step in steps)))
    return {group: tuple(armed) for group, armed in groups.items()}


def _step(rung: Rung, settings: Settings) -> Step:
    limit = rung.limit(settings)
    hold_s = rung.hold_s(settings) if callable(rung.hold_s) else rung.hold_s
    return Step(limit, limit - rung.slack, hold_s, rung)


def restore(latched: Iterable[str], now_s: float, rules: Iterable[Rule] = RULES) -> ProtectState:
    """The state after a restart: what was latched is latched. An unknown code is kept as one that forbids closing."""
    by_code = {rule.code: rule for rule in rules}
    faults = {code: _remembered(code, by_code.get(code), now_s) for code in latched}
    return ProtectState(latched=faults, faults=_picture({}, faults))


def _remembered(code: str, rule: Rule | None, now_s: float) -> Fault:
    if rule is None:
        return Fault(code, 0, Domain.STORAGE, Reaction.INHIBIT, True, now_s)
    worst = max((rung.reaction for rung in rule.ladder if rung.latch), default=Reaction.INHIBIT)
    return Fault(code, rule.number, rule.domain, worst, True, now_s)


def due_groups(measured: Measured) -> tuple[Group, ...]:
    """The groups that have something new in this tick."""
    due = [Group.TICK]
    if measured.cells.tried:
        due.append(Group.CELLS_TRIED)
    if measured.cells.fresh:
        due.append(Group.CELLS)
    if measured.temps.tried:
        due.append(Group.TEMPS_TRIED)
    if measured.temps.fresh:
        due.append(Group.TEMPS)
    if measured.compared:
        due.append(Group.COMPARED)
    if measured.current_fresh:
        due.append(Group.CURRENT)
    return tuple(due)


def protect(scene: Scene, state: ProtectState, rules: RuleSet, now_s: float) -> tuple[Faults, ProtectState]:
    """Work every due rule, latch what latches, clear what an order clears and whose cause is gone."""
    standings = dict(state.standings)
    standing = {code for code, _ in standings}
    changed = False
    for group in due_groups(scene.measured):
        for armed in rules[group]:
            value = armed.rule.probe(scene)
            if value > armed.floor or armed.rule.code in standing:
                changed |= _work(armed, value, scene, standings, now_s)
    latched = _latched(state.latched, standings) if changed else state.latched
    kept = _kept(latched, rules, standings, scene) if latched else frozenset()
    latched = _cleared(latched, kept, scene.measured.orders.clear)
    changed = changed or latched is not state.latched
    faults = _picture(standings, latched) if changed else state.faults
    return faults, ProtectState(standings, latched, faults, kept)


def _work(armed: Armed, value: float, scene: Scene, standings: dict[Key, Standing], now_s: float) -> bool:
    """Work one rule that begins or stands; True when the picture changes. Unknown changes nothing."""
    if value != value:
        return False
    changed = False
    for i, step in enumerate(armed.steps):
        changed |= _climb(armed.rule, step, (armed.rule.code, i), value, scene, standings, now_s)
    return changed


def _climb(
    rule: Rule, step: Step, key: Key, value: float, scene: Scene, standings: dict[Key, Standing], now_s: float
) -> bool:
    """Work one rung with a number that is known; True when the picture changes."""
    standing = standings.get(key)
    active = standing is not None and standing.active
    forbids = step.rung.reaction >= Reaction.INHIBIT
    if not value > (step.clear if active else step.limit):
        standings.pop(key, None)
        return active or (forbids and standing is not None)
    if active:
        return False
    count, since_s = (1, now_s) if standing is None else (standing.count + 1, standing.since_s)
    active = count >= step.rung.samples and now_s - since_s >= step.hold_s - 1e-9
    standings[key] = Standing(count, since_s, active, _fault(rule, step, value, scene, since_s), step.rung.derate)
    return active or (forbids and standing is None)


def _fault(rule: Rule, step: Step, value: float, scene: Scene, since_s: float) -> Fault:
    sign = rule.sign
    return Fault(
        rule.code,
        rule.number,
        rule.domain,
        step.rung.reaction,
        step.rung.latch,
        since_s,
        sign * value,
        sign * step.limit,
        rule.where(scene),
    )


def _latched(latched: Mapping[str, Fault], standings: Mapping[Key, Standing]) -> Mapping[str, Fault]:
    new = {
        standing.fault.code: standing.fault
        for standing in standings.values()
        if standing.active and standing.fault.latched and standing.fault.code not in latched
    }
    return {**latched, **new} if new else latched


def _kept(
    latched: Mapping[str, Fault], rules: RuleSet, standings: Mapping[Key, Standing], scene: Scene
) -> frozenset[str]:
    unseen = {
        armed.rule.code for group in rules.values() for armed in group
        if armed.rule.code in latched and _unseen(armed.rule, scene)
    }  # fmt: skip
    return frozenset(unseen | (latched.keys() & {code for code, _ in standings}))


def _unseen(rule: Rule, scene: Scene) -> bool:
    value = rule.probe(scene)
    return value != value


def _cleared(latched: Mapping[str, Fault], kept: frozenset[str], named: tuple[str, ...]) -> Mapping[str, Fault]:
    """Drop the latches that an order names ("all" names every one), except those that are to be kept."""
    if not named or not latched:
        return latched
    return {code: fault for code, fault in latched.items() if code in kept or not ("all" in named or code in named)}


def why_not_clear(code: str, state: ProtectState) -> str:
    """Why an order to clear would change nothing, in words for its sender; empty when it would."""
    named = set(state.latched) if code == "all" else {code} & set(state.latched)
    if not named:
        return "nothing is latched" if code == "all" else f"{code!r} is not latched; `bms-daemon status` names what is"
    kept = named & state.kept - FORGIVEN_CODES
    return f"the cause is still there, or cannot be seen now: {', '.join(sorted(kept))}" if kept == named else ""


LOW_CODES = frozenset(rule.code for rule in RULES if rule.low)
FORGIVEN_CODES = frozenset(rule.code for rule in RULES if rule.forgiven)
AT_ONCE_CODES = frozenset(rule.code for rule in RULES if rule.at_once)


def _picture(standings: Mapping[Key, Standing], latched: Mapping[str, Fault]) -> Faults:
    found = [(standing.fault, standing.derate) for standing in standings.values() if standing.active]
    found += [(fault, 1.0) for fault in latched.values()]
    doubtful = any(not s.active and s.fault.reaction >= Reaction.INHIBIT for s in standings.values())
    everything = replace(_sum_up(found), suspect=doubtful)
    if not any(fault.code in LOW_CODES for fault, _ in found):
        return everything
    kept = _sum_up([item for item in found if item[0].code not in LOW_CODES])
    return replace(everything, but_low=replace(kept, suspect=doubtful))


def _sum_up(found: list[tuple[Fault, float]]) -> Faults:
    """One line a code, the worst first, and which reactions are in force."""
    worst: dict[str, Fault] = {}
    for fault, _ in found:
        if fault.code not in worst or fault.reaction > worst[fault.code].reaction:
            worst[fault.code] = fault
    reactions = {fault.reaction for fault, _ in found}
    latched = tuple(sorted({fault.code for fault, _ in found if fault.latched}))
    opens = Reaction.OPEN in reactions or Reaction.SECOND in reactions
    return Faults(
        active=tuple(sorted(worst.values(), key=lambda fault: (-fault.reaction, fault.since_s, fault.number))),
        latched=latched,
        derate=min((derate for _, derate in found), default=1.0),
        block_charge=Reaction.BLOCK_C in reactions,
        block_discharge=Reaction.BLOCK_D in reactions,
        inhibit=bool(latched) or any(reaction >= Reaction.INHIBIT for reaction in reactions),
        stop=Reaction.STOP in reactions,
        open=opens,
        at_once=any(fault.code in AT_ONCE_CODES for fault, _ in found),
        second=Reaction.SECOND in reactions,
    )
