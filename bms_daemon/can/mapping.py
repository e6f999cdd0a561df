"""The user's own DBC: its messages and signals fed from fields of the snapshot, converted to the signals' units."""

from __future__ import annotations

from collections.abc import Collection

import cantools.database
from cantools.database.can import Database as Dbc
from cantools.database.can import Message, Signal
from cantools.database.errors import Error as DbcError

from bms_daemon.can.packing import Getter, Packer, Rounding, packer
from bms_daemon.can.paths import compile_path
from bms_daemon.can.schedule import Outgoing
from bms_daemon.config.schema import UserDbc, UserMessage
from bms_daemon.model import Snapshot

EXTENDED = 0x80000000  # flag of a 29-bit identifier, as in linux/can.h
PHASE_S = 0.02
UNITS: dict[str, dict[str, float]] = {
    "v": {"V": 1.0, "mV": 1e3, "kV": 1e-3},
    "a": {"A": 1.0, "mA": 1e3},
    "w": {"W": 1.0, "kW": 1e-3},
    "ah": {"Ah": 1.0, "mAh": 1e3},
    "wh": {"Wh": 1.0, "kWh": 1e-3},
    "degc": {"degC": 1.0, "°C": 1.0, "C": 1.0, "deg C": 1.0},
    "s": {"s": 1.0, "ms": 1e3, "min": 1 / 60.0, "h": 1 / 3600.0},
    "": {"": 1.0, "%": 100.0},
}
"""By the field's unit suffix: how many of the signal's units make one of the field's."""


def load(user: UserDbc, taken: Collection[int] = ()) -> tuple[list[Outgoing], list[str]]:
    """Schedule entries for the user's messages, and every error of the mapping; ``taken`` are identifiers in use.

    A leading minus turns the sign: ``-measured.current_a`` is positive when discharging. A message is not
    sent at all while a value is unknown whose signal has no "not available" code.
    """
    try:
        dbc = cantools.database.load_file(user.file, "dbc")
    except (OSError, UnicodeDecodeError, DbcError) as error:
        return [], [f"{user.file}: {error}"]
    if not isinstance(dbc, Dbc):
        return [], [f"{user.file}: not a CAN database"]
    known = {message.name: message for message in dbc.messages}
    made: list[Outgoing] = []
    errors: list[str] = []
    for index, entry in enumerate(user.messages):
        found, wrong = _message(known, entry, PHASE_S * index, taken)
        made += [found] if found else []
        errors += [f"{user.file}: {text}" for text in wrong]
    return (made, []) if not errors else ([], errors)


def _message(
    known: dict[str, Message], entry: UserMessage, phase_s: float, taken: Collection[int]
) -> tuple[Outgoing | None, list[str]]:
    message = known.get(entry.message)
    if message is None:
        return None, [f"no message {entry.message}; there are {', '.join(sorted(known))}"]
    frame_id = message.frame_id | (EXTENDED if message.is_extended_frame else 0)
    errors = _unfit(message, frame_id, taken)
    getters: dict[str, tuple[Getter, Rounding]] = {}
    for name, path in entry.signals.items():
        try:
            getters[name] = (_getter(message, name, path), Rounding.NEAREST)
        except ValueError as error:
            errors.append(f"{entry.message}.{name}: {error}")
    if errors:
        return None, errors
    return Outgoing(frame_id, entry.cycle_s, _rows(message, getters), phase_s % entry.cycle_s), []


def _unfit(message: Message, frame_id: int, taken: Collection[int]) -> list[str]:
    errors = []
    if message.length > 8:
        errors.append(f"{message.name}: {message.length} bytes; classic CAN carries 8")
    if frame_id in taken:
        errors.append(f"{message.name}: identifier {message.frame_id:#x} is in use by this node")
    return errors


def _getter(message: Message, name: str, path: str) -> Getter:
    signal = next((s for s in message.signals if s.name == name), None)
    if signal is None:
        raise ValueError(f"no such signal; there are {', '.join(s.name for s in message.signals)}")
    if signal.is_float:
        raise ValueError("floating-point signals are not supported")
    return _converted(compile_path(path.removeprefix("-")), _factor(signal, path))


def _factor(signal: Signal, path: str) -> float:
    """From the field's unit to the signal's, with the sign that the path asks for."""
    field = [part for part in path.split(".") if not part.isdecimal()][-1]
    suffix = field.rpartition("_")[2] if "_" in field else ""
    units = UNITS.get(suffix, UNITS[""])
    unit = signal.unit or ""
    if unit and unit not in units:
        raise ValueError(f"unit {unit} does not fit {path}; possible are {', '.join(u for u in units if u)}")
    return units.get(unit, 1.0) * (-1.0 if path.startswith("-") else 1.0)


def _converted(getter: Getter, factor: float) -> Getter:
    def get(snapshot: Snapshot) -> float | None:
        value = getter(snapshot)
        return None if value is None else value * factor

    return getter if factor == 1.0 else get


def _rows(message: Message, getters: dict[str, tuple[Getter, Rounding]]) -> tuple[Packer, ...]:
    """One packer, or one for every row of a multiplexed message that carries a mapped signal."""
    rows = sorted({row for s in message.signals if s.name in getters for row in s.multiplexer_ids or ()})
    return tuple(packer(message, getters, row) for row in rows) if rows else (packer(message, getters),)
