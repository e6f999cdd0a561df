"""What estimation makes of the measurements: charge, health, power and energy of the pack and of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bms_daemon.model.inputs import FloatArray


class Binding(IntEnum):
    """Why a limit is what it is."""

    RATED = 0
    CELL_VOLTAGE = 1
    TEMPERATURE = 2
    SOC = 3
    FAULT = 4
    NOT_CLOSED = 5
    OPENING = 6
    STALE = 7
    RISING = 8
    RECOVERY = 9
    BATTERY = 10  # its own gauge asks for it


class CapacitySource(IntEnum):
    """What a cell's capacity was last learned from."""

    NONE = 0  # nothing yet: the cell file's
    KEPT = 1  # the journal of an earlier run
    PARTIAL_DISCHARGE = 2
    PARTIAL_CHARGE = 3
    FULL_SWING = 4


@dataclass(frozen=True, slots=True)
class CellStates:
    """Every cell's own values, arrays (n,); ``growth`` is the resistance over that of the cell file."""

    soc: FloatArray
    soc_sigma: FloatArray
    capacity_ah: FloatArray
    growth: FloatArray


@dataclass(frozen=True, slots=True)
class Ageing:
    """Health of the pack: its weakest cell's capacity over the rated one, and the most grown resistance.

    ``why`` names what the capacity was last learned from, ``age_s`` how long ago; before that, infinity.
    """

    soh: float
    soh_sigma: float
    growth: float
    growth_sigma: float
    why: CapacitySource
    age_s: float


@dataclass(frozen=True, slots=True)
class PowerAhead:
    """What the pack can give and take for 1, 2, 10 and 30 s and for long: arrays (5,), magnitudes, and what binds."""

    discharge_a: FloatArray
    discharge_w: FloatArray
    charge_a: FloatArray
    charge_w: FloatArray
    discharge_binding: tuple[Binding, ...]
    charge_binding: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left at the present load, down to the first cell that is empty and up to the first that is full.

    Times are infinite where the present current does not lead there.
    """

    charge_ah: float
    room_ah: float
    energy_wh: float
    energy_sigma_wh: float
    time_to_empty_s: float
    time_to_full_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the pack holds. ``soc`` is 0 when the first cell is empty and 1 when the first is full.

    ``soc_sigma`` is its standard uncertainty; ``capacity_ah`` what lies between the two. ``soc_lag`` is how far what is
    told of a cell is behind what is known of it, at most. ``restarts`` counts how often the estimator began anew,
    ``recovering`` says that it did so lately. Parts are None until the first scan; ``power`` and ``remaining`` also
    while cells or temperatures are not known.
    """

    soc: float = float("nan")
    soc_sigma: float = 1.0
    soc_valid: bool = False
    capacity_ah: float = float("nan")
    charge_throughput_ah: float = 0.0
    discharge_throughput_ah: float = 0.0
    soc_lag: float = 0.0
    restarts: int = 0
    recovering: bool = False
    ageing: Ageing | None = None
    power: PowerAhead | None = None
    remaining: Remaining | None = None
    cells: CellStates | None = None
