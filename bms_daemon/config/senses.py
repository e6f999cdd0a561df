"""Who measures current and terminal voltages: the AFE itself where it can, else the current sensor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self

from bms_daemon.config.driver_tables import Quantity
from bms_daemon.config.schema import Settings


class Source(Enum):
    """Protection goes by the AFE's own where there is one: it is scanned, and needs no second bus."""

    AFE = 0
    SHUNT = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class Senses:
    """Whose value of each quantity the daemon goes by."""

    current: Source
    pack: Source
    link: Source

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(*(_source(settings, quantity) for quantity in ("current_a", "pack_v", "link_v")))


def _source(settings: Settings, quantity: Quantity) -> Source:
    if quantity in settings.afe.settings.measures:
        return Source.AFE
    shunt = settings.shunt
    return Source.SHUNT if shunt is not None and quantity in shunt.settings.measures else Source.NONE


def period_s(settings: Settings, source: Source) -> float:
    """How often it measures; a scan's period where nobody does."""
    if source is Source.SHUNT and settings.shunt is not None:
        return settings.shunt.period_s
    return settings.afe.scan_period_s
