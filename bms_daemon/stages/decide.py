"""Decide: contactors, limits and cooling from what was measured, estimated and found wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bms_daemon.config.schema import Settings
from bms_daemon.model import Command, Control, Estimate, Faults, Limits, Measured
from bms_daemon.stages.contactors import contactors
from bms_daemon.stages.guards import ContactorState
from bms_daemon.stages.limits import limits
from bms_daemon.stages.thermal import fan_duty


@dataclass(frozen=True, slots=True)
class Decision:
    """What this tick wants of the outputs, and what it allows the outside to do."""

    command: Command
    limits: Limits
    control: Control


@dataclass(frozen=True, slots=True)
class DecideState:
    contactors: ContactorState = field(default_factory=ContactorState)
    limits: Limits = Limits()
    fan: float = 0.0


def decide(
    measured: Measured, estimate: Estimate, faults: Faults, state: DecideState, settings: Settings, now_s: float
) -> tuple[Decision, DecideState]:
    """Contactors first: limits depend on whether the pack is closed or about to open."""
    command, machine = contactors(measured, faults, state.contactors, settings, now_s)
    allowed = limits(measured, estimate, faults, machine.control, state.limits, settings)
    fan = fan_duty(measured, state.fan, settings.fan)
    decision = Decision(replace(command, fan=fan), allowed, machine.control)
    return decision, DecideState(machine, allowed, fan)
