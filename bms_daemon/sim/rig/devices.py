"""What stands behind the device names of a configuration: nodes by their drivers, ptys, frames on CAN."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bms_daemon.sim.assembly import Assembly
from bms_daemon.sim.can_port import SimCanPort
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.rig.can_node import CanNode
from bms_daemon.sim.rig.cuse import Device
from bms_daemon.sim.rig.i2c_dev import I2cDev
from bms_daemon.sim.rig.installation import Wiring
from bms_daemon.sim.rig.pty_port import PtyPort
from bms_daemon.sim.rig.spi_dev import SpiDev
from bms_daemon.sim.serial import SimSerial
from bms_daemon.sim.settings import Ina2xxData
from bms_daemon.sim.spi import SimSpiBus

DEV = Path("/dev")
GROUPS: dict[type, str] = {I2cDev: "i2c", SpiDev: "spi"}
"""Who may use a node, by what stands behind it."""


class Monitor:
    """An I2C target that measures by itself, on a bus that was made for another: brought to now before it answers."""

    def __init__(self, target: Any, now_s: Callable[[], float]) -> None:
        self._target, self._now_s = target, now_s

    def i2c_write(self, data: bytes) -> bool:
        self._target.advance(self._now_s())
        return bool(self._target.i2c_write(data))

    def i2c_read(self, count: int) -> bytes | None:
        self._target.advance(self._now_s())
        found: bytes | None = self._target.i2c_read(count)
        return found


def nodes(wiring: Wiring, parts: Assembly) -> dict[str, Device]:
    """Devices by the names of their nodes. A current sensor on the AFE's adapter hangs on the AFE's bus."""
    settable = wiring.world.board == "pi"
    afe = parts.afe_bus
    made: dict[str, Device] = {wiring.afe: SpiDev(afe) if isinstance(afe, SimSpiBus) else I2cDev(afe, settable)}
    if wiring.shunt is None or not isinstance(parts.shunt_port, SimI2cBus):
        return made
    if wiring.shunt != wiring.afe:
        return made | {wiring.shunt: I2cDev(parts.shunt_port, settable)}
    data = wiring.world.shunt
    assert isinstance(data, Ina2xxData)
    afe.attach(data.address, Monitor(parts.talker, lambda: parts.world.now_s))
    return made


def talking(wiring: Wiring, parts: Assembly) -> list[Awaitable[None]]:
    """What carries the words of a current sensor that speaks by itself, for as long as it is awaited."""
    if wiring.shunt is None:
        return []
    if isinstance(parts.shunt_port, SimCanPort):
        return [CanNode(parts.shunt_port, wiring.shunt).run()]
    if isinstance(parts.shunt_port, SimSerial):
        port = PtyPort(parts.shunt_port, parts.talker.hear, DEV / wiring.shunt, lambda path: admit(path, "dialout"))
        return [port.run()]
    return []


def admit(node: Path, group: str) -> None:
    """What a udev rule does: a group may read and write the node."""
    shutil.chown(node, group=group)
    node.chmod(0o660)
