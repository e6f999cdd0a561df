"""The JSON form of a snapshot and of an event, in one place: what the link, MQTT, recordings and screens show.

Dataclasses become objects of the same names, arrays and tuples lists, what is not finite null, enumerations lower-case
names, flags lists of names. A channel that failed shows no value, only why: the last value is never shown as if it
were one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from typing import Any

import numpy as np

from bms_daemon.model import Channel, Event, FloatArray, Measured, Quality, Snapshot

SCHEMA = 1
Form = Callable[[Any], Any]
_INF = float("inf")
_LEFT_OUT = {Channel: {"time_s", "fresh", "tried", "bad_run"}, Measured: {"now_s"}}


def plain(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as dicts, lists, numbers, strings, booleans and None, with ``schema``; units as in the model."""
    shown: dict[str, Any] = _show(snapshot)
    return {"schema": SCHEMA} | shown


def plain_event(event: Event) -> dict[str, Any]:
    """An event as plain values; its kind is called ``event``, as ``kind`` is the link's."""
    shown: dict[str, Any] = _show(event)
    shown["event"] = shown.pop("kind")
    return shown


def _form(kind: type) -> Form:
    """How values of a type are shown; text where there is no better form."""
    if issubclass(kind, Flag):
        return _names
    if issubclass(kind, Enum):
        return _name
    if kind in (int, bool, str, type(None)):
        return _same
    if is_dataclass(kind):
        return _object(kind)
    return next((form for base, form in _FORMS if issubclass(kind, base)), str)


def _show(value: Any) -> Any:
    kind = type(value)
    form = _known.get(kind)
    if form is None:
        form = _known[kind] = _form(kind)
    return form(value)


def _same(value: Any) -> Any:
    return value


def _number(value: float) -> float | None:
    return value if -_INF < value < _INF else None


def _numbers(values: FloatArray) -> list[float | None]:
    return [value if -_INF < value < _INF else None for value in values.tolist()]


def _list(values: Any) -> list[Any]:
    return [_show(value) for value in values]


def _dict(values: dict[str, Any]) -> dict[str, Any]:
    return {str(key): _show(value) for key, value in values.items()}


def _name(member: Enum) -> str:
    return member.name.lower()


def _names(flags: Flag) -> list[str]:
    return [_name(flag) for flag in type(flags) if flag & flags]


def _object(kind: type) -> Form:
    names = tuple(field.name for field in fields(kind) if field.name not in _LEFT_OUT.get(kind, ()))

    def show(value: Any) -> dict[str, Any]:
        return {name: _show(getattr(value, name)) for name in names}

    def show_channel(channel: Channel[Any]) -> dict[str, Any]:
        shown = show(channel)
        if channel.quality is Quality.FAILED:
            shown["value"] = None
        return shown

    return show_channel if kind is Channel else show


_known: dict[type, Form] = {}
_FORMS: tuple[tuple[type, Form], ...] = (
    (np.ndarray, _numbers),
    (float, _number),
    (tuple, _list),
    (list, _list),
    (dict, _dict),
)
