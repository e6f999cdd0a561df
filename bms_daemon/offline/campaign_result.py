"""What one run of the campaign found, and how it is judged against its bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bms_daemon.config.schema import Settings
from bms_daemon.model import Reaction
from bms_daemon.offline.campaign_bench import Bench, Seen
from bms_daemon.stages.bounds import Bound, bounds
from bms_daemon.stages.rules import RULES

INF = float("inf")
NAN = float("nan")
R = Reaction
SLACK_S = 1e-6
LIMIT_A = 0.1  # a step of a limit on the bus


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Times are seconds from the fault being true at the sensor, NaN where the row has no such step.

    ``detect_s``: first tick in which validated data show it; ``decide_s``: from there to the command or announcement;
    ``actuate_s``: from there to the coil released, 0 where hardware was first; ``announce_s``: limit frame on the bus;
    ``open_s``: coil released.
    """

    case: str
    row: str
    mode: str
    phase: int
    code: str
    reaction: Reaction
    problems: tuple[str, ...] = ()
    detect_s: float = NAN
    decide_s: float = NAN
    actuate_s: float = NAN
    announce_s: float = NAN
    open_s: float = NAN
    announce_bound_s: float = NAN
    open_bound_s: float = NAN


Decided = Callable[[Seen], bool]
DECIDED: Mapping[Reaction, Decided] = {
    R.DERATE: lambda seen: seen.snapshot.faults.derate < 1.0,
    R.BLOCK_C: lambda seen: seen.snapshot.faults.block_charge and seen.snapshot.limits.charge_a == 0.0,
    R.BLOCK_D: lambda seen: seen.snapshot.faults.block_discharge and seen.snapshot.limits.discharge_a == 0.0,
    R.INHIBIT: lambda seen: seen.snapshot.faults.inhibit,
    R.STOP: lambda seen: seen.snapshot.control.open_pending or not seen.snapshot.command.main,
    R.OPEN: lambda seen: not seen.snapshot.command.main and not seen.snapshot.command.precharge,
    R.SECOND: lambda seen: seen.snapshot.command.second,
}


def bound_of(settings: Settings, row: str, code: str, reaction: Reaction) -> Bound | None:
    """The row's bound in this configuration; None for a row without a number."""
    found = (b for b in bounds(settings) if (b.row, b.code, b.reaction) == (row, code, reaction))
    return next(found, None)


def shows(seen: Seen, code: str, reaction: Reaction) -> bool:
    """The fault is active with its class in this tick."""
    return any(fault.code == code and fault.reaction is reaction for fault in seen.snapshot.faults.active)


def announced_s(bench: Bench, reaction: Reaction, after_s: float, share: float = 0.0) -> float:
    """When limits that say it were on the bus; for STOP the state frame must also say that an opening is pending."""
    limits = [heard for heard in bench.node.limits if heard.time_s >= after_s]
    if reaction is R.BLOCK_C:
        return next((heard.time_s for heard in limits if heard.charge_a == 0.0), INF)
    if reaction is R.BLOCK_D:
        return next((heard.time_s for heard in limits if heard.discharge_a == 0.0), INF)
    if reaction is R.DERATE:
        return _lowered_s(bench, share, after_s)
    zero_s = next((heard.time_s for heard in limits if heard.charge_a == heard.discharge_a == 0.0), INF)
    if reaction is not R.STOP:
        return zero_s
    pending = (heard.time_s for heard in bench.node.states if heard.time_s >= after_s and heard.open_pending)
    return max(zero_s, next(pending, zero_s))


def _lowered_s(bench: Bench, share: float, after_s: float) -> float:
    """When both limits were no more than that share of what they were before."""
    before = next(heard for heard in reversed(bench.node.limits) if heard.time_s < after_s)
    charge_a, discharge_a = (share * each + LIMIT_A for each in (before.charge_a, before.discharge_a))
    low = (heard for heard in bench.node.limits if heard.charge_a <= charge_a and heard.discharge_a <= discharge_a)
    return next((heard.time_s for heard in low if heard.time_s >= after_s), INF)


def _share(code: str, reaction: Reaction) -> float:
    """What the rule's rung leaves of the limits."""
    ladder = next((rule.ladder for rule in RULES if rule.code == code), ())
    return next((rung.derate for rung in ladder if rung.reaction is reaction), 0.0)


def released_by_s(bench: Bench, reaction: Reaction, after_s: float) -> float:
    """When the pack was cut: the second disconnect's line where the coil no longer can, the coil everywhere else."""
    return bench.first(after_s, lambda seen: seen.second) if reaction is R.SECOND else bench.released_s(after_s)


def measure(bench: Bench, blank: Result, true_s: float) -> Result:
    """Times of a run whose fault was true from ``true_s`` on, and everything that is wrong with them."""
    code, reaction = blank.code, blank.reaction
    share = _share(code, reaction)
    detect_s = bench.first(true_s, lambda seen: code in seen.standing)
    decide_s = bench.first(true_s, lambda seen: shows(seen, code, reaction) and DECIDED[reaction](seen))
    opens = reaction >= R.STOP
    open_s = released_by_s(bench, reaction, true_s) if opens else NAN
    bound = bound_of(bench.settings, blank.row, code, reaction)
    found = replace(
        blank,
        detect_s=detect_s - true_s,
        decide_s=decide_s - detect_s,
        actuate_s=max(0.0, open_s - decide_s),
        announce_s=NAN if reaction is R.SECOND else announced_s(bench, reaction, true_s, share) - true_s,
        open_s=open_s - true_s,
        announce_bound_s=bound.announce_s if bound else NAN,
        open_bound_s=bound.open_s if bound and bound.open_s is not None else NAN,
    )
    return with_problems(found, late(found))


def late(found: Result) -> list[str]:
    """What missed its bound or never came."""
    problems = []
    if found.decide_s == INF or found.decide_s != found.decide_s:
        problems.append(f"{found.code} never became {found.reaction.name}")
    for what, took_s, bound_s in (
        ("announced", found.announce_s, found.announce_bound_s),
        ("opened", found.open_s, found.open_bound_s),
    ):
        if took_s > bound_s + SLACK_S:
            problems.append(f"{what} after {took_s:.3f} s, bound {bound_s:.3f} s")
    return problems


def with_problems(result: Result, problems: list[str]) -> Result:
    """The same with more problems."""
    return replace(result, problems=(*result.problems, *problems)) if problems else result
