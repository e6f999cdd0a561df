"""Dotted paths into the snapshot, such as ``measured.cells.value.stack_v``: checked by type, compiled to getters.

A path through a channel's ``value`` is unknown while the channel has failed. ``cell_v.3`` is the third cell.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bms_daemon.can.packing import Getter
from bms_daemon.can.signals import NAMED, item, usable
from bms_daemon.model import Channel, FloatArray, Snapshot

Step = Callable[[Any], Any]
DOUBTFUL = ("estimate.soc", "estimate.remaining.", "estimate.cells.soc.")
"""Fields that are only worth something while the state of charge is valid."""


def compile_path(path: str) -> Getter:
    """A getter in the model's unit. Raises ValueError with what is wrong and what there would be."""
    if path in NAMED:
        return NAMED[path]
    steps: list[Step] = []
    kind: Any = Snapshot
    for part in path.split("."):
        step, kind = _step(kind, part, path)
        steps.append(step)
    if not (isinstance(kind, type) and issubclass(kind, (int, float))):
        raise ValueError(f"{path}: not a number")
    getter = _chain(tuple(steps))
    return _if_charge_is_known(getter) if path == DOUBTFUL[0] or path.startswith(DOUBTFUL[1:]) else getter


def _if_charge_is_known(getter: Getter) -> Getter:
    return lambda snapshot: getter(snapshot) if snapshot.estimate.soc_valid else None


def _step(kind: Any, part: str, path: str) -> tuple[Step, Any]:
    if kind == FloatArray:
        if not part.isdecimal() or part == "0":
            raise ValueError(f"{path}: {part!r} is no place in an array; places are numbered from 1")
        return item(int(part) - 1), float
    origin = get_origin(kind) or kind
    fields = _fields(origin)
    if part not in fields:
        raise ValueError(f"{path}: no field {part!r}; possible are {', '.join(fields) or 'none'}")
    step = usable if origin is Channel and part == "value" else operator.attrgetter(part)
    return step, _bare(fields[part], kind)


def _fields(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind) if is_dataclass(kind) else {}


def _bare(hint: Any, owner: Any) -> Any:
    """The type behind ``X | None`` and behind the owner's type parameter."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if isinstance(hint, TypeVar):
        hint = get_args(owner)[0]
    return hint


def _chain(steps: tuple[Step, ...]) -> Getter:
    def get(snapshot: Snapshot) -> float | None:
        value: Any = snapshot
        for step in steps:
            if value is None:
                return None
            value = step(value)
        return None if value is None else float(value)

    return get
