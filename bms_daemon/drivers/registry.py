"""Kinds of drivers by role, and their modules, imported when first asked for."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from bms_daemon.config.schema import Section
from bms_daemon.ports import Afe, ByteBus, CurrentSensor, SerialPort

_KINDS: dict[str, tuple[str, ...]] = {"afe": ("bq76952",), "shunt": ("vedirect",)}


def kinds(role: str) -> tuple[str, ...]:
    """Every kind of a role, "afe" or "shunt". Raises ValueError for another role."""
    if role not in _KINDS:
        raise ValueError(f"no role {role!r}; there are {', '.join(_KINDS)}")
    return _KINDS[role]


def settings_model(role: str, kind: str) -> type[Section]:
    """The model of the ``settings`` table of a kind. Raises ValueError for a kind that does not exist."""
    model: type[Section] = _module(role, kind).Settings
    return model


def make_afe(kind: str, bus: ByteBus, settings: Section, series: int) -> Afe:
    """The analog front end of ``series`` cells. Raises ValueError for an unknown kind and for cells that do not fit."""
    driver: Afe = _module("afe", kind).Driver(bus, settings, series)
    return driver


def make_shunt(kind: str, port: SerialPort, settings: Section) -> CurrentSensor:
    """The current sensor. Raises ValueError for a kind that does not exist."""
    driver: CurrentSensor = _module("shunt", kind).Driver(port, settings)
    return driver


def _module(role: str, kind: str) -> ModuleType:
    if kind not in kinds(role):
        raise ValueError(f"no {role} of kind {kind!r}; there are {', '.join(kinds(role))}")
    return import_module(f"{__package__}.{kind}")
