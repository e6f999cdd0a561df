"""One rig: every device that a configuration names, for as long as it runs."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from math import inf
from pathlib import Path

from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.rig.control import Control
from bms_daemon.sim.rig.cuse import Node
from bms_daemon.sim.rig.gpio_sim import GpioSim
from bms_daemon.sim.rig.i2c_dev import I2cDev
from bms_daemon.sim.rig.installation import Wiring
from bms_daemon.sim.rig.pins import PERIOD_S, Pins
from bms_daemon.sim.rig.pty_port import PtyPort
from bms_daemon.sim.rig.spi_dev import Loopback, SpiDev
from bms_daemon.sim.world import World

DEV = Path("/dev")
SPI = "spidev0.0"


async def serve(wiring: Wiring, back_door: Path, ready: Callable[[], None]) -> None:
    """Until SIGTERM or SIGINT, which leave no device behind; ``ready`` is called when every node is there."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await _served(wiring, back_door, ready)


async def _served(wiring: Wiring, back_door: Path, ready: Callable[[], None]) -> None:
    parts = assemble(wiring.world, bus_hz=inf)  # the way through the kernel takes as long as a wire
    async with AsyncExitStack() as stack:
        adapter = I2cDev(parts.afe_bus, settable=wiring.world.board == "pi")
        nodes = [Node(wiring.i2c, adapter), Node(SPI, SpiDev(Loopback()))]
        for node in nodes:
            stack.enter_context(closing(node))
        chip = stack.enter_context(closing(GpioSim(wiring.label, wiring.names)))
        pins = Pins(chip, wiring.pins, parts.lines, wiring.world.board)
        await asyncio.gather(*(node.present() for node in nodes))
        for path, group in ((DEV / wiring.i2c, "i2c"), (DEV / SPI, "spi"), (chip.path, "gpio")):
            admit(path, group)
        door = await stack.enter_async_context(await Control(parts, pins).listen(back_door))
        tasks = [_turn(parts.world, pins), door.serve_forever()]
        if wiring.serial is not None:
            port = PtyPort(parts.shunt_port, parts.talker.hear, wiring.serial, lambda path: admit(path, "dialout"))
            tasks.append(port.run())
        asyncio.get_running_loop().call_soon(ready)
        await asyncio.gather(*tasks)


async def _turn(world: World, pins: Pins) -> None:
    """Keep pins and world moving while nobody talks to them. One loop: every call into the lab's kernel is dear."""
    while True:
        pins.look()
        world.sync_now()
        await asyncio.sleep(PERIOD_S)


def admit(node: Path, group: str) -> None:
    """What a udev rule does: a group may read and write the node."""
    shutil.chown(node, group=group)
    node.chmod(0o660)
