"""Who measures current and terminal voltages: the AFE itself where it can, else the current sensor.

Of two that measure the current, protection goes by the faster one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self

from bms_daemon.config.driver_tables import Quantity
from bms_daemon.config.schema import Settings

OVER_CURRENT_S = 0.5  # in which over-current must be answered, in any configuration


class Source(Enum):
    """Of equals the AFE goes first: it is scanned, and needs no second bus."""

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


def spare(settings: Settings, used: Source) -> Source:
    """Who else measures the current, fast enough to protect the pack by; NONE where nobody does."""
    other = Source.SHUNT if used is Source.AFE else Source.AFE
    shunt = settings.shunt.settings.measures if settings.shunt is not None else frozenset()
    measures = shunt if other is Source.SHUNT else settings.afe.settings.measures
    if used is Source.NONE or "current_a" not in measures:
        return Source.NONE
    return other if seen_s(settings, other) + 2.0 * settings.timing.tick_s <= OVER_CURRENT_S else Source.NONE


def slower(settings: Settings) -> Source:
    """Of two that measure the current the one that shows it later; NONE where only one does."""
    if settings.shunt is None or "current_a" not in settings.afe.settings.measures:
        return Source.NONE
    return max((Source.SHUNT, Source.AFE), key=lambda source: seen_s(settings, source))


def _source(settings: Settings, quantity: Quantity) -> Source:
    afe = quantity in settings.afe.settings.measures
    shunt = settings.shunt is not None and quantity in settings.shunt.settings.measures
    if afe and shunt and quantity == "current_a":
        return min((Source.AFE, Source.SHUNT), key=lambda source: seen_s(settings, source))
    return Source.AFE if afe else Source.SHUNT if shunt else Source.NONE


def age_s(settings: Settings, source: Source) -> float:
    """How old a current may be when it is read."""
    if source is Source.SHUNT and settings.shunt is not None:
        return settings.shunt.settings.chip_s
    return settings.afe.settings.chip_s[1]


def seen_s(settings: Settings, source: Source) -> float:
    """How long a current may flow until two samples have shown it."""
    return age_s(settings, source) + 2.0 * period_s(settings, source)


def period_s(settings: Settings, source: Source) -> float:
    """How often it measures; a scan's period where nobody does."""
    if source is Source.SHUNT and settings.shunt is not None:
        return settings.shunt.period_s
    return settings.afe.scan_period_s
