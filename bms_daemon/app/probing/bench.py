"""What the checks work on: the configuration, the open devices, and the drivers on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bms_daemon.app.hardware import Hardware
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section
from bms_daemon.drivers import registry
from bms_daemon.model import AfeScan
from bms_daemon.ports import Afe, CurrentSensor

ANSWER_S = 2.0


@dataclass(slots=True)
class Bench:
    """``driver``: the AFE's, once it was set up. ``scans``: what it saw since, and how long each took.

    ``balance``, ``contactors``: what the user allows. ``wrong``: how many findings were so far.
    """

    settings: Settings
    hardware: Hardware
    balance: bool = False
    contactors: bool = False
    wrong: int = 0
    driver: Afe | None = None
    scans: list[AfeScan] = field(default_factory=list)
    scan_s: list[float] = field(default_factory=list)

    def afe(self, settings: Section) -> Afe:
        """A driver with the configuration's own table or with another."""
        return registry.make_afe(
            self.settings.afe.kind, self.hardware.afe_bus, settings, self.settings.pack.series
        )

    def sensor(self) -> CurrentSensor | None:
        shunt = self.settings.shunt
        if shunt is None or self.hardware.shunt_port is None:
            return None
        return registry.make_shunt(shunt.kind, self.hardware.shunt_port, shunt.settings)


def now_s() -> float:
    return asyncio.get_running_loop().time()
