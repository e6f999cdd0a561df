"""Kinds of drivers by role, and their modules, imported when first asked for."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from bms_daemon.config.section import Section
from bms_daemon.ports import Afe, ByteBus, CanPort, CurrentSensor, SerialPort, SpiBus

WIRES: dict[str, dict[str, str]] = {
    "afe": {
        "bq76952": "i2c",
        "bq76952_spi": "spi",
        "ltc681x": "spi",
        "bq769x0": "i2c",
        "sbs": "i2c",
        "ades1830": "spi",
    },
    "shunt": {"vedirect": "serial", "ivts": "can", "lem_cab": "can", "ina2xx": "i2c"},
}
"""What each kind of a role hangs on."""


def kinds(role: str) -> tuple[str, ...]:
    """Every kind of a role, "afe" or "shunt". Raises ValueError for another role."""
    if role not in WIRES:
        raise ValueError(f"no role {role!r}; there are {', '.join(WIRES)}")
    return tuple(WIRES[role])


def wire(role: str, kind: str) -> str:
    """What a kind hangs on: i2c, spi, serial or can. Raises ValueError for a kind that does not exist."""
    _known(role, kind)
    return WIRES[role][kind]


def settings_model(role: str, kind: str) -> type[Section]:
    """The model of the ``settings`` table of a kind. Raises ValueError for a kind that does not exist."""
    model: type[Section] = _module(role, kind).Settings
    return model


def make_afe(kind: str, bus: ByteBus | SpiBus, settings: Section, series: int) -> Afe:
    """The analog front end of ``series`` cells. Raises ValueError for an unknown kind and for cells that do not fit."""
    driver: Afe = _module("afe", kind).Driver(bus, settings, series)
    return driver


def make_shunt(kind: str, port: SerialPort | CanPort | ByteBus, settings: Section) -> CurrentSensor:
    """The current sensor. Raises ValueError for a kind that does not exist."""
    driver: CurrentSensor = _module("shunt", kind).Driver(port, settings)
    return driver


def _known(role: str, kind: str) -> None:
    if kind not in kinds(role):
        raise ValueError(f"no {role} of kind {kind!r}; there are {', '.join(kinds(role))}")


def _module(role: str, kind: str) -> ModuleType:
    _known(role, kind)
    return import_module(f"{__package__}.{kind}")
