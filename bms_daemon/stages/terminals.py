"""Terminals: current, pack and link voltage of this tick, from whoever measures them."""

from __future__ import annotations

from dataclasses import dataclass

from bms_daemon.config.senses import Senses, Source
from bms_daemon.model import AfeScan, Channel, Quality, ShuntReading

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Terminals:
    """NaN for what is not known. ``quality`` is the worst of those who measure; ``current_s`` the current's time.

    ``charge_ah`` is by the counter of whoever measures the current.
    """

    current_a: float
    pack_v: float
    link_v: float
    current_s: float
    current_fresh: bool
    quality: Quality
    charge_ah: float


def terminals(senses: Senses, cells: Channel[AfeScan], shunt: Channel[ShuntReading]) -> Terminals:
    """What the channels say. A quantity that nobody measures is FAILED, and unknown for ever."""
    current = _channel(senses.current, cells, shunt)
    asked = {senses.current, senses.pack, senses.link}
    return Terminals(
        _values(senses.current, cells, shunt)[0],
        _values(senses.pack, cells, shunt)[1],
        _values(senses.link, cells, shunt)[2],
        current.time_s,
        current.fresh,
        max(_channel(source, cells, shunt).quality for source in asked),
        shunt.value.charge_ah if senses.current is Source.SHUNT and shunt.value is not None else NAN,
    )


UNMEASURED: Channel[AfeScan] = Channel()


def _channel(
    source: Source, cells: Channel[AfeScan], shunt: Channel[ShuntReading]
) -> Channel[AfeScan] | Channel[ShuntReading]:
    if source is Source.AFE:
        return cells
    return shunt if source is Source.SHUNT else UNMEASURED


def _values(
    source: Source, cells: Channel[AfeScan], shunt: Channel[ShuntReading]
) -> tuple[float, float, float]:
    """Current, pack and link voltage as one source has them."""
    if source is Source.AFE and cells.value is not None:
        return cells.value.current_a, cells.value.pack_v, cells.value.link_v
    if source is Source.SHUNT and shunt.value is not None:
        return shunt.value.current_a, shunt.value.voltage_v, shunt.value.link_v
    return NAN, NAN, NAN
