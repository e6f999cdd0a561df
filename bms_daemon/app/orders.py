"""What operators and controllers want, gathered between two ticks. A close is an edge; an open is a standing wish."""

from __future__ import annotations

from bms_daemon.model import Orders, Request, Sample, VcuRequest
from bms_daemon.stages.rules import CODES


class OrderBook:
    """Requests of the link and of the VCU frame, taken once by the next tick."""

    def __init__(self) -> None:
        self.shutdown = False
        self._open = self._close = self._recovery = False
        self._clear: set[str] = set()
        self._vcu_request: Request | None = None
        self._vcu_seq = -1

    def ask(self, action: str, code: str = "") -> str | None:
        """A request of a client: None when it is taken, or why not. What follows from it, the stages decide."""
        if self.shutdown:
            return "the daemon is shutting down"
        if action == "clear":
            return self._ask_to_clear(code)
        self._open |= action == "open"
        self._close |= action == "close"
        self._recovery |= action == "recovery_charge"
        return None

    def _ask_to_clear(self, code: str) -> str | None:
        if code != "all" and code not in CODES:
            return f"there is no fault {code!r}; `bms-daemon status` names those that are latched"
        self._clear.add(code)
        return None

    def hear_vcu(self, sample: Sample[VcuRequest] | None) -> None:
        """Turn levels of the VCU frame into edges: only a change to close or recovery counts."""
        if sample is None or sample.value is None or sample.seq == self._vcu_seq:
            return
        request, last = sample.value.request, self._vcu_request
        self._vcu_seq, self._vcu_request = sample.seq, request
        self._open |= request is Request.OPEN
        if last is None or request is last:
            return
        self._close |= request is Request.CLOSE
        self._recovery |= request is Request.RECOVERY_CHARGE

    def take(self) -> Orders:
        """The orders of this tick; an open beats a close of the same tick."""
        if not (self._open or self._close or self._recovery or self._clear or self.shutdown):
            return NO_ORDERS
        orders = Orders(
            self._open, self._close and not self._open, self._recovery, tuple(sorted(self._clear)), self.shutdown
        )
        self._open = self._close = self._recovery = False
        self._clear.clear()
        return orders


NO_ORDERS = Orders()
