"""The tick: validate -> estimate -> protect -> decide -> actuate -> snapshot. What is not a verb here does not act."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bms_daemon.config.schema import Settings
from bms_daemon.estimation.estimate import EstimateState, estimate, kept_charge, resume
from bms_daemon.estimation.pack_model import PackModel
from bms_daemon.model import Actuated, Command, Estimate, Measured, Snapshot, Survivor
from bms_daemon.ports import Rig
from bms_daemon.stages.decide import DecideState, decide
from bms_daemon.stages.guards import ContactorState
from bms_daemon.stages.probes import Scene
from bms_daemon.stages.protect import ProtectState, RuleSet, arm, protect, restore
from bms_daemon.stages.validate import SourceAges, ValidateState, validate


@dataclass(frozen=True, slots=True)
class Plan:
    """The configuration and what is worked out from it once."""

    settings: Settings
    rules: RuleSet
    ages: SourceAges
    model: PackModel

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """Reads the pack's cell file; raises CellFileError when it cannot be used."""
        return cls(settings, arm(settings), SourceAges.of(settings), PackModel.of(settings))


@dataclass(frozen=True, slots=True)
class State:
    """Everything that one tick hands to the next."""

    valid: ValidateState
    est: EstimateState
    prot: ProtectState
    ctrl: DecideState
    command: Command = Command()
    actuated: Actuated = field(default_factory=Actuated)
    off_since_s: float = float("-inf")  # since when the main coil is commanded off
    on_since_s: float = float("inf")  # since when it is commanded on
    ticks: int = 0


def first_state(settings: Settings, survivor: Survivor | None, now_s: float) -> State:
    """The state before the first tick: what the journal kept, and everything else unknown and open."""
    kept = survivor or Survivor()
    control = replace(ContactorState().control, closes=kept.closes, precharge_tries=kept.precharge_tries, since_s=now_s)
    return State(
        ValidateState(),
        resume(survivor),
        restore(kept.latched, now_s),
        DecideState(ContactorState(control)),
    )


def tick(rig: Rig, state: State, plan: Plan, now_s: float) -> tuple[State, Snapshot]:
    """One pass of the data flow. Synchronous; ``now_s`` in monotonic seconds."""
    settings = plan.settings
    raw = rig.newest(now_s)
    measured, valid = validate(raw, state.valid, settings, plan.ages, now_s)
    est, s_est = estimate(measured, state.est, plan.model)
    faults, prot = protect(_scene(measured, est, state, settings, now_s), state.prot, plan.rules, now_s)
    decision, ctrl = decide(measured, est, faults, state.ctrl, settings, now_s)
    actuated = rig.actuate(decision.command)
    off_since_s = float("inf") if decision.command.main else min(state.off_since_s, now_s)
    on_since_s = min(state.on_since_s, now_s) if decision.command.main else float("inf")
    after = State(valid, s_est, prot, ctrl, decision.command, actuated, off_since_s, on_since_s, state.ticks + 1)
    snapshot = Snapshot(
        settings.node.id,
        now_s,
        after.ticks,
        measured,
        est,
        faults,
        decision.limits,
        decision.control,
        decision.command,
        actuated,
    )
    return after, snapshot


def _scene(measured: Measured, est: Estimate, state: State, settings: Settings, now_s: float) -> Scene:
    ctrl = state.ctrl
    open_s = 0.0 if state.command.main else now_s - state.off_since_s
    closed_s = max(0.0, now_s - state.on_since_s)
    last = ctrl.contactors.control, state.command, ctrl.limits, state.actuated, est
    return Scene(measured, settings, *last, open_s, closed_s)


def survivor_of(state: State, commissioned_hash: str, boots: int) -> Survivor:
    """What must outlive the process, as of this state."""
    control = state.ctrl.contactors.control
    return replace(
        kept_charge(state.est),
        latched=tuple(sorted(state.prot.latched)),
        closes=control.closes,
        precharge_tries=control.precharge_tries,
        commissioned_hash=commissioned_hash,
        boots=boots,
    )
