"""Which columns of a recording mean what: own names, or a map of foreign ones with sign, scale, offset, invalid values.

A map is a TOML file. ``{n}`` stands for a cell's or probe's number; a value v of the file becomes
``sign * scale * v + offset``, and one listed in ``invalid`` becomes "not known"::

    schema = 1
    time = { column = "time_s" }
    current = { column = "BMSBatteryCurrent", sign = -1 }
    cells = { column = "V_{n}" }
    temps = { column = "T_{n}", numbers = [16, 17, 18, 19], offset = -40.0, invalid = [511] }
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field, ValidationError

from bms_daemon.config.section import Section
from bms_daemon.model import FloatArray

Numbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)]


class ColumnError(ValueError):
    """A map or a recording that does not fit; the text says what is there."""


class Column(Section):
    """One quantity. Units after conversion: s, A (positive when charging), V, degC."""

    column: str
    sign: Literal[1, -1] = 1
    scale: float = 1.0
    offset: float = 0.0
    invalid: Annotated[tuple[float, ...], Field(strict=False)] = ()

    def convert(self, raw: FloatArray) -> FloatArray:
        """The file's numbers in our units; NaN where the file says invalid or nothing."""
        known = np.where(np.isin(raw, self.invalid), np.nan, raw) if self.invalid else raw
        return self.sign * self.scale * known + self.offset


class Numbered(Column):
    """A column for every cell or probe. ``numbers`` picks some, in their order; empty: all of the file's, rising."""

    numbers: Numbers = ()


class ColumnMap(Section):
    """The whole map; the default is this project's own names."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    time: Column = Column(column="time_s")
    current: Column = Column(column="current_a")
    cells: Numbered = Numbered(column="cell_{n}_v")
    temps: Numbered = Numbered(column="temp_{n}_degc")


AnyMap = TypeVar("AnyMap", bound=Section)


def load_map(path: Path | None) -> ColumnMap:
    """The map in a file, or the default one. Raises ColumnError with every error."""
    return parse_map(path, ColumnMap)


def parse_map(path: Path | None, kind: type[AnyMap]) -> AnyMap:
    """A map of any kind of recording, or the kind's default. Raises ColumnError with every error."""
    if path is None:
        return kind()
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return kind.model_validate(table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ColumnError(f"{path}: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ColumnError(f"{path}: " + "; ".join(lines)) from None


def numbers_of(text: str) -> tuple[int, ...]:
    """``73-88`` or ``1,3,5-7`` as numbers. Raises ColumnError for anything else."""
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()):
            raise ColumnError(f"{text!r} is no list of numbers such as 1-16 or 1,3,5")
        found += range(int(low), int(high or low) + 1)
    if not found:
        raise ColumnError(f"{text!r} names no cell")
    return tuple(found)
