"""What every signal of dbc/bms.dbc carries: a table from (message, signal) to a getter on the snapshot.

Getters give the signal's physical unit. None, NaN and infinity stand for "unknown" and go out as the signal's SNA code.
A measured value whose channel has failed is unknown; its last value is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bms_daemon.can.ahead import AHEAD, HORIZONS
from bms_daemon.can.extremes import highest, known, lowest, number_of_highest, number_of_lowest
from bms_daemon.can.packing import Getter, Rounding
from bms_daemon.model import Actuated, Channel, Fault, Faults, FloatArray, Pins, Quality, Snapshot

T = TypeVar("T")
CELLS, PROBES, FAULT_ROWS = 255, 66, 32
PERCENT, KILO = 100.0, 0.001
NO_FAULT, ERROR, NOT_FITTED = 15, 2, 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends. ``software`` is major, minor, patch; ``configuration_hash`` the first 32 bits of the file's hash."""

    node: int
    profile: int  # 0 home, 1 vehicle
    series: int
    probes: int
    software: tuple[int, int, int]
    configuration_hash: int


def usable(channel: Channel[T]) -> T | None:
    """The channel's value while its quality is good or held."""
    return None if channel.quality is Quality.FAILED else channel.value


def _gated(channel: Callable[[Snapshot], Channel[T]], field: Callable[[T], float | None]) -> Getter:
    def get(snapshot: Snapshot) -> float | None:
        value = usable(channel(snapshot))
        return None if value is None else field(value)

    return get


def _cells(field: Callable[[FloatArray], float | None]) -> Getter:
    return _gated(lambda s: s.measured.cells, lambda scan: field(scan.cell_v))


def _probes(field: Callable[[FloatArray], float | None]) -> Getter:
    return _gated(lambda s: s.measured.temps, lambda scan: field(scan.probe_degc))


def item(index: int) -> Callable[[FloatArray], float | None]:
    """The value at a place counted from 0; None beyond the end."""
    return lambda values: values.item(index) if index < values.size else None


def _pin(field: Callable[[Pins], bool | None], unfitted: float | None) -> Getter:
    def of(pins: Pins) -> float | None:
        level = field(pins)
        return unfitted if level is None else level

    return _gated(lambda s: s.measured.pins, of)


def _readback(field: Callable[[Actuated], bool]) -> Getter:
    return lambda s: field(s.actuated) if s.actuated.ok else ERROR


def _fault(index: int, field: Callable[[Fault, float], float | None], none: float | None) -> Getter:
    def get(snapshot: Snapshot) -> float | None:
        active = snapshot.faults.active
        return field(active[index], snapshot.now_s) if index < len(active) else none

    return get


FAULT_FIELDS: dict[str, tuple[Callable[[Fault, float], float | None], float | None]] = {
    "Code": (lambda f, _: f.number, 0),
    "Reaction": (lambda f, _: f.reaction, NO_FAULT),
    "Domain": (lambda f, _: f.domain, NO_FAULT),
    "Where": (lambda f, _: f.where, 0),
    "Latched": (lambda f, _: f.latched, 0),
    "Age": (lambda f, now_s: now_s - f.since_s, None),
}


def _state_flag(field: Callable[[Faults], bool]) -> Getter:
    return lambda s: field(s.faults)


NAMED: dict[str, Getter] = {
    "soc": lambda s: s.estimate.soc if s.estimate.soc_valid else None,
    "min_cell_v": _cells(lowest),
    "max_cell_v": _cells(highest),
    "min_cell": _cells(number_of_lowest),
    "max_cell": _cells(number_of_highest),
    "min_probe_degc": _probes(lowest),
    "max_probe_degc": _probes(highest),
    "min_probe": _probes(number_of_lowest),
    "max_probe": _probes(number_of_highest),
}
"""Derived values by name, in the model's units; also what the user's own DBC may refer to."""

