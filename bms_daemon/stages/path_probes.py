"""The numbers that rules compare, of contacts, lines, buses and the daemon itself; the rest is in probes."""

from __future__ import annotations

from bms_daemon.config.topology import TOPOLOGIES
from bms_daemon.model import Quality
from bms_daemon.stages.probes import MIN_PACK_V, NAN, QUIET_STATES, Scene


# ------------------------------------------------------------------ contactors and pins
def pins_quality(scene: Scene) -> float:
    return float(scene.measured.pins.quality)


def _input(scene: Scene, role: str, level: bool, counts: bool = True) -> float:
    """Whether an input is at a level where that counts: NaN while inputs are unknown, 0 for one that is not fitted."""
    if scene.pins is None:
        return NAN
    return 1.0 if counts and getattr(scene.pins, role) is level else 0.0


def _mains(scene: Scene) -> list[tuple[bool, bool]]:
    """Of every main contactor with an auxiliary contact: whether it reports closed, and was told to be."""
    assert scene.pins is not None
    contacts = (
        (scene.pins.main_aux_closed, scene.command.main),
        (scene.pins.main_negative_aux_closed, scene.command.negative),
    )
    return [(closed, told) for closed, told in contacts if closed is not None]


def mains_welded(scene: Scene) -> float:
    """1: a main contactor does not open, and the other does; 2: none opens."""
    if scene.pins is None:
        return NAN
    welded = [closed and not told for closed, told in _mains(scene)]
    return 2.0 if welded and all(welded) else float(any(welded))


def welded_main(scene: Scene) -> int:
    """1: the one in the positive pole, 2: the one in the negative."""
    pins, command = scene.pins, scene.command
    return 0 if pins is None else 1 if pins.main_aux_closed and not command.main else 2


def main_not_closing(scene: Scene) -> float:
    """1: not closed yet; 2: open again after the time in which it had to close."""
    if scene.pins is None:
        return NAN
    settled = scene.closed_s > scene.settings.contactor.feedback_s
    missing = any(told and not closed for closed, told in _mains(scene))
    return missing * (2.0 if settled else 1.0)


def precharge_welded(scene: Scene) -> float:
    return _input(scene, "precharge_aux_closed", True, not scene.command.precharge)


def aux_changes(scene: Scene) -> float:
    """Changes of an auxiliary contact within a second: two belong to a closing, many to a loose wire or a weak coil."""
    return NAN if scene.pins is None else float(scene.pins.aux_changes)


def precharge_tries(scene: Scene) -> float:
    """Failed precharges in a row; an order to clear them starts the count anew."""
    return 0.0 if clears_precharge(scene.measured.orders.clear) else float(scene.control.precharge_tries)


def clears_precharge(codes: tuple[str, ...]) -> bool:
    return "precharge_failed" in codes or "all" in codes


def precharge_fast(scene: Scene) -> float:
    return 1.0 if scene.control.precharge_fast else 0.0


def link_ratio(scene: Scene) -> float:
    """Link voltage as a part of the pack's, once the pack has been open for long enough to have drained its link."""
    if TOPOLOGIES[scene.settings.contactor.topology].directions:
        return 0.0  # FETs: it may be a charger's
    pack_v = scene.measured.pack_v
    drained = scene.control.state in QUIET_STATES and scene.open_s > scene.settings.contactor.link_drain_s
    return abs(scene.measured.link_v) / pack_v if drained and not pack_v < MIN_PACK_V else 0.0


def gpio_failed(scene: Scene) -> float:
    """1: a line was refused or reads other than written; 2: a coil's line stays energised."""
    if scene.actuated.stuck:
        return 2.0
    return _input(scene, "readback_ok", False) if scene.actuated.ok else 1.0


def fan_failed(scene: Scene) -> float:
    return 0.0 if scene.actuated.fan_ok else 1.0


def estimator_recovering(scene: Scene) -> float:
    return 1.0 if scene.estimate.recovering else 0.0


def soc_lag(scene: Scene) -> float:
    """How far the state of charge that is told is behind the one that is known."""
    return scene.estimate.soc_lag


def stalled_s(scene: Scene) -> float:
    """How long no tick ran over coils that were on: the dead-man has let them go, and must not get them back."""
    return scene.measured.step_s if scene.command.main or scene.command.precharge else 0.0


def emergency_stop(scene: Scene) -> float:
    return _input(scene, "emergency_stop_ok", False)


def interlock_open(scene: Scene) -> float:
    """1: open while moving; 2: open standing still, which is also what is assumed when nobody says."""
    vcu = scene.measured.vcu.value
    return _input(scene, "interlock_ok", False) * (1.0 if vcu is not None and vcu.moving else 2.0)


# ------------------------------------------------------------------ communication, compute, storage
def vcu_lost(scene: Scene) -> float:
    """1: an energy manager that has spoken is silent; 2: a controller without which the pack must not run."""
    wanted, vcu = scene.settings.can.vcu, scene.measured.vcu
    if wanted == "none" or vcu.quality is not Quality.FAILED:
        return 0.0
    if wanted == "required":
        return 2.0
    return 1.0 if vcu.age_s != float("inf") else 0.0


def can_silent_s(scene: Scene) -> float:
    can = scene.measured.can
    return can.silent_s if scene.settings.can.required else 0.0


def late_run_s(scene: Scene) -> float:
    return scene.measured.late_run_s


def not_commissioned(scene: Scene) -> float:
    return 0.0 if scene.measured.health.commissioned else 1.0


def not_approved(scene: Scene) -> float:
    return 0.0 if scene.measured.health.approved else 1.0


def journal_failing(scene: Scene) -> float:
    return 0.0 if scene.measured.health.journal_ok else 1.0
