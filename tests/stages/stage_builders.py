"""Settings, samples and measurements for the tests of the pure stages: healthy ones, with parts replaced by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bms_daemon import model as m
from bms_daemon.config import driver_tables as t
from bms_daemon.config import schema as c
from bms_daemon.stages.probes import Scene

CELLS = 4
GOOD = m.Quality.GOOD

ALL: frozenset[t.Quantity] = frozenset({"current_a", "pack_v", "link_v"})


class FullAfe(t.AfeTable):
    """Of a chip that measures everything, at once."""

    @property
    def measures(self) -> frozenset[t.Quantity]:
        return ALL

    @property
    def chip_s(self) -> tuple[float, float]:
        return 0.25, 0.25


class FullShunt(t.ShuntTable):
    """Of a sensor that measures everything, at once."""

    @property
    def measures(self) -> frozenset[t.Quantity]:
        return ALL


TABLES: dict[str, dict[str, Any]] = {
    "node": {"name": "test", "id": 0, "profile": "home"},
    "pack": {"chemistry": "lfp", "series": CELLS, "capacity_ah": 100.0, "rated_current_a": 100.0},
    "cell": {
        "valid_min_v": 0.5,
        "recharge_min_v": 2.0,
        "critical_min_v": 2.4,
        "min_v": 2.7,
        "max_v": 3.65,
        "critical_max_v": 3.75,
        "valid_max_v": 5.0,
        "derate_span_v": 0.15,
    },
    "temperature": {
        "charge_min_degc": 2.0,
        "charge_max_degc": 45.0,
        "discharge_min_degc": -15.0,
        "discharge_max_degc": 55.0,
        "critical_max_degc": 65.0,
        "probes_required": 2,
    },
    "current": {"charge_max_a": 50.0, "discharge_max_a": 100.0, "over_ratio": 1.1},
    "contactor": {"break_max_a": 300.0},
    "afe": {"kind": "none", "bus": "sim", "settings": FullAfe()},
    "shunt": {"kind": "none", "port": "sim", "settings": t.ShuntTable()},
    "gpio": {"chip": "sim", "main": {"line": 1}, "precharge": {"line": 2}, "dead_man": {"line": 3}},
    "can": {"interface": "virtual"},
    "journal": {"path": Path("journal")},
    "link": {"socket": Path("socket")},
}


def settings(**tables: dict[str, Any] | None) -> c.Settings:
    """A home pack of four LFP cells, 100 Ah; tables given are merged, a table given as None is left out."""
    merged: dict[str, Any] = {"schema": 1, "timing": tables.get("timing") or {}, "fan": tables.get("fan") or {}}
    for name, table in TABLES.items():
        changes = tables.get(name, {})
        if changes is not None:
            merged[name] = table | changes
    return c.Settings.model_validate(merged)


SETTINGS = settings()


CONVERTING = -7  # a scan that brings a new conversion; a feed numbers it


def scan(cell_v: float | Sequence[float] = 3.3, **parts: Any) -> m.AfeScan:
    """Four cells; one number is every cell's. The stack is their sum unless given."""
    cells = np.full(CELLS, cell_v) if isinstance(cell_v, float) else np.array(cell_v, dtype=np.float64)
    stack_v = parts.pop("stack_v", None)
    values = {
        "stack_v": float(cells.sum()) if stack_v is None else stack_v,
        "pack_v": 13.2,
        "link_v": 0.0,
        "current_a": 0.0,
        "conversions": CONVERTING,
        "charge_on": False,
        "discharge_on": False,
    }
    return m.AfeScan(cells, **(values | parts))


def temps(*probe_degc: float) -> m.TempScan:
    return m.TempScan(np.array(probe_degc or (20.0, 21.0, 22.0)), 30.0)


def channel(value: Any, quality: m.Quality = GOOD, now_s: float = 100.0, fresh: bool = True, **parts: Any) -> Any:
    """A channel as validation leaves it; without a value it has failed."""
    if value is None:
        return m.Channel(None, quality=m.Quality.FAILED, **parts)
    return m.Channel(value, now_s, 0.0, quality, fresh, fresh, "", **parts)


