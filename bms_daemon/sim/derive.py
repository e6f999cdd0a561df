"""A simulated world for a configuration of real parts: the pack and the chips that its plain table describes.

Read from the plain table, not through the daemon's models: the world shall find what those misread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bms_daemon.sim.gpio import Board
from bms_daemon.sim.settings import Constant, LinkData, WorldSettings

Table = dict[str, Any]
FUSE_A, FUSE_A2S = 1.25, 6.0  # of the largest current, and of the rated current's square
LINK_TAU_S = 0.11  # of precharge
PATHS = {"two_mains_precharge": "two_mains", "fets": "fets"}


def world_of(table: Table, board: Board = "pi", current_a: float = 0.0, soc: float = 0.6) -> WorldSettings:
    """The world of a configuration's plain table. Raises KeyError, ValueError."""
    pack, afe = table["pack"], table["afe"]
    probes = afe["settings"].get("probes", ("one",))
    return WorldSettings.model_validate(
        {
            "chemistry": pack["chemistry"],
            "series": pack["series"],
            "capacity_ah": pack["capacity_ah"],
            "initial_soc": soc,
            "profile": Constant(current_a=current_a),
            "board": board,
            "probes": sum(probes) if isinstance(probes[0], int) else len(probes),
            "link": _link(table),
            "path": PATHS.get(table["contactor"]["topology"], "one_main"),
            "afe": {"kind": afe["kind"], **_AFES[afe["kind"]](afe["settings"])},
            "shunt": _shunt(table.get("shunt") or {"kind": "vedirect"}),
        }
    )


def _link(table: Table) -> LinkData:
    """A fuse for the pack's current, and a link that precharges in a tenth of a second whatever the voltage."""
    rated_a = FUSE_A * max(table["current"]["charge_max_a"], table["current"]["discharge_max_a"])
    ohm = max(22.0, table["pack"]["series"] * 0.5)
    return LinkData(
        capacitance_f=LINK_TAU_S / ohm, precharge_ohm=ohm, fuse_rated_a=rated_a, fuse_i2t_a2s=FUSE_A2S * rated_a**2
    )


def _bq76952(settings: Table) -> Table:
    flags = {name: settings.get(name, False) for name in ("crc", "fets")}
    return {"shunt_mohm": settings["shunt_mohm"], "part": settings.get("part", "bq76952"), **flags}


def _bq76952_spi(settings: Table) -> Table:
    given: Table = {name: settings[name] for name in ("spi_hz", "crc") if name in settings}
    return _bq76952(settings) | {"crc": True} | given


def _ltc681x(settings: Table) -> Table:
    given: Table = {name: settings[name] for name in ("part", "spi_hz") if name in settings}
    return {"cells": tuple(settings["cells"]), "probes": tuple(settings["probes"]), **given}


def _ades1830(settings: Table) -> Table:
    given = {"spi_hz": settings["spi_hz"]} if "spi_hz" in settings else {}
    return {"cells": tuple(settings["cells"]), "probes": tuple(settings["probes"]), **given}


def _bq769x0(settings: Table) -> Table:
    return {name: settings[name] for name in ("shunt_mohm", "part", "crc", "address") if name in settings}


def _sbs(settings: Table) -> Table:
    return {name: settings[name] for name in ("pec", "address", "renewed_s") if name in settings}


def _shunt(shunt: Table) -> Table:
    given = shunt.get("settings", {})
    names = {"lem_cab": ("layout",), "ina2xx": ("part", "address", "shunt_mohm", "bus")}.get(shunt["kind"], ())
    return {"kind": shunt["kind"]} | {name: given[name] for name in names if given.get(name) is not None}


_AFES: dict[str, Callable[[Table], Table]] = {
    "bq76952": _bq76952,
    "bq76952_spi": _bq76952_spi,
    "ltc681x": _ltc681x,
    "ades1830": _ades1830,
    "bq769x0": _bq769x0,
    "sbs": _sbs,
}
