"""MQTT payloads as typed requests. A command is a small flat object, fresh, of its own id, and not too frequent."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.runtime.bucket import TokenBucket
from bms_daemon.runtime.messages import MAX_IN_BYTES, Ask, Malformed, decode_flat, parse_ask

COMMANDS_PER_S = 2.0
COMMAND_BURST = 5


@dataclass(slots=True)
class CommandCounters:
    taken: int = 0
    rejected: int = 0
    retained: int = 0
    flooded: int = 0


class CommandGate:
    """Turns away what must not reach the core. ``open`` has an allowance of its own."""

    def __init__(self) -> None:
        self.counters = CommandCounters()
        self._opens = TokenBucket(COMMANDS_PER_S, COMMAND_BURST)
        self._others = TokenBucket(COMMANDS_PER_S, COMMAND_BURST)

    def admit(self, name: str, payload: bytes, retained: bool, now_s: float) -> Ask | None:
        """The request in ``payload``: ``{"id", "expires_in_s", "code"?}``; None for what gets no answer.

        No answer is given to retained commands, which a broker repeats for ever, and beyond 2 a second.
        Raises Malformed for what is answered with a refusal.
        """
        if retained:
            self.counters.retained += 1
            return None
        if not (self._opens if name == "open" else self._others).take(now_s):
            self.counters.flooded += 1
            return None
        try:
            message = decode_flat(payload, MAX_IN_BYTES)
            if "action" in message or "sent_s" in message or "kind" in message:
                raise Malformed("the topic says what is wanted; the payload has id, expires_in_s and, for clear, code")
            ask = parse_ask(message | {"action": name})
        except Malformed:
            self.counters.rejected += 1
            raise
        self.counters.taken += 1
        return ask
