"""Digital lines as they are now: loops closed, contacts open, outputs off."""

from __future__ import annotations

from bms_daemon.app.hardware import used_roles
from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.config.topology import COILS, CONTACTS
from bms_daemon.model import BusFault

LOOPS = {"emergency_stop": "the emergency stop", "interlock": "the interlock loop"}


async def lines(bench: Bench) -> list[Finding]:
    try:
        levels = bench.hardware.lines.read()
    except BusFault as fault:
        return [of_fault(f"lines of {bench.settings.gpio.chip}", fault)]
    used = used_roles(bench.settings)
    found = [_loop(role, levels[role]) for role in LOOPS if role in used]
    found += [_contact(role, levels[role]) for role in CONTACTS if role in used]
    on = [role for role in (*COILS, "second_disconnect") if role in used and levels[role]]
    mend = "the line reads energised before anybody drove it: active_low, or a pull-up where a pull-down belongs"
    found.append(wrong(f"{', '.join(on)}: on", mend) if on else ok("outputs are off"))
    missing = [role for role in ("emergency_stop", "interlock") if role not in used]
    return [*found, note(f"not fitted: {', '.join(missing)}")] if missing else found


def _loop(role: str, closed: bool) -> Finding:
    if closed:
        return ok(f"{LOOPS[role]} is closed")
    return wrong(f"{LOOPS[role]} reads open", "release or plug it; if it is closed, its level is wrong: active_low")


def _contact(role: str, closed: bool) -> Finding:
    if not closed:
        return ok(f"{role} reports open")
    return wrong(f"{role} reports closed on an open pack", "a welded contact, or active_low is wrong: measure it")