CLOSED = m.Command(main=True, charge=True, discharge=True)
OPEN_PINS = m.Pins(True, True, False, False)
CLOSED_PINS = m.Pins(True, True, True, False)


def measured(now_s: float = 100.0, **parts: Any) -> m.Measured:
    """A healthy measurement with everything fresh. ``cells`` and the like may be plain values."""
    cells = parts.pop("cells", scan())
    values: dict[str, Any] = {
        "now_s": now_s,
        "dt_s": 0.02,
        "cells": cells if isinstance(cells, m.Channel) else channel(cells, now_s=now_s),
        "temps": channel(temps(), now_s=now_s),
        "shunt": channel(m.ShuntReading(0.0), now_s=now_s),
        "pins": channel(OPEN_PINS, now_s=now_s),
        "vcu": m.Channel(),
        "can": m.CanHealth(),
        "doubts": m.Doubt.NONE,
        "frozen_s": 0.0,
        "lateness_s": 0.0,
        "late_run_s": 0.0,
        "orders": m.Orders(),
        "health": m.Health(),
    }
    for name, value in parts.items():
        plain = name in ("temps", "shunt", "pins", "vcu") and not isinstance(value, m.Channel)
        values[name] = channel(value, now_s=now_s) if plain else value
    known = values["cells"].value
    values.setdefault("trips", known.trips if known is not None else m.Trip.NONE)
    for name in ("current_a", "pack_v", "link_v"):
        values.setdefault(name, getattr(known, name) if known is not None else float("nan"))
    values.setdefault("compared", values["shunt"].fresh)
    values.setdefault("current_s", values["cells"].time_s)
    values.setdefault("current_fresh", values["cells"].fresh)
    values.setdefault("terminals", values["cells"].quality)
    return m.Measured(**values)


def scene(state: m.PackState = m.PackState.STANDBY, config: c.Settings = SETTINGS, **parts: Any) -> Scene:
    """What probes look at; parts of the scene by name, everything else goes to the measurement."""
    own = {
        "control": m.Control(state),
        "command": CLOSED if state in (m.PackState.CLOSED, m.PackState.OPENING) else m.Command(),
        "limits": m.Limits(50.0, 100.0),
        "actuated": m.Actuated(),
        "estimate": m.Estimate(),
        "open_s": 3600.0,
        "closed_s": 0.0,
    }
    own |= {name: parts.pop(name) for name in tuple(own) if name in parts}
    return Scene(measured(**parts), config, **own)  # type: ignore[arg-type]


class Feed:
    """Raw samples with rising sequence numbers, as sources would leave them."""

    def __init__(self) -> None:
        self.raw = m.Raw()
        self.seq = 0

    def put(self, now_s: float, **values: Any) -> m.Raw:
        """Leave new samples; a value of None or a string is a failed attempt, what is not named stays."""
        self.seq += 1
        samples = {name: self._sample(value, now_s) for name, value in values.items()}
        self.raw = replace(self.raw, **samples)
        return self.raw

    def _sample(self, value: Any, now_s: float) -> m.Sample[Any]:
        if value is None or isinstance(value, str):
            return m.Sample(None, now_s, self.seq, value or "nack")
        if isinstance(value, m.AfeScan) and value.conversions == CONVERTING:
            value = replace(value, conversions=self.seq + 1000)
        return m.Sample(value, now_s, self.seq)


def estimated(charge_a: float, discharge_a: float, why: m.Binding = m.Binding.CELL_VOLTAGE, **parts: Any) -> m.Estimate:
    """What estimation would say of a pack that can do this for 10 s, and far more or nothing for other times."""
    shares = np.array([9.0, 9.0, 1.0, 0.0, 0.0])
    power = m.PowerAhead(
        discharge_a * shares,
        discharge_a * 13.2 * shares,
        charge_a * shares,
        charge_a * 13.2 * shares,
        (m.Binding.RATED, m.Binding.RATED, why, m.Binding.FAULT, m.Binding.FAULT),
        (m.Binding.RATED, m.Binding.RATED, why, m.Binding.FAULT, m.Binding.FAULT),
    )
    return m.Estimate(**({"soc": 0.5, "soc_sigma": 0.02, "soc_valid": True, "power": power} | parts))


AMPLE = estimated(1000.0, 1000.0)
