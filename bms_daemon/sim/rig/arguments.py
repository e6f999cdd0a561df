"""What a client may ask of a fault: checked before anything of the world is changed.

A value is of the kind of the fault's default. Limits keep the arithmetic of plant and chip alive, not physics honest.
"""

from __future__ import annotations

import inspect
from math import inf
from typing import Any, get_args

from bms_daemon.sim.contactor import AuxFault
from bms_daemon.sim.faults import FAULTS, Injection
from bms_daemon.sim.settings import WorldSettings

OFFERED: dict[str, Injection] = {name: fault for name, fault in FAULTS.items() if not name.startswith("line_")}
"""Every fault but those of GPIO lines, which are the kernel's own here."""

_PROBES = ("probe_temperature", "chip_probe")
_AMOUNT, _COUNT = (-5000.0, 5000.0), (0, 65535)
_OHM, _SHARE, _DEGC = (1e-3, 1e12), (0.0, 1.0), (-100.0, 300.0)
_LIMITS: dict[str, tuple[float, float]] = {
    "probe_temperature": _DEGC,
    "chip_probe": _DEGC,
    "cell_heating": (0.0, 5000.0),
    "no_capacitor": (1e-9, 1.0),
    "precharge_shorted": _OHM,
    "precharge_open": _OHM,
    "short_circuit": _OHM,
    "chip_trip": (0, 255),
    "i2c_nack": (0, inf),
    "i2c_repeat": (0, inf),
    "i2c_flip": _SHARE,
    "i2c_slow": (0.0, 10.0),
    "serial_flip": _SHARE,
    "shunt_flood": (1, 100),
}


def checked(settings: WorldSettings, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """``args`` of a fault as they came. Raises KeyError for an unknown fault, TypeError or ValueError for the rest."""
    takes = inspect.signature(OFFERED[name].inject).parameters
    for key, value in args.items():
        if key == "where" and key in takes:
            number(value, 0, _places(settings, name) - 1, whole=True)
        elif key == "value" and key in takes:
            _value(name, takes[key].default, value)
        else:
            raise TypeError(f"{name} takes no argument {key!r}")
    return args


def number(value: object, least: float, most: float, whole: bool = False) -> float:
    """The value as it is. Raises ValueError for what is no number, or none from ``least`` to ``most``."""
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        raise ValueError(f"{value!r} is no {'whole ' if whole else ''}number from {least:g} to {most:g}")
    return value


def choice(value: object, choices: tuple[object, ...]) -> Any:
    """The value as it is. Raises ValueError for what is not one of ``choices``, by kind too: 1 is not True."""
    if not any(type(value) is type(each) and value == each for each in choices):
        raise ValueError(f"{value!r} is none of {', '.join(map(str, choices))}")
    return value


def _value(name: str, default: object, value: object) -> None:
    if isinstance(default, bool):
        choice(value, (True, False))
    elif isinstance(default, str):
        choice(value, get_args(AuxFault))
    elif isinstance(default, int):
        number(value, *_LIMITS.get(name, _COUNT), whole=True)
    else:
        number(value, *_LIMITS.get(name, _AMOUNT))


def _places(settings: WorldSettings, name: str) -> int:
    """How many a fault may choose from: addresses, probes or cells."""
    if name == "i2c_owned":
        return 128
    return settings.probes if name in _PROBES else settings.series
