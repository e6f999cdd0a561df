"""The families of analog front ends for the one contract test: how each is wired, and how each is made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from bms_daemon.drivers import registry
from bms_daemon.ports import Afe, SpiFrame
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings

Act = Callable[[Assembly], None]


def _i2c(name: str, value: Any) -> Act:
    return lambda assembly: setattr(assembly.afe_bus.faults, name, value)


def _chip(name: str, value: Any) -> Act:
    return lambda assembly: setattr(assembly.chip.faults, name, value)


@dataclass(frozen=True)
class Family:
    """``setup_s`` bounds a set-up; ``spoil_once`` flips a bit that its checksum covers."""

    name: str
    kind: str
    series: int
    world: dict[str, Any]
    settings: dict[str, Any]
    transfers: int
    silence: Act
    speak: Act
    spoil_once: Act
    spoil: Act
    freeze: Act
    reset: Act
    repeat: Act
    other_settings: dict[str, Any]  # of a chip that this one is not
    setup_s: float = 2.0
    outputs: bool = False  # it has switch outputs
    proof_s: float = 0.0  # after which values that stand still are no proof any more
    bled_v: float = 0.0  # by which cells that are discharged read worse
    slack_v: float = 1e-9  # by which each chip's own calibration moves its limits

    def __str__(self) -> str:
        return self.name

    def wired(self) -> Assembly:
        return assemble(WorldSettings.model_validate({"series": self.series, **self.world}))

    def driver(self, bus: Any, **changes: Any) -> Afe:
        model = registry.settings_model("afe", self.kind)
        return registry.make_afe(self.kind, bus, model(**(self.settings | changes)), self.series)

    def play(self, story: Callable[[Assembly, Afe], Awaitable[None]]) -> None:
        """Run a story on manual time, on a pack that rests at 60 %."""

        async def main() -> None:
            assembly = self.wired()
            await story(assembly, self.driver(assembly.afe_bus))

        run_manual(main())


LIMITS = {"over_voltage_v": 3.75, "under_voltage_v": 2.4}
BQ76952 = {
    **LIMITS,
    "shunt_mohm": 0.5,
    "probes": ("TS1", "TS2", "TS3"),
    "over_current_charge_a": 120.0,
    "over_current_discharge_a": 160.0,
    "over_current_discharge_fast_a": 200.0,
    "short_circuit_a": 400.0,
}


def _bq76952(crc: bool, part: str = "bq76952", series: int = 16) -> Family:
    return Family(
        name=f"{part} with CRC" if crc else f"{part} without CRC",
        kind="bq76952",
        series=series,
        world={"afe": {"kind": "bq76952", "crc": crc, "shunt_mohm": 0.5, "part": part}},
        settings={**BQ76952, "crc": crc, "part": part},
        transfers=5,
        silence=_i2c("nack", inf),
        speak=_i2c("nack", 0),
        spoil_once=_i2c("flip_bytes", 1) if crc else _i2c("nack", 1),
        spoil=_i2c("flip_rate", 1.0) if crc else _i2c("nack", inf),
        freeze=_chip("frozen", True),
        reset=lambda assembly: assembly.chip.power_on_reset(),
        repeat=_i2c("repeat", 1),
        other_settings={"crc": not crc},
        outputs=True,
    )


def _chain(
    name: str, kind: str, cells: tuple[int, ...], probes: tuple[int, ...], other: dict[str, Any], **part: str
) -> Family:
    wired = {"cells": cells, "probes": probes, **part}
    return Family(
        name=f"{name} chain",
        kind=kind,
        series=sum(cells),
        world={"probes": sum(probes), "afe": {"kind": kind, **wired}},
        settings={**LIMITS, **wired},
        transfers=4,
        silence=_chip("mute", 0),
        speak=_chip("mute", None),
        spoil_once=_i2c("flip_bytes", 1),
        spoil=_i2c("flip_rate", 0.5),
        freeze=_chip("frozen", True),
        reset=lambda assembly: assembly.chip.power_on_reset(),
        repeat=_i2c("repeat", 3),
        other_settings=other,
    )


def _ltc681x(part: str, cells: tuple[int, ...], probes: tuple[int, ...], other: dict[str, Any]) -> Family:
    return _chain(part, "ltc681x", cells, probes, other, part=part)


LTC6811 = _ltc681x("ltc6811", (12, 11, 7), (2, 2, 1), {"cells": (12, 11, 6, 1), "probes": (2, 2, 1, 0)})
LTC6812 = _ltc681x("ltc6812", (15, 13), (6, 9), {"part": "ltc6813"})
LTC6813 = _ltc681x("ltc6813", (18, 11, 16), (9, 0, 7), {"part": "ltc6812", "cells": (15, 15, 15)})
ADBMS1818 = _ltc681x("adbms1818", (17,), (5,), {"part": "ltc6812", "cells": (15, 2), "probes": (5, 0)})
ADES1830 = _chain(
    "ades1830", "ades1830", (16, 10, 15), (10, 0, 4), {"cells": (16, 10, 14, 1), "probes": (10, 0, 4, 0)}
)
CHAINS = (LTC6811, LTC6812, LTC6813, ADBMS1818, ADES1830)


def _bq769x0(crc: bool) -> Family:
    return Family(
        name="bq76940 with CRC" if crc else "bq76940 without CRC",
        kind="bq769x0",
        series=12,
        world={"afe": {"kind": "bq769x0", "crc": crc, "shunt_mohm": 0.5}},
        settings={
            **LIMITS,
            "crc": crc,
            "shunt_mohm": 0.5,
            "probes": ("TS1", "TS2", "TS3"),
            "over_current_discharge_a": 100.0,
            "short_circuit_a": 200.0,
        },
        transfers=3,
        silence=_i2c("nack", inf),
        speak=_i2c("nack", 0),
        spoil_once=_i2c("flip_bytes", 1) if crc else _i2c("nack", 1),
        spoil=_i2c("flip_rate", 1.0) if crc else _i2c("nack", inf),
        freeze=_chip("frozen", True),
        reset=lambda assembly: assembly.chip.power_on_reset(),
        repeat=_i2c("repeat", 1),
        other_settings={"crc": not crc},
        outputs=True,
        slack_v=0.007,
        bled_v=0.02,
    )


def _sbs(pec: bool) -> Family:
    return Family(
        name="smart battery with PEC" if pec else "smart battery without PEC",
        kind="sbs",
        series=4,
        world={"chemistry": "nmc", "probes": 1, "capacity_ah": 5.0, "afe": {"kind": "sbs", "pec": pec}},
        settings={"pec": pec, "unchanged_s": 1.5},
        transfers=8,
        silence=_chip("mute", True),
        speak=_chip("mute", False),
        spoil_once=_i2c("flip_bytes", 1) if pec else _i2c("nack", 1),
        spoil=_i2c("flip_rate", 1.0) if pec else _i2c("nack", inf),
        freeze=_chip("frozen", True),
        reset=lambda assembly: assembly.chip.power_on_reset(),
        repeat=_i2c("repeat", 1),
        other_settings={"pec": True, "address": 0x16},
        proof_s=2.0,
    )


BQ76952_SPI = replace(
    _bq76952(True),
    name="bq76952 on SPI",
    kind="bq76952_spi",
    world={"afe": {"kind": "bq76952_spi", "shunt_mohm": 0.5}},
    settings=BQ76952,
    silence=_i2c("unplugged", True),
    speak=_i2c("unplugged", False),
    spoil_once=_i2c("flip_bytes", 6),
    repeat=_i2c("repeat", 3),
    other_settings={"crc": False},
)

FAMILIES = (
    _bq76952(True),
    _bq76952(False),
    _bq76952(True, "bq76942", 10),
    _bq76952(False, "bq769142", 14),
    BQ76952_SPI,
    *CHAINS,
    _bq769x0(True),
    _bq769x0(False),
    _sbs(True),
    _sbs(False),
)


class Tampered:
    """A bus whose answers go through ``change`` first."""

    def __init__(self, bus: Any, change: Callable[[bytes], bytes] = bytes) -> None:
        self.change, self._bus = change, bus

    async def transfer(self, *args: Any) -> Any:
        if isinstance(args[0], Sequence) and all(isinstance(each, SpiFrame) for each in args[0]):
            return [self.change(raw) for raw in await self._bus.transfer(*args)]
        raw = await self._bus.transfer(*args)
        return self.change(raw) if raw else raw

    def close(self) -> None: ...


async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)
