"""What happened between two snapshots, as events for the log, the link and the ring."""

from __future__ import annotations

import math

from bms_daemon.model import Event, Fault, Faults, Snapshot

REMEDIES = {
    **dict.fromkeys(("journal_missing", "configuration_unapproved"), "run: bms-daemon commission CONFIG"),
    "link_live": "turn chargers and inverters off, and let the link's capacitors discharge",
    "vcu_lost": 'its controller must speak on CAN; can.vcu = "optional" does without',
}


def events_between(last: Snapshot | None, snapshot: Snapshot) -> list[Event]:
    """Changes of faults, the worst first, then of the state that they led to. Empty and cheap when nothing changed."""
    before = last.faults if last is not None else Faults()
    found = [] if snapshot.faults is before else _fault_events(before, snapshot)
    if last is None or snapshot.control.state is not last.control.state:
        found.append(_state_event(last, snapshot))
    return found


def _state_event(last: Snapshot | None, snapshot: Snapshot) -> Event:
    control = snapshot.control
    was = "start" if last is None else last.control.state.name.lower()
    text = f"{was} to {control.state.name.lower()}" + (f": {control.reason}" if control.reason else "")
    return Event(snapshot.now_s, "state", control.state.name.lower(), text, _picture(snapshot))


def _fault_events(last: Faults, snapshot: Snapshot) -> list[Event]:
    before = {fault.code: fault for fault in last.active}
    after = {fault.code: fault for fault in snapshot.faults.active}
    found = [
        Event(snapshot.now_s, "fault", code, _fault_text(fault), _fault_data(fault, snapshot))
        for code, fault in after.items()
        if code not in before or before[code].reaction is not fault.reaction
    ]
    found += [Event(snapshot.now_s, "cleared", code, f"{code} is gone") for code in before if code not in after]
    return found


def _fault_text(fault: Fault) -> str:
    where = f" at {fault.where}" if fault.where else ""
    latch = ", latched" if fault.latched else ""
    remedy = f"; {REMEDIES[fault.code]}" if fault.code in REMEDIES else ""
    return f"{fault.code}{where}: {_compared(fault)}{fault.reaction.name}{latch}{remedy}"


def _compared(fault: Fault) -> str:
    if yes_or_no(fault.value, fault.limit) or not math.isfinite(fault.value - fault.limit):
        return ""
    return f"{fault.value:.3f} against {fault.limit:.3f}, "


def yes_or_no(value: float | None, limit: float | None) -> bool:
    """Whether a fault's numbers say only that it is there: such rules compare 1 with 0.5."""
    return limit == 0.5 and value in (0.0, 1.0)


def _rounded(value: float) -> float:
    """To six significant digits: what the sensors can tell, without the noise of binary fractions."""
    return float(f"{value:.6g}")


def _fault_data(fault: Fault, snapshot: Snapshot) -> dict[str, object]:
    return {
        "reaction": fault.reaction.name.lower(),
        "domain": fault.domain.name.lower(),
        "latched": fault.latched,
        "value": _rounded(fault.value),
        "limit": _rounded(fault.limit),
        "where": fault.where,
        **_picture(snapshot),
    }


def _picture(snapshot: Snapshot) -> dict[str, object]:
    """The measurements that people ask for first."""
    scan, temps = snapshot.measured.cells.value, snapshot.measured.temps.value
    picture: dict[str, object] = {
        "current_a": _rounded(snapshot.measured.current_a),
        "link_v": _rounded(snapshot.measured.link_v),
        "soc": _rounded(snapshot.estimate.soc),
    }
    if scan is not None:
        picture |= {
            "min_cell_v": _rounded(scan.cell_v.min()),
            "max_cell_v": _rounded(scan.cell_v.max()),
        } | ({"afe": scan.note} if scan.note else {})
    if temps is not None:
        picture |= {"probe_degc": [_rounded(value) for value in temps.probe_degc.tolist()]}
    return picture
