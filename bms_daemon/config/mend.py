"""A wrong file made right enough to be judged further: relations between the values that are right show at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from bms_daemon.config.checks import Found

Table = dict[str, Any]
KEY = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
UNNAMED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cells bear", ("pack.chemistry",)),
    ("over_voltage_v: .* own", ("cell.critical_max_v",)),
    ("under_voltage_v: .* own", ("cell.critical_min_v",)),
    ("over_current_charge_a: .* own", ("current.over_ratio", "current.charge_max_a")),
    ("over_current_discharge_a: .* own", ("current.over_ratio", "current.discharge_max_a")),
    ("three ticks", ("timing.tick_s",)),
    ("two scans", ("afe.scan_period_s",)),
    ("no required vcu", ("can.vcu",)),
    ("cells, not", ("afe.kind", "afe.settings")),
    (r"\[sim\] table", ("sim",)),
)
"""What is found in a relation's key and text, and the keys that it rests on without naming them."""


def reference() -> Table:
    """The packaged demonstration: a right value for every required key."""
    return tomllib.loads(files("bms_daemon").joinpath("data", "config", "demo.toml").read_text(encoding="utf-8"))


class Mender:
    """A copy of a file's table in which wrong values give way: to the reference's, or to their defaults."""

    def __init__(self, table: Table) -> None:
        self.table = _copy(table)
        self._reference = reference()
        self._mended: set[str] = set()

    def mend(self, keys: Iterable[str]) -> None:
        """Replace each key's value; the whole table around it where the key has been mended before."""
        for key in keys:
            while key in self._mended and "." in key:
                key = key.rpartition(".")[0]
            self._mended.add(key)
            self._replace(key.split("."))
            if key.endswith(".kind"):
                self.mend([key.removesuffix("kind") + "settings"])

    def own(self, found: Found) -> bool:
        """Whether a relation rests on the file's own values alone."""
        key, _, text = found
        if any(self._touched(named) for named in (key, *KEY.findall(text))):
            return False
        said = f"{key}: {text}"
        return not any(self._touched(name) for sign, names in UNNAMED if re.search(sign, said) for name in names)

    def _touched(self, key: str) -> bool:
        return any(
            key == mended or key.startswith(f"{mended}.") or ("." in key and mended.startswith(f"{key}."))
            for mended in self._mended
        )

    def _replace(self, path: list[str]) -> None:
        """Put the reference's value at ``path``, or at the last part of it that is a table or is wrong itself."""
        inner, right = self.table, self._reference
        for part in path[:-1]:
            if not isinstance(inner.get(part), dict):
                _put(inner, right, part)
                return
            inner, right = inner[part], right[part] if isinstance(right.get(part), dict) else {}
        _put(inner, right, path[-1])


def _put(inner: Table, right: Table, part: str) -> None:
    inner.pop(part, None)
    if part in right:
        inner[part] = right[part]


def _copy(table: Table) -> Table:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in table.items()}
