"""What is told and what is kept: events, and what must outlive the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a log line. ``data`` holds plain numbers and strings."""

    time_s: float
    kind: str
    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survivor:
    """What must outlive the process. ``cell_*`` have an entry a cell, ``cell_health`` a fixed number of them."""

    soc: float = float("nan")
    soc_sigma: float = 1.0
    latched: tuple[str, ...] = ()
    closes: int = 0
    charge_throughput_ah: float = 0.0
    discharge_throughput_ah: float = 0.0
    precharge_tries: int = 0
    commissioned_hash: str = ""
    boots: int = 0
    cell_soc: tuple[float, ...] = ()
    cell_soc_sigma: tuple[float, ...] = ()
    cell_health: tuple[float, ...] = ()
