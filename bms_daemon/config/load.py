"""Reading a configuration file: every error at once, each with file, key, value and what would be right."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bms_daemon.config.cellfile import CellFileError
from bms_daemon.config.checks import cross_checks
from bms_daemon.config.driver_tables import AfeTable, ShuntTable
from bms_daemon.config.mend import Mender
from bms_daemon.config.pack_cell import pack_cell
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section

ModelOf = Callable[[str, str], type[Section]]  # (role, kind) -> a driver's settings model; ValueError if there is none
SCHEMA = 1
MENDINGS = 8  # a value that stays wrong takes the table around it along, level by level


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    key: str
    value: str
    text: str

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"{self.key}{shown}: {self.text}"


class ConfigError(Exception):
    """A configuration that is refused, with everything that is wrong with it."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        super().__init__(f"{file}: {count}\n{lines}")


def load(path: Path, model_of: ModelOf) -> Settings:
    """Read, convert and cross-check one file. Raises ConfigError; nothing but the file is touched."""
    table = _read(path)
    _refuse_newer(path, table)
    settings, problems = _converted(table, model_of)
    if settings is None:
        problems += _relations(table, model_of, problems)
    else:
        problems = [Problem(*found) for found in cross_checks(settings)]
        settings = _rooted(settings, path)
        problems += _unusable_cell(settings)
    if settings is None or problems:
        raise ConfigError(path, list(dict.fromkeys(problems)))
    return settings


def config_hash(settings: Settings) -> str:
    """SHA-256 of everything that the file says, in hex: what commissioning approves."""
    text = json.dumps(settings.plain(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, [Problem("file", "", "does not exist")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, [Problem("file", "", f"cannot be read: {error}")]) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, [Problem("file", "", f"is not TOML: {error}")]) from None


def _refuse_newer(path: Path, table: dict[str, Any]) -> None:
    schema = table.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        text = f"was written for a newer bms-daemon; this one reads schema {SCHEMA}"
        raise ConfigError(path, [Problem("schema", str(schema), text)])


def _converted(table: dict[str, Any], model_of: ModelOf) -> tuple[Settings | None, list[Problem]]:
    """The table as settings, or everything that is wrong with its single values."""
    problems: list[Problem] = []
    settings = _validated(_with_drivers(table, model_of, problems), problems)
    return (None if problems else settings), problems


def _relations(table: dict[str, Any], model_of: ModelOf, problems: list[Problem]) -> list[Problem]:
    """Relations that are wrong among the values that are right."""
    mender = Mender(table)
    for _ in range(MENDINGS):
        mender.mend(problem.key for problem in problems)
        settings, problems = _converted(mender.table, model_of)
        if settings is not None:
            return [Problem(*found) for found in cross_checks(settings) if mender.own(found)]
    return []


DRIVER_TABLES: tuple[tuple[str, str, str, type[Section]], ...] = (
    ("afe", "afe", "settings", AfeTable),
    ("shunt", "shunt", "settings", ShuntTable),
    ("sim", "world", "world", Section),
)
"""Section, role, key, and what stands in for a table that is wrong, so that the rest of the file is judged too."""


def _with_drivers(table: dict[str, Any], model_of: ModelOf, problems: list[Problem]) -> dict[str, Any]:
    """Replace the drivers' own tables by their models, so that one validation sees everything."""
    built = dict(table)
    for section, role, key, instead in DRIVER_TABLES:
        inner = built.get(section)
        if isinstance(inner, dict):
            built[section] = {**inner, key: _driver_table(inner, section, role, key, model_of, problems) or instead()}
    return built


def _driver_table(
    inner: dict[str, Any], section: str, role: str, key: str, model_of: ModelOf, problems: list[Problem]
) -> Section | None:
    """None where it is wrong."""
    try:
        model = model_of(role, str(inner.get("kind", "")))
    except ValueError as error:
        problems.append(Problem(f"{section}.kind", repr(inner.get("kind")), str(error)))
        return None
    try:
        return model.model_validate_json(json.dumps(inner.get(key, {}), default=str))
    except ValidationError as error:
        problems.extend(_problems(error, f"{section}.{key}"))
        return None


def _validated(table: dict[str, Any], problems: list[Problem]) -> Settings | None:
    try:
        return Settings.model_validate(_loosened(table))
    except ValidationError as error:
        problems.extend(_problems(error, ""))
        return None


def _loosened(value: Any, key: str = "") -> Any:
    """TOML has arrays and strings where the model has tuples and paths; nothing else is converted."""
    if isinstance(value, dict):
        return {name: _loosened(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(_loosened(item) for item in value)
    if key in PATH_KEYS and isinstance(value, str):
        return Path(value)
    return value


PATH_KEYS = frozenset({"path", "socket", "file", "password_file", "watchdog_device", "cell_file"})


def _problems(error: ValidationError, prefix: str) -> list[Problem]:
    found = []
    for item in error.errors(include_url=False):
        place = ".".join(str(part) for part in item["loc"])
        key = ".".join(part for part in (prefix, place) if part) or "file"
        value = "" if item["type"] == "missing" else _shown(item["input"])
        found.append(Problem(key, value, _text(item["type"], item["msg"])))
    return found


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, (str, int, float, bool)) else ""


def _text(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such key"
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ")


def _rooted(settings: Settings, path: Path) -> Settings:
    """The paths of a user's DBC and cell file are relative to the file; a shipped cell's name is no path."""
    user, pack = settings.can.user_dbc, settings.pack
    if user is not None:
        rooted = user.model_copy(update={"file": path.parent / user.file})
        settings = settings.model_copy(update={"can": settings.can.model_copy(update={"user_dbc": rooted})})
    if pack.cell_file is not None and pack.cell_file.suffix:
        cell_file = path.parent / pack.cell_file
        settings = settings.model_copy(update={"pack": pack.model_copy(update={"cell_file": cell_file})})
    return settings


def _unusable_cell(settings: Settings) -> list[Problem]:
    try:
        pack_cell(settings)
    except CellFileError as error:
        return [Problem("pack.cell_file", "", str(error))]
    return []
