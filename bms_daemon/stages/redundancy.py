"""Redundant sensing: which of two is suspected when they disagree, and which one the daemon then goes by.

The table of what follows is docs/decisions/0009.
"""

from __future__ import annotations

from dataclasses import replace

from bms_daemon.config.schema import Settings
from bms_daemon.config.senses import Senses, Source
from bms_daemon.model import Doubt
from bms_daemon.stages.witness import Witness

TERMINAL_SHARE = 0.01  # by which the pack's terminals may differ from the cells, beside the sum's tolerance


def current_doubts(witness: Witness, senses: Senses, spare: Source, doubts: Doubt) -> Doubt:
    """CURRENT_SUSPECT: of two that disagree one is suspected, and the other is good enough to go by.

    ``doubts`` holds whether they disagree now, and what was found last: a suspect stays one while its verdict stands.
    """
    found, used = Doubt.NONE, senses
    disagreed = doubts & (Doubt.CURRENT_MISMATCH | Doubt.CURRENT_SUSPECT)
    suspected = witness.suspect if disagreed else Source.NONE
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
    """TERMINALS: the pack's terminals contradict the cells over a whole beat; it stands until a beat does not."""
    if not witness.ended:
        return doubts & Doubt.TERMINALS
    sum_v = witness.last.cell_v.value * settings.pack.series
    allowed_v = 2.0 * settings.cell.sum_tolerance_v + TERMINAL_SHARE * sum_v
    return Doubt.TERMINALS if abs(witness.last.pack_v.value - sum_v) > allowed_v else Doubt.NONE
