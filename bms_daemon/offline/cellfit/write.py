"""A cell file as text that people can read: a header of comments, short numbers, wrapped arrays."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from bms_daemon.config.cellfile import CellFile

COLUMNS = 100


def cell_text(file: CellFile, header: Sequence[str]) -> str:
    """TOML; ``header`` lines become comments."""
    lines = [f"# {line}".rstrip() for line in header] + ["schema = 1"]
    for name in ("cell", "ocv", "resistance", "hysteresis", "heat"):
        section: BaseModel | None = getattr(file, name)
        if section is not None:
            lines += ["", f"[{name}]", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: BaseModel) -> Iterator[str]:
    for key, value in section:
        yield from _entry(f"{key} = ", value, "")


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    """A value after its key, or a row of a table."""
    end = "" if head else ","
    if not isinstance(value, tuple):
        yield f"{indent}{head}{_scalar(value)}{end}"
    elif isinstance(value[0], tuple):
        yield f"{indent}{head}["
        for row in value:
            yield from _entry("", row, indent + "  ")
        yield f"{indent}]{end}"
    else:
        row = ", ".join(_scalar(each) for each in value)
        yield from textwrap.wrap(f"{head}[{row}]{end}", COLUMNS, initial_indent=indent, subsequent_indent=indent + "  ")


def _scalar(value: object) -> str:
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
