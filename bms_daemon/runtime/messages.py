"""The link's messages: JSON objects, one a datagram, flat on their way in and checked before anybody acts on them.

Core to client: ``hello``, ``snapshot``, ``event``, ``reply``, ``events``, ``pong``, ``error``.
Client to core: ``hello``, ``request``, ``events``, ``ping``.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias, get_args

SCHEMA = 1
MAX_IN_BYTES = 4096
MAX_OUT_BYTES = 65536
MAX_KEYS = 16
MAX_EXPIRY_S = 60.0
MAX_EVENTS = 256

Action = Literal["open", "close", "clear", "recovery_charge"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Scalar: TypeAlias = str | int | float | bool | None
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class Malformed(ValueError):
    """A message that is not acted on; the text says why."""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What a client wants. ``deadline_s`` is on the core's clock; after it the request must not be acted on."""

    id: str
    action: Action
    code: str = ""
    deadline_s: float = math.inf
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as its sender states it: ``expires_in_s`` counts from the sender's ``sent_s`` (CLOCK_MONOTONIC)."""

    id: str
    action: Action
    code: str
    expires_in_s: float
    sent_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    id: str
    accepted: bool
    reason: str = ""


def encode(message: dict[str, Any]) -> bytes:
    """Compact JSON; what is not finite becomes null, whatever JSON does not know becomes text."""
    try:
        text = json.dumps(message, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(message), separators=(",", ":"), allow_nan=False, default=str)
    return text.encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise Malformed("a key stands twice")
    return entries


def decode_flat(data: bytes, limit: int = MAX_IN_BYTES) -> dict[str, Scalar]:
    """A JSON object of scalars from foreign bytes.

    Raises Malformed for anything else: longer than ``limit``, not UTF-8, not JSON, not an object, nested,
    a key twice, more than 16 keys, a number that is not finite.
    """
    if len(data) > limit:
        raise Malformed(f"longer than {limit} bytes")
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(value, dict) or len(value) > MAX_KEYS:
        raise Malformed(f"not an object of at most {MAX_KEYS} keys")
    for entry in value.values():
        if isinstance(entry, dict | list):
            raise Malformed("nested")
        if isinstance(entry, float) and not math.isfinite(entry):
            raise Malformed("a number is out of range")
    return value


def only(message: dict[str, Scalar], *keys: str) -> None:
    """Raises Malformed when the message has a key besides these."""
    unknown = message.keys() - set(keys)
    if unknown:
        raise Malformed(f"unknown key {min(unknown)[:32]!r}")


def text_of(message: dict[str, Scalar], key: str) -> str:
    """An identifier: 1 to 64 of letters, digits, ``._:-``, letter or digit first."""
    value = message.get(key)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise Malformed(f"{key} must be 1 to 64 of A-Z a-z 0-9 . _ : -")
    return value


def number_of(message: dict[str, Scalar], key: str, low: float, high: float) -> float:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Malformed(f"{key} must be a number from {low:g} to {high:g}")
    return float(value)


def parse_ask(message: dict[str, Scalar]) -> Ask:
    """A request message, ``kind`` included or not. Raises Malformed."""
    only(message, "kind", "id", "action", "code", "expires_in_s", "sent_s")
    action = message.get("action")
    if action not in ACTIONS:
        raise Malformed(f"action must be one of {', '.join(ACTIONS)}")
    if (action == "clear") != ("code" in message):
        raise Malformed("clear needs a code, no other action has one")
    return Ask(
        id=text_of(message, "id"),
        action=action,
        code=text_of(message, "code") if "code" in message else "",
        expires_in_s=number_of(message, "expires_in_s", 0.0, MAX_EXPIRY_S),
        sent_s=number_of(message, "sent_s", 0.0, 1e12) if "sent_s" in message else None,
    )


def parse_hello(message: dict[str, Scalar]) -> str:
    """The client's role. Raises Malformed, naming the schema when it is not ours."""
    only(message, "kind", "schema", "role")
    if message.get("schema") != SCHEMA or isinstance(message.get("schema"), bool):
        raise Malformed(f"link schema {message.get('schema')!r} is not understood, this is schema {SCHEMA}")
    return text_of(message, "role")


def parse_events(message: dict[str, Scalar]) -> int:
    """How many events are asked for. Raises Malformed."""
    only(message, "kind", "last")
    return int(number_of(message, "last", 0, MAX_EVENTS))
