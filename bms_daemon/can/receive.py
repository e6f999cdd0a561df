"""Frames for this node: the controller's request, checked end to end, and a count of everything that was refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bms_daemon.can.database import Database
from bms_daemon.can.e2e import Check, Status
from bms_daemon.config.schema import Can
from bms_daemon.model import Request, Sample, VcuRequest

LENGTH = 8
REASONS = {
    Status.INITIAL: "initial",
    Status.REPEATED: "repeated",
    Status.WRONG_SEQUENCE: "sequence",
    Status.ERROR: "crc",
}
NOT_A_REFUSAL = ("initial",)
CONFIRM_CYCLES = 2.5  # how long a closing must be asked for, with nothing else, nothing refused and no silence so long
CLOSING = (Request.CLOSE, Request.RECOVERY_CHARGE)


class Receiver:
    """Takes every frame of the bus and counts refusals by reason in ``counters``.

    Reasons: length, crc, repeated, sequence, reserved, frozen, initial (the first frame, which only shows the counter),
    secure (an authenticated command, not supported yet), masquerade (an identifier of this node from somebody else).
    """

    def __init__(self, database: Database, settings: Can) -> None:
        self.counters: Counter[str] = Counter()
        self._listens = settings.vcu != "none"
        self._request = database.messages["VCU_Request"]
        self._request_id = database.frame_id("VCU_Request")
        self._secure_id = database.frame_id("VCU_SecureCommand")
        self._own = frozenset(database.frame_id(message.name) for message in database.sent())
        protection = database.protection("VCU_Request")
        if protection is None or not self._request.cycle_time:
            raise ValueError("VCU_Request has no counter and checksum, or no cycle time")
        self._check = Check(protection)
        self._confirm_s = CONFIRM_CYCLES * self._request.cycle_time / 1000.0
        self._newest: Sample[VcuRequest] | None = None
        self._seq = 0
        self._asked: Request | None = None
        self._asked_s = self._heard_s = float("-inf")  # since when; when last
        self._standing: Request | None = None

    @property
    def rejected(self) -> int:
        """Frames refused since the start."""
        return sum(count for reason, count in self.counters.items() if reason not in NOT_A_REFUSAL)

    def accept(self, frame_id: int, data: bytes, now_s: float) -> None:
        """Take one frame. Never raises, whatever its content; frames for others are ignored."""
        if frame_id == self._request_id:
            if self._listens:
                self._take_request(data, now_s)
        elif frame_id == self._secure_id:
            self.counters["secure"] += 1
        elif frame_id in self._own:
            self.counters["masquerade"] += 1

    def newest(self, now_s: float) -> Sample[VcuRequest] | None:
        """The last valid request, with its own time and sequence number: silence shows as its age.

        A counter that stands still gives a failed sample. None when no request was ever valid, or none is listened to.
        """
        return self._newest

    def _take_request(self, data: bytes, now_s: float) -> None:
        if len(data) != LENGTH:
            self._refuse("length")
            return
        was_frozen = self._check.frozen
        status = self._check.check(data)
        if status is not Status.OK:
            self._refuse(REASONS[status])
            if self._check.frozen and not was_frozen:
                self._freeze(now_s)
            return
        request = _decode(self._request.decode(data, decode_choices=False, scaling=False))
        if request is None:
            self._refuse("reserved")
            return
        self._keep(request, now_s)

    def _refuse(self, reason: str) -> None:
        """Count, and let what was asked for so far be confirmed anew: a replay shows as a refused frame beside it."""
        self.counters[reason] += 1
        self._asked = None

    def _freeze(self, now_s: float) -> None:
        self.counters["frozen"] += 1
        self._seq += 1
        self._newest = Sample(None, now_s, self._seq, "the counter stands still")

    def _keep(self, asked: VcuRequest, now_s: float) -> None:
        """Until a closing is confirmed the request before it stands, so that a disturbed frame makes no new edge.

        It takes longer than the controller is silent between two frames: recorded ones that are played in between meet
        one of its own, which asks for something else or is refused with its counter.
        """
        if asked.request is not self._asked or now_s - self._heard_s > self._confirm_s:
            self._asked, self._asked_s = asked.request, now_s
        self._heard_s = now_s
        if asked.request not in CLOSING or now_s - self._asked_s >= self._confirm_s - 1e-9:
            self._standing = asked.request
        if self._standing is None:
            return
        self._seq += 1
        self._newest = Sample(VcuRequest(self._standing, asked.moving, asked.charger_present), now_s, self._seq)


def _decode(raw: Any) -> VcuRequest | None:
    """Raw signal values as a request; None when any is reserved or "not available"."""
    request, moving, charger = raw["Request"], raw["Moving"], raw["ChargerPresent"]
    if request not in Request._value2member_map_ or moving > 1 or charger > 1:
        return None
    return VcuRequest(Request(request), bool(moving), bool(charger))
