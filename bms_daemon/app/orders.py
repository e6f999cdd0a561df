"""What operators and controllers want, gathered between two ticks. A close is an edge; an open is a standing wish."""

from __future__ import annotations

from bms_daemon.model import Orders, Request, Sample, VcuRequest

NEVER_S = float("-inf")
FOR_EVER_S = float("inf")


class OrderBook:
    """Requests of the link and of the VCU frame, taken once by the next tick.

    A request that its deadline overtakes before that is dropped; an open that was accepted is not: it only opens.
    """

    def __init__(self) -> None:
        self.shutdown = False
        self._open = False
        self._close_until_s = self._recovery_until_s = NEVER_S
        self._clear: dict[str, float] = {}
        self._vcu_request: Request | None = None
        self._vcu_seq = -1

    def ask(self, action: str, code: str = "", deadline_s: float = FOR_EVER_S) -> str | None:
        """A request of a client: None when it is taken, or why not. What follows from it, the stages decide."""
        if self.shutdown:
            return "the daemon is shutting down"
        if action == "clear":
            self._clear[code] = max(self._clear.get(code, NEVER_S), deadline_s)
        self._open |= action == "open"
        if action == "close":
            self._close_until_s = max(self._close_until_s, deadline_s)
        if action == "recovery_charge":
            self._recovery_until_s = max(self._recovery_until_s, deadline_s)
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
        if request is Request.CLOSE:
            self._close_until_s = FOR_EVER_S
        elif request is Request.RECOVERY_CHARGE:
            self._recovery_until_s = FOR_EVER_S

    def take(self, now_s: float) -> Orders:
        """The orders of this tick; an open beats a close or a recovery of the same tick."""
        close, recovery = self._close_until_s >= now_s, self._recovery_until_s >= now_s
        if not (self._open or close or recovery or self._clear or self.shutdown):
            return NO_ORDERS
        clear = tuple(sorted(code for code, until_s in self._clear.items() if until_s >= now_s))
        orders = Orders(self._open, close and not self._open, recovery and not self._open, clear, self.shutdown)
        self._open = False
        self._close_until_s = self._recovery_until_s = NEVER_S
        self._clear.clear()
        return orders


NO_ORDERS = Orders()
