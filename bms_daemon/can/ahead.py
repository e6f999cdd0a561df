"""What the rows of BMS_Ahead carry: health, energy, times, and the power that the cells can give and take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bms_daemon.can.packing import Getter
from bms_daemon.model import Ageing, Binding, CapacitySource, Estimate, FloatArray, PowerAhead, Remaining, Snapshot

Part = TypeVar("Part")
PERCENT, KILO = 100.0, 0.001
HORIZONS = ("1s", "2s", "10s", "30s", "Long")


def _part(of: Callable[[Estimate], Part | None], field: Callable[[Part], float], none: float | None = None) -> Getter:
    def get(snapshot: Snapshot) -> float | None:
        part = of(snapshot.estimate)
        return none if part is None else field(part)

    return get


def _ageing(field: Callable[[Ageing], float]) -> Getter:
    return _part(lambda estimate: estimate.ageing, field)


def _remaining(field: Callable[[Remaining], float]) -> Getter:
    """What is left is worth no more than the state of charge that it starts from."""
    return _part(lambda estimate: estimate.remaining if estimate.soc_valid else None, field)


def _power(field: Callable[[PowerAhead], FloatArray], horizon: int, unit: float) -> Getter:
    return _part(lambda estimate: estimate.power, lambda power: float(field(power)[horizon]) * unit)


def _binding(field: Callable[[PowerAhead], tuple[Binding, ...]], horizon: int) -> Getter:
    return _part(lambda estimate: estimate.power, lambda power: field(power)[horizon], Binding.STALE)


def _ahead(horizon: int, span: str) -> dict[str, Getter]:
    return {
        f"Discharge{span}Power": _power(lambda power: power.discharge_w, horizon, KILO),
        f"Charge{span}Power": _power(lambda power: power.charge_w, horizon, KILO),
        f"Discharge{span}Current": _power(lambda power: power.discharge_a, horizon, 1.0),
        f"Charge{span}Current": _power(lambda power: power.charge_a, horizon, 1.0),
        f"Discharge{span}Binding": _binding(lambda power: power.discharge_binding, horizon),
        f"Charge{span}Binding": _binding(lambda power: power.charge_binding, horizon),
    }


def _learned(snapshot: Snapshot) -> bool:
    ageing = snapshot.estimate.ageing
    return ageing is not None and ageing.why is not CapacitySource.NONE


AHEAD: dict[str, Getter] = {
    "Soh": _ageing(lambda ageing: ageing.soh * PERCENT),
    "SohSigma": _ageing(lambda ageing: ageing.soh_sigma * PERCENT),
    "Growth": _ageing(lambda ageing: ageing.growth * PERCENT),
    "GrowthSigma": _ageing(lambda ageing: ageing.growth_sigma * PERCENT),
    "SohWhy": _part(lambda estimate: estimate.ageing, lambda ageing: ageing.why, CapacitySource.NONE),
    "SohValid": _learned,
    "Energy": _remaining(lambda left: left.energy_wh * KILO),
    "EnergySigma": _remaining(lambda left: left.energy_sigma_wh * KILO),
    "RemainingCharge": _remaining(lambda left: left.charge_ah),
    "ChargeRoom": _remaining(lambda left: left.room_ah),
    "EnergyValid": lambda snapshot: snapshot.estimate.soc_valid and snapshot.estimate.remaining is not None,
    "TimeToEmpty": _remaining(lambda left: left.time_to_empty_s),
    "TimeToFull": _remaining(lambda left: left.time_to_full_s),
} | {name: get for horizon, span in enumerate(HORIZONS) for name, get in _ahead(horizon, span).items()}
