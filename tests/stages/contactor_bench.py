"""The contactor machine on a bench: stepped through measurements, with the faults and orders that its tests share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stages.stage_builders import CLOSED_PINS, OPEN_PINS, SETTINGS, channel, measured, scan, settings

from bms_daemon import model as m
from bms_daemon.config.schema import Settings
from bms_daemon.stages.contactors import contactors
from bms_daemon.stages.guards import ContactorState

S, Q = m.PackState, m.Quality
NAN = float("nan")
OPEN, CLOSE = m.Orders(open=True), m.Orders(close=True)
FAULT = m.Fault("cell_over_voltage", 1, m.Domain.ELECTRICAL, m.Reaction.STOP, False, 0.0)
STOP = m.Faults((FAULT,), inhibit=True, stop=True)
BREAK = m.Faults((replace(FAULT, reaction=m.Reaction.OPEN),), inhibit=True, open=True)
INHIBIT = m.Faults(inhibit=True)
LATCH = m.Faults(inhibit=True, latched=("deep_discharge",))
NONE = m.Faults()
DIRECT = settings(contactor={"topology": "main"}, gpio={"precharge": None})


class Machine:
    """The machine in some state, stepped through measurements."""

    def __init__(self, state: m.PackState = S.STANDBY, config: Settings = SETTINGS, **control: Any) -> None:
        self.config, self.now_s = config, 100.0
        self.state = ContactorState(m.Control(state, since_s=99.0, **control))
        self.command = m.Command()

    def step(self, faults: m.Faults = NONE, dt_s: float = 0.02, **parts: Any) -> m.Control:
        self.now_s += dt_s
        main_on = self.state.control.state in (S.CLOSED, S.OPENING, S.RECOVERY_CHARGE)
        parts.setdefault("pins", CLOSED_PINS if main_on else OPEN_PINS)
        seen = measured(self.now_s, **parts)
        self.command, self.state = contactors(seen, faults, self.state, self.config, self.now_s)
        return self.state.control

    @property
    def at(self) -> m.PackState:
        return self.state.control.state

    def closed(self) -> Machine:
        """Closed by the book: open, close, precharge, closed, with no current."""
        self.step(orders=OPEN)
        self.step(orders=CLOSE)
        self.step(dt_s=0.5, cells=scan(link_v=13.0))
        assert self.at is S.CLOSED
        return self


def flowing(current_a: float) -> dict[str, Any]:
    return {"cells": scan(current_a=current_a, link_v=13.2)}


LOST = {"cells": channel(None)}
LOW = {"cells": scan(2.6, link_v=13.0), "orders": m.Orders(recovery=True)}
UNDER = replace(BREAK, latched=("cell_under_voltage_critical",), but_low=NONE)
