"""What one closing and opening showed: the link, the contacts, the current's sign, and what protection told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from bms_daemon.app.events import REMEDIES, events_between
from bms_daemon.app.probing.finding import Finding, note, ok, wrong
from bms_daemon.config.schema import Settings
from bms_daemon.config.topology import TOPOLOGIES
from bms_daemon.model import Command, PackState, Pins, Reaction, Snapshot

FAULTS_PAGE = "docs/faults.md says what it means"
TRIES: dict[str, str] = {
    "precharge took too long": "is the precharge relay's coil driven and its resistor whole, does a load hang on the "
    "link, is contactor.precharge_s long enough for its capacitors",
    "precharge too fast": "is the inverter connected, is the link measured behind the contactors, does one conduct "
    "although it is off; a link without capacitors needs a smaller contactor.precharge_min_s",
}
CONTACTS: dict[str, tuple[Callable[[Command], bool], Callable[[Pins], bool | None]]] = {
    "main_aux": (lambda command: command.main, lambda pins: pins.main_aux_closed),
    "main_negative_aux": (lambda command: command.negative, lambda pins: pins.main_negative_aux_closed),
    "precharge_aux": (lambda command: command.precharge, lambda pins: pins.precharge_aux_closed),
}
SIGN_SHARE = 0.005  # of the rated current: less is no current to tell a sign by
NOISE = 5.0  # standard deviations

Seen = list[Snapshot]


def read_trace(settings: Settings, refusal: str, seen: Seen) -> list[Finding]:
    if refusal:
        mend = next((text for code, text in REMEDIES.items() if code in refusal), FAULTS_PAGE)
        return [wrong(f"the pack does not close: {refusal}", mend)]
    path = TOPOLOGIES[settings.contactor.topology]
    found = [_closing(settings, seen), *_contacts(settings, seen)]
    if path.precharges:
        found.append(_sign(settings, seen))
    return [*found, *_told(seen), _link(settings, seen)]


def _at(seen: Seen, state: PackState) -> Seen:
    return [snapshot for snapshot in seen if snapshot.control.state is state]


def _closing(settings: Settings, seen: Seen) -> Finding:
    before, after = _at(seen, PackState.PRECHARGE), _at(seen, PackState.CLOSED)
    if not after:
        ended = next((s for s in seen if before and s.now_s > before[-1].now_s), seen[-1]).control.reason
        return wrong(f"the pack did not close: {ended}", TRIES.get(ended, FAULTS_PAGE))
    if not before:
        return ok(f"the pack closed, {after[-1].measured.link_v:.1f} V behind it")
    took_s = after[0].now_s - before[0].now_s
    measured = after[0].measured
    return ok(
        f"the link precharged to {100.0 * measured.link_v / measured.pack_v:.0f} % of {measured.pack_v:.1f} V "
        f"in {took_s:.2f} s, {settings.contactor.precharge_s:g} s are allowed"
    )


def _contacts(settings: Settings, seen: Seen) -> list[Finding]:
    known = [(s.now_s, s.command, s.measured.pins.value) for s in seen if s.measured.pins.value is not None]
    found = []
    for name, (told, closed) in CONTACTS.items():
        levels = [(at_s, told(command), closed(pins)) for at_s, command, pins in known]
        if any(on for _, on, _ in levels) and all(level is not None for _, _, level in levels):
            found.append(_contact(name, levels))
    return found


def _contact(name: str, levels: list[tuple[float, bool, bool | None]]) -> Finding:
    """How long a contact took to follow its coil, there and back."""
    on_s = next(at_s for at_s, on, _ in levels if on)
    off_s = next((at_s for at_s, on, _ in levels if not on and at_s > on_s), math.inf)
    closed_s = next((at_s for at_s, _, closed in levels if closed and at_s >= on_s), math.inf)
    open_s = next((at_s for at_s, _, closed in levels if not closed and at_s >= max(off_s, closed_s)), math.inf)
    if open_s == math.inf:
        return wrong(f"{name} does not follow its coil", "is the coil driven, does it pull, is the contact wired")
    return ok(f"{name} closes {_ms(closed_s - on_s)} after its coil and opens {_ms(open_s - off_s)} after")


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms"


def _sign(settings: Settings, seen: Seen) -> Finding:
    """A pack that charges the link's capacitors is discharged, and a discharge is negative."""
    before = [s.measured.current_a for s in _at(seen, PackState.STANDBY) if math.isfinite(s.measured.current_a)]
    during = [s.measured.current_a for s in _at(seen, PackState.PRECHARGE) if math.isfinite(s.measured.current_a)]
    zero_a, noise_a = (float(np.mean(before)), float(np.std(before))) if before else (0.0, 0.0)
    peak_a = max((current_a - zero_a for current_a in during), key=abs, default=0.0)
    if abs(peak_a) < max(NOISE * noise_a, SIGN_SHARE * settings.pack.rated_current_a):
        return note("too little current flowed to tell its sign by: charge, and see that it is positive")
    if peak_a < 0.0:
        return ok(f"{peak_a:+.1f} A charged the link: a discharge is negative, as it should be")
    mend = "turn the sensor or its wires around, or write inverted = true where its table has that"
    return wrong(f"{peak_a:+.1f} A charged the link: the current has the wrong sign", mend)


def _told(seen: Seen) -> list[Finding]:
    """What protection began to tell once the pack was on its way."""
    first = next((i for i, s in enumerate(seen) if s.control.state in (PackState.PRECHARGE, PackState.CLOSED)), 0)
    texts: dict[str, str] = {}
    for last, snapshot in itertools.pairwise(seen[max(first - 1, 0) :]):
        serious = {fault.code for fault in snapshot.faults.active if fault.reaction >= Reaction.WARN}
        told = [event for event in events_between(last, snapshot) if event.kind == "fault"]
        texts.update({event.code: event.text for event in told if event.code in serious and event.code not in texts})
    return [wrong(text, FAULTS_PAGE) for text in texts.values()]


def _link(settings: Settings, seen: Seen) -> Finding:
    link_v = seen[-1].measured.link_v
    text = f"{link_v:.1f} V behind the contactors when they had opened again"
    if abs(link_v) <= settings.contactor.link_live_v:
        return ok(text)
    return note(text, "its capacitors keep it: wait before anybody touches it, and before the next closing")
