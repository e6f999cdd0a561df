"""Redundant sensing: which of two is suspected when they disagree, and which one the daemon then goes by.

The table of what follows is docs/decisions/0009.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Self

from bms_daemon.config.pack_cell import pack_cell
from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Senses, Source, age_s, slower, spare
from bms_daemon.model import AfeScan, Channel, Doubt, ShuntReading
from bms_daemon.stages.terminals import Terminals, terminals
from bms_daemon.stages.witness import Witness, hear, span_ohm

TERMINAL_SHARE = 0.01  # by which the pack's terminals may differ from the cells, beside the sum's tolerance


@dataclass(frozen=True, slots=True)
class Sources:
    """Worked out once from the configuration. ``slower`` of two currents, with how old its samples may be."""

    senses: Senses
    spare: Source  # of the current
    slower: tuple[Source, float]
    span_ohm: tuple[float, float]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        senses, late = Senses.of(settings), slower(settings)
        age = (late, age_s(settings, late))
        return cls(senses, spare(settings, senses.current), age, span_ohm(pack_cell(settings)))


def vote(
    witness: Witness,
    last: Doubt,
    doubts: Doubt,
    cells: Channel[AfeScan],
    shunt: Channel[ShuntReading],
    sources: Sources,
    settings: Settings,
    now_s: float,
) -> tuple[Witness, Terminals, Doubt]:
    """What the cells say of the currents by now, whose terminals to go by, and the doubts with those of this stage.

    ``last``: the doubts of the tick before.
    """
    senses = sources.senses
    known = terminals(senses, cells, shunt)
    witness = hear(witness, cells, shunt, known.pack_v, sources.span_ohm, now_s)
    disagreed = doubts & Doubt.CURRENT_MISMATCH or last & Doubt.CURRENT_SUSPECT
    if witness.suspect is not Source.NONE and not disagreed:
        witness = replace(witness, suspect=Source.NONE)  # who was spoken against while they agreed is no suspect later
    doubts |= current_doubts(witness, senses, sources.spare)
    doubts |= terminal_doubts(witness, last, settings)
    if doubts & Doubt.CURRENT_SUSPECT:
        known = terminals(trusted(witness, senses, sources.spare), cells, shunt)
    return witness, known, doubts


def current_doubts(witness: Witness, senses: Senses, spare: Source) -> Doubt:
    """CURRENT_SUSPECT: of two that disagree one is suspected, and the other is good enough to go by."""
    found, used, suspected = Doubt.NONE, senses, witness.suspect
    if suspected not in (Source.NONE, senses.current) or (suspected is senses.current and spare is not Source.NONE):
        found, used = Doubt.CURRENT_SUSPECT, trusted(witness, senses, spare)
    tally = witness.afe if used.current is Source.AFE else witness.shunt
    if tally.contradicted:
        found |= Doubt.CURRENT_CONTRADICTED
    return found | Doubt.CURRENT_STUCK if tally.stuck else found


def trusted(witness: Witness, senses: Senses, spare: Source) -> Senses:
    """Who is to be gone by where there is a suspect: the spare in place of the usual one, if that is the suspect."""
    return replace(senses, current=spare) if witness.suspect is senses.current else senses


def terminal_doubts(witness: Witness, doubts: Doubt, settings: Settings) -> Doubt:
    """TERMINALS: the pack's terminals contradict the cells over a whole beat; it stands until a known one does not."""
    sum_v = witness.last.cell_v.value * settings.pack.series
    apart_v = abs(witness.last.pack_v.value - sum_v)
    if not (witness.ended and isfinite(apart_v)):
        return doubts & Doubt.TERMINALS
    return Doubt.TERMINALS if apart_v > 2.0 * settings.cell.sum_tolerance_v + TERMINAL_SHARE * sum_v else Doubt.NONE