STATE: dict[str, Getter] = {
    "PackState": lambda s: s.control.state,
    "WorstReaction": _fault(0, lambda f, _: f.reaction, NO_FAULT),
    "MainCommand": lambda s: s.command.main,
    "PrechargeCommand": lambda s: s.command.precharge,
    "ChargeCommand": lambda s: s.command.charge,
    "DischargeCommand": lambda s: s.command.discharge,
    "MainState": _pin(lambda p: p.main_aux_closed, None),
    "MainReadback": _readback(lambda a: a.main),
    "NegativeState": _pin(lambda p: p.main_negative_aux_closed, None),
    "PrechargeState": _pin(lambda p: p.precharge_aux_closed, None),
    "PrechargeReadback": _readback(lambda a: a.precharge),
    "OpenPending": lambda s: s.control.open_pending,
    "Armed": lambda s: s.control.armed,
    "SocValid": lambda s: s.estimate.soc_valid,
    "BlockCharge": _state_flag(lambda f: f.block_charge),
    "BlockDischarge": _state_flag(lambda f: f.block_discharge),
    "Inhibit": _state_flag(lambda f: f.inhibit),
    "Stop": _state_flag(lambda f: f.stop),
    "Open": _state_flag(lambda f: f.open),
    "Countdown": lambda s: s.control.countdown_s,
    "InterlockOk": _pin(lambda p: p.interlock_ok, NOT_FITTED),
    "EmergencyStopOk": _pin(lambda p: p.emergency_stop_ok, NOT_FITTED),
    "SecondDisconnect": lambda s: s.command.second,
    "Latched": lambda s: bool(s.faults.latched),
    "FanDuty": lambda s: s.command.fan * PERCENT,
}
LIMITS: dict[str, Getter] = {
    "ChargeBinding": lambda s: s.limits.charge_binding,
    "DischargeBinding": lambda s: s.limits.discharge_binding,
    "ChargeCurrent": lambda s: s.limits.charge_a,
    "DischargeCurrent": lambda s: s.limits.discharge_a,
    "Derate": lambda s: s.faults.derate * PERCENT,
}
POWER_LIMITS: dict[str, Getter] = {
    "ChargePower": lambda s: s.limits.charge_w * KILO,
    "DischargePower": lambda s: s.limits.discharge_w * KILO,
    "MaxVoltage": lambda s: s.limits.max_v,
    "MinVoltage": lambda s: s.limits.min_v,
}
PACK: dict[str, Getter] = {
    "StackVoltage": _gated(lambda s: s.measured.cells, lambda scan: scan.stack_v),
    "PackVoltage": lambda s: s.measured.pack_v,
    "LinkVoltage": lambda s: s.measured.link_v,
    "Current": lambda s: s.measured.current_a,
}
MIN_MAX: dict[str, Getter] = {
    "MinCellVoltage": NAMED["min_cell_v"],
    "MaxCellVoltage": NAMED["max_cell_v"],
    "MinCellNumber": NAMED["min_cell"],
    "MaxCellNumber": NAMED["max_cell"],
    "KnownCells": _cells(known),
    "CellQuality": lambda s: s.measured.cells.quality,
}
TEMP_MIN_MAX: dict[str, Getter] = {
    "MinTemperature": NAMED["min_probe_degc"],
    "MaxTemperature": NAMED["max_probe_degc"],
    "DieTemperature": _gated(lambda s: s.measured.temps, lambda scan: scan.die_degc),
    "MinProbeNumber": NAMED["min_probe"],
    "MaxProbeNumber": NAMED["max_probe"],
    "TempQuality": lambda s: s.measured.temps.quality,
}
SOC: dict[str, Getter] = {
    "Soc": lambda s: s.estimate.soc * PERCENT if s.estimate.soc_valid else None,
    "SocValid": lambda s: s.estimate.soc_valid,
    "SocSigma": lambda s: s.estimate.soc_sigma * PERCENT,
    "Capacity": lambda s: s.estimate.capacity_ah,
    "ShuntCurrent": _gated(lambda s: s.measured.shunt, lambda reading: reading.current_a),
    "ShuntQuality": lambda s: s.measured.shunt.quality,
}
FAULTS: dict[str, Getter] = {
    "ActiveCount": lambda s: len(s.faults.active),
    "LatchedCount": lambda s: len(s.faults.latched),
} | {f"Worst{name}": _fault(0, *how) for name, how in FAULT_FIELDS.items()}

ROUNDING: dict[tuple[str, str], Rounding] = {
    ("BMS_Limits", "ChargeCurrent"): Rounding.DOWN,
    ("BMS_Limits", "DischargeCurrent"): Rounding.DOWN,
    ("BMS_PowerLimits", "ChargePower"): Rounding.DOWN,
    ("BMS_PowerLimits", "DischargePower"): Rounding.DOWN,
    ("BMS_PowerLimits", "MaxVoltage"): Rounding.DOWN,
    ("BMS_PowerLimits", "MinVoltage"): Rounding.UP,
} | {("BMS_Ahead", f"{way}{span}{what}"): Rounding.DOWN
     for way in ("Charge", "Discharge") for span in HORIZONS for what in ("Power", "Current")}  # fmt: skip
"""A limit is never published wider than it is; every other signal is rounded to the nearest."""


def fault_row(row: int) -> dict[str, Getter]:
    """Getters of BMS_FaultList for the fault at a place in the list."""
    return {name: _fault(row, *how) for name, how in FAULT_FIELDS.items()}


def table(identity: Identity, version: tuple[int, int], dbc_hash: int) -> dict[str, dict[str, Getter]]:
    """Getters by message and signal. Rows of BMS_FaultList, whose signals repeat, come from ``fault_row``."""
    return {
        "BMS_State": STATE,
        "BMS_Limits": LIMITS,
        "BMS_PowerLimits": POWER_LIMITS,
        "BMS_Faults": FAULTS,
        "BMS_Pack": PACK,
        "BMS_MinMax": MIN_MAX,
        "BMS_Cells": {f"Cell{i + 1:03d}Voltage": _cells(item(i)) for i in range(CELLS)},
        "BMS_TempMinMax": TEMP_MIN_MAX,
        "BMS_Temps": {f"Probe{i + 1:02d}Temperature": _probes(item(i)) for i in range(PROBES)},
        "BMS_FaultList": fault_row(0),
        "BMS_Soc": SOC,
        "BMS_Ahead": AHEAD,
        "BMS_Version": _constants(_version(identity, version)),
        "BMS_Hashes": _constants({"ConfigurationHash": identity.configuration_hash, "DbcHash": dbc_hash}),
    }


def _version(identity: Identity, version: tuple[int, int]) -> dict[str, int]:
    major, minor, patch = identity.software
    return {
        "DbcMajor": version[0],
        "DbcMinor": version[1],
        "SoftwareMajor": major,
        "SoftwareMinor": minor,
        "SoftwarePatch": patch,
        "Node": identity.node,
        "Profile": identity.profile,
        "Series": identity.series,
    }


def _constants(values: dict[str, int]) -> dict[str, Getter]:
    return {name: _constant(value) for name, value in values.items()}


def _constant(value: int) -> Getter:
    return lambda _: value
