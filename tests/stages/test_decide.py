"""Deciding: contactors first, then limits that know about them, and the fan beside both."""

from __future__ import annotations

import pytest
from stages.stage_builders import AMPLE, CLOSED_PINS, SETTINGS, channel, measured, temps

from bms_daemon import model as m
from bms_daemon.stages.decide import DecideState, decide
from bms_daemon.stages.guards import ContactorState

CLOSED = DecideState(ContactorState(m.Control(m.PackState.CLOSED, since_s=90.0)), m.Limits(50.0, 100.0))


def test_limits_are_zero_in_the_tick_that_decides_to_stop() -> None:
    stop = m.Faults(inhibit=True, stop=True)
    decision, state = decide(measured(pins=CLOSED_PINS), AMPLE, stop, CLOSED, SETTINGS, 100.0)
    assert decision.command.main
    assert (decision.control.state, decision.control.open_pending) == (m.PackState.OPENING, True)
    assert (decision.limits.charge_a, decision.limits.charge_binding) == (0.0, m.Binding.OPENING)
    assert (state.limits, state.contactors.control) == (decision.limits, decision.control)


def test_a_closed_pack_keeps_its_limits_and_its_fan_follows_the_heat() -> None:
    hot = measured(pins=CLOSED_PINS, temps=channel(temps(38.0, 40.0)))
    decision, state = decide(hot, AMPLE, m.Faults(), CLOSED, SETTINGS, 100.0)
    assert (decision.limits.charge_a, decision.limits.discharge_a) == (50.0, 100.0)
    assert decision.command.fan == state.fan == pytest.approx(0.65)


def test_the_fan_runs_in_an_open_pack_too() -> None:
    decision, _ = decide(measured(temps=channel(None)), AMPLE, m.Faults(), DecideState(), SETTINGS, 100.0)
    assert decision.command == m.Command(fan=1.0)
