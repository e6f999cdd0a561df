"""Writes docs/faults.md from the fault table: ``python -m bms_daemon.offline.faultdoc > docs/faults.md``.

A rung's limit is a function of the settings; it is called with a stand-in that notes which fields it uses, so that the
document names the keys of the configuration file rather than one pack's numbers.
"""

from __future__ import annotations

import re
import sys
from typing import Any, cast

from bms_daemon.config.schema import Settings
from bms_daemon.model import Reaction
from bms_daemon.stages.rules import RULES, Group, Rule, Rung

WHEN = {
    Group.CELLS_TRIED: "cell scan, good or not",
    Group.CELLS: "good cell scan",
    Group.TEMPS_TRIED: "temperature scan, good or not",
    Group.TEMPS: "good temperature scan",
    Group.COMPARED: "slower current",
    Group.CURRENT: "current, by whoever measures it",
    Group.TICK: "tick",
}
REACTIONS = {
    Reaction.INFO: "logged and counted, nothing else",
    Reaction.WARN: "event and warning on CAN and MQTT; limits stay",
    Reaction.DERATE: "published limits are multiplied by the factor given",
    Reaction.BLOCK_C: "no charging: its limit is 0; current that flows on means STOP",
    Reaction.BLOCK_D: "no discharging: its limit is 0; current that flows on means STOP",
    Reaction.INHIBIT: "an open pack does not close; a closed one stays closed",
    Reaction.STOP: "limits 0 at once; opens when the current is small or the grace has run out",
    Reaction.OPEN: "opens in this tick; above `contactor.break_max_a` it first waits for the fuse",
    Reaction.SECOND: "opens and trips the second disconnect, because the first did not work",
}
UNITS = {"s": "s", "v": "V", "a": "A", "degc": "°C"}
HEADER = """# Faults

Written by `python -m bms_daemon.offline.faultdoc` from `bms_daemon/stages/rules.py`; change it there.

A fault has a ladder: the worst rung whose condition holds decides the reaction. *Latched* rungs survive a restart and
are cleared only by `bms-daemon request clear CODE`, once the cause is gone. Names like `cell.max_v` are keys of the
configuration file. The number is what CAN carries; ids such as S03 are the rows of the fault catalogue that a fault
answers to.
"""


class Noted:
    """Stands in for settings: attribute access and arithmetic give text."""

    def __init__(self, text: str = "", single: bool = True) -> None:
        self.text = text
        self.single = single

    def __getattr__(self, name: str) -> Noted:
        return Noted(f"{self.text}.{name}" if self.text else name)

    def _factor(self) -> str:
        return self.text if self.single else f"({self.text})"

    def __neg__(self) -> Noted:
        return Noted(f"-{self._factor()}")

    def __add__(self, other: object) -> Noted:
        return Noted(f"{self.text} + {_text(other)}", single=False)

    __radd__ = __add__

    def __sub__(self, other: object) -> Noted:
        return Noted(f"{self.text} - {_text(other)}", single=False)

    def __mul__(self, other: object) -> Noted:
        return Noted(f"{self._factor()} × {_text(other)}")

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Noted:
        return Noted(f"{self._factor()} / {_text(other)}")


def _text(value: object) -> str:
    if isinstance(value, Noted):
        return value.text
    return f"{value:g}" if isinstance(value, float) else str(value)


def expression(value: Any) -> str:
    """A limit or a duration as text: a number, settings keys, or what its function's docstring says."""
    if not callable(value):
        return _text(value)
    if value.__doc__:
        first = str(value.__doc__).splitlines()[0].rstrip(".")
        return first[0].lower() + first[1:]
    return _text(value(cast(Settings, Noted())))


def _kind(rule: Rule, limit: str) -> str:
    """Which of two kinds a probe that answers 0, 1 or 2 has found: its docstring says, or it grades a source's age."""
    if all(expression(rung.limit) != "1.5" for rung in rule.ladder):
        return ""
    said = re.findall(r"\d: ([^;.]+)", rule.probe.__doc__ or "")
    mild, bad = said if len(said) == 2 else ("late", "lost")
    return str(mild if limit == "0.5" else bad)


def _comparison(rule: Rule, rung: Rung) -> str:
    limit = expression(rung.limit)
    if limit in ("0.5", "1.5"):
        return _kind(rule, limit)
    unit = UNITS.get(rule.probe.__name__.rpartition("_")[2], "")
    number = f"{limit} {unit}" if unit and limit.isdigit() else limit
    return f"below {number.removeprefix('-')}" if rule.sign < 0 else f"above {number}"


def condition(rule: Rule, rung: Rung) -> str:
    """What must hold for a rung, in words."""
    hold = expression(rung.hold_s)
    words = (
        _comparison(rule, rung),
        f"in {rung.samples} samples running" if rung.samples > 1 else "",
        "" if hold == "0" else f"for {hold}" if callable(rung.hold_s) else f"for {hold} s",
    )
    text = ", ".join(word for word in words if word) or "at once"
    return re.sub(r"\b([a-z]+\.[a-z_]+)\b", r"`\1`", text)


def reaction(rung: Rung) -> str:
    """A rung's reaction, with its factor and its latch."""
    text = rung.reaction.name.replace("_", "-")
    if rung.reaction is Reaction.DERATE:
        text += f" × {rung.derate:g}"
    return f"**{text}**, latched" if rung.latch else text


def row(rule: Rule) -> str:
    """A fault's line of the table."""
    ladder = "<br>".join(f"{reaction(rung)}: {condition(rule, rung)}" for rung in rule.ladder)
    cells = (str(rule.number), f"`{rule.code}`", ladder, WHEN[rule.group], rule.domain.name.lower(), rule.rows)
    return f"| {' | '.join(cells)} |"


def document() -> str:
    """The whole of docs/faults.md."""
    meanings = [f"| {kind.name.replace('_', '-')} | {text} |" for kind, text in REACTIONS.items()]
    head = ["| no. | code | reaction: condition | looked at every | domain | rows |", "|---|---|---|---|---|---|"]
    return "\n".join([HEADER, "| reaction | meaning |", "|---|---|", *meanings, "", *head, *map(row, RULES), ""])


if __name__ == "__main__":
    sys.stdout.write(document())
