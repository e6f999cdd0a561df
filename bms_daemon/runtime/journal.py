"""What must survive the process: two generations beside each other, so that one is always whole.

A slot is ``BMSJ``, schema, sequence, length and CRC-32 (little endian, the CRC over everything else), then JSON.
``save`` overwrites the older slot and syncs; a cut at any byte leaves the newer one as it was.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bms_daemon.model import Survivor

SCHEMA = 2
_MAGIC = b"BMSJ"
_HEAD = struct.Struct("<4sHQI")  # magic, schema, sequence, payload length
_CRC = struct.Struct("<I")
_PAYLOAD_AT = _HEAD.size + _CRC.size
_MAX_BYTES = 262144
_FIELDS: dict[str, Any] = get_type_hints(Survivor)
_LATER = {"cell_soc", "cell_soc_sigma", "cell_health"}  # what schema 1 lacks


class JournalError(Exception):
    """A slot that cannot be used; the text says why."""


class NewerSchema(JournalError):
    """A slot that a newer version wrote: neither read nor overwritten."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """``survivor`` None: nothing usable, the pack is not commissioned. ``note`` says which slot, and what was wrong.

    ``whole`` is False when a slot was there and could not be used.
    """

    survivor: Survivor | None
    note: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Slot:
    path: Path
    sequence: int = 0
    survivor: Survivor | None = None
    wrong: str = ""


def pack(survivor: Survivor, sequence: int) -> bytes:
    """One slot's bytes."""
    plain = {name: _storable(value) for name, value in asdict(survivor).items()}
    payload = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    head = _HEAD.pack(_MAGIC, SCHEMA, sequence, len(payload))
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def _storable(value: Any) -> Any:
    """Plain JSON: a number that is none is null, a list with such a number says nothing."""
    if isinstance(value, tuple) and not all(isinstance(entry, str) or math.isfinite(entry) for entry in value):
        return ()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def unpack(data: bytes) -> tuple[int, Survivor]:
    """Sequence and content of a slot. Raises JournalError, or NewerSchema when only the schema stands against it."""
    if len(data) < _PAYLOAD_AT or data[:4] != _MAGIC:
        raise JournalError("no journal")
    _, schema, sequence, length = _HEAD.unpack_from(data)
    payload = data[_PAYLOAD_AT:]
    if len(payload) != length:
        raise JournalError(f"torn: {len(payload)} of {length} bytes")
    if _CRC.unpack_from(data, _HEAD.size)[0] != zlib.crc32(payload, zlib.crc32(data[: _HEAD.size])):
        raise JournalError("checksum")
    if schema > SCHEMA:
        raise NewerSchema(f"journal schema {schema} is newer than {SCHEMA}, the one that this version knows")
    return sequence, _survivor(payload, _LATER if schema == 1 else set())


def _survivor(payload: bytes, may_lack: set[str]) -> Survivor:
    try:
        plain = json.loads(payload)
        if not isinstance(plain, dict) or not _FIELDS.keys() - may_lack <= plain.keys() <= _FIELDS.keys():
            raise ValueError("other fields")
        return Survivor(**{name: _field(value, _FIELDS[name]) for name, value in plain.items()})
    except (ValueError, RecursionError) as error:
        raise JournalError(f"content: {error}") from None


def _field(value: Any, kind: Any) -> Any:
    if get_args(kind):
        return _entries(value, get_args(kind)[0])
    if kind is float and value is None:
        return math.nan
    if kind is float and _number(value):
        return float(value)
    if not (kind is str and isinstance(value, str)) and not (kind is int and _count(value)):
        raise ValueError(f"{value!r:.40} where {kind.__name__} belongs")
    return value


def _entries(values: Any, kind: type) -> tuple[Any, ...]:
    fits = _number if kind is float else lambda value: isinstance(value, kind)
    if not isinstance(values, list) or not all(map(fits, values)):
        raise ValueError(f"{values!r:.40} where a list of {kind.__name__} belongs")
    return tuple(values)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Journal:
    """Slots ``<path>.a`` and ``<path>.b``. Blocks while it reads and writes: at start, or behind a JournalWriter."""

    def __init__(self, path: Path) -> None:
        self._paths = (path.with_name(path.name + ".a"), path.with_name(path.name + ".b"))
        self._next: tuple[Path, int] | None = None

    def load(self) -> Loaded:
        """The newest whole generation. A slot of a newer schema is refused by name, and the other with it."""
        slots = self._slots()
        wrong = "; ".join(f"{slot.path.name}: {slot.wrong}" for slot in slots if slot.wrong)
        newest = max(slots, key=lambda slot: slot.sequence)
        if any(slot.sequence < 0 for slot in slots) or newest.survivor is None:
            return Loaded(None, wrong or f"no journal at {self._paths[0].with_suffix('')}", whole=not wrong)
        note = f"{newest.path.name}, generation {newest.sequence}"
        return Loaded(newest.survivor, f"{note}; {wrong}" if wrong else note, whole=not wrong)

    def save(self, survivor: Survivor) -> None:
        """Write the next generation durably. Raises OSError, or NewerSchema rather than overwrite a newer version's."""
        path, sequence = self._next or self._place()
        _write_durably(path, pack(survivor, sequence))
        other = self._paths[1] if path == self._paths[0] else self._paths[0]
        self._next = other, sequence + 1

    def _place(self) -> tuple[Path, int]:
        slots = self._slots()
        for slot in slots:
            if slot.sequence < 0:
                raise NewerSchema(f"{slot.path}: {slot.wrong}")
        older = min(slots, key=lambda slot: slot.sequence)
        self._next = older.path, max(slot.sequence for slot in slots) + 1
        return self._next

    def _slots(self) -> tuple[_Slot, _Slot]:
        first, second = (_read(path) for path in self._paths)
        return first, second


def _read(path: Path) -> _Slot:
    """A slot; sequence 0 when there is nothing usable, -1 when a newer schema wrote it."""
    try:
        with path.open("rb") as file:
            sequence, survivor = unpack(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return _Slot(path)
    except NewerSchema as error:
        return _Slot(path, -1, wrong=str(error))
    except JournalError as error:
        return _Slot(path, wrong=str(error))
    except OSError as error:
        return _Slot(path, wrong=f"cannot be read: {error.strerror}")
    return _Slot(path, sequence, survivor)


def _write_durably(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.ftruncate(fd, 0)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
