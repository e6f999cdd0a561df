"""The daemon's own frames as a schedule: which rows, which changes send at once, what is protected."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

from cantools.database.can import Message

from bms_daemon.can import signals
from bms_daemon.can.database import Database, gap_s, phase_s
from bms_daemon.can.packing import Getter, Packer, Rounding, packer
from bms_daemon.can.schedule import Frame, Outgoing, Schedule
from bms_daemon.can.signals import Identity
from bms_daemon.config.schema import Can
from bms_daemon.model import Snapshot

PER_ROW = 3  # cells or probes
ALL_OUT_S = 1.0  # every cell and probe is out once within this time


def _state_key(s: Snapshot) -> Hashable:
    worst = s.faults.worst
    return s.control.state, s.control.open_pending, worst.reaction if worst else None


def _limits_key(s: Snapshot) -> Hashable:
    limits = s.limits
    return limits.charge_binding, limits.discharge_binding, limits.charge_a <= 0.0, limits.discharge_a <= 0.0


def _faults_key(s: Snapshot) -> Hashable:
    return s.faults.latched, tuple((fault.number, fault.reaction) for fault in s.faults.active)


CHANGES: dict[str, Callable[[Snapshot], Hashable]] = {
    "BMS_State": _state_key,
    "BMS_Limits": _limits_key,
    "BMS_Faults": _faults_key,
}


class Transmitter:
    """Own frames first, then ``extra`` ones (the user's DBC). Holds counters and deadlines, touches no bus."""

    def __init__(self, database: Database, settings: Can, identity: Identity, extra: Sequence[Outgoing] = ()) -> None:
        self._schedule = Schedule((*outgoing(database, identity), *extra), settings.stale_s)

    @property
    def missed(self) -> int:
        """Deadlines that passed without a frame, as after a stall."""
        return self._schedule.missed

    def due(self, snapshot: Snapshot, now_s: float) -> list[Frame]:
        """Frames that are due, as identifier and payload, most urgent first. Empty when the snapshot is stale."""
        return self._schedule.due(snapshot, now_s)

    def owes(self, snapshot: Snapshot) -> bool:
        """Whether a change of this snapshot waits for the gap after the frame before it."""
        return self._schedule.owes(snapshot)


def outgoing(database: Database, identity: Identity) -> list[Outgoing]:
    """Every message that the DBC says this node sends, most urgent first."""
    getters = signals.table(identity, database.version, database.hash32)
    return [_outgoing(database, message, getters[message.name], identity) for message in database.sent()]


def _outgoing(database: Database, message: Message, getters: dict[str, Getter], identity: Identity) -> Outgoing:
    cycle_s = (message.cycle_time or 0) / 1000.0
    rows = _rows(message, getters, identity)
    shares_turns = message.name in ("BMS_Cells", "BMS_Temps")
    return Outgoing(
        frame_id=database.frame_id(message.name),
        cycle_s=cycle_s,
        rows=rows,
        phase_s=phase_s(message),
        per_turn=math.ceil(len(rows) * cycle_s / ALL_OUT_S) if shares_turns else 1,
        protection=database.protection(message.name),
        used=(lambda s: len(s.faults.active)) if message.name == "BMS_FaultList" else None,
        change=CHANGES.get(message.name),
        gap_s=gap_s(message),
    )


def _rows(message: Message, getters: dict[str, Getter], identity: Identity) -> tuple[Packer, ...]:
    if message.name == "BMS_FaultList":
        return tuple(_packer(message, signals.fault_row(row), row) for row in range(signals.FAULT_ROWS))
    if not message.is_multiplexed():
        return (_packer(message, getters, None),)
    return tuple(_packer(message, getters, row) for row in range(_row_count(message, identity)))


def _row_count(message: Message, identity: Identity) -> int:
    """Rows that this pack needs: of cells and probes as many as there are, of anything else all."""
    counts = {"BMS_Cells": min(identity.series, signals.CELLS), "BMS_Temps": min(identity.probes, signals.PROBES)}
    if message.name in counts:
        return max(1, math.ceil(counts[message.name] / PER_ROW))
    return 1 + max(row for signal in message.signals for row in signal.multiplexer_ids or ())


def _packer(message: Message, getters: dict[str, Getter], row: int | None) -> Packer:
    rounded = {n: (get, signals.ROUNDING.get((message.name, n), Rounding.NEAREST)) for n, get in getters.items()}
    return packer(message, rounded, row)
