"""One rig: every device that a configuration names, for as long as it runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from math import inf
from pathlib import Path

from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.rig import devices
from bms_daemon.sim.rig.control import Control
from bms_daemon.sim.rig.cuse import Node
from bms_daemon.sim.rig.devices import DEV, GROUPS, admit
from bms_daemon.sim.rig.gpio_sim import GpioSim
from bms_daemon.sim.rig.installation import Wiring
from bms_daemon.sim.rig.pins import PERIOD_S, Pins
from bms_daemon.sim.world import World


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
        behind = devices.nodes(wiring, parts)
        nodes = [stack.enter_context(closing(Node(name, device))) for name, device in behind.items()]
        chip = stack.enter_context(closing(GpioSim(wiring.label, wiring.names)))
        pins = Pins(chip, wiring.pins, parts.lines, wiring.world.board)
        await asyncio.gather(*(node.present() for node in nodes))
        for name, device in behind.items():
            admit(DEV / name, GROUPS[type(device)])
        admit(chip.path, "gpio")
        door = await stack.enter_async_context(await Control(parts, pins).listen(back_door))
        asyncio.get_running_loop().call_soon(ready)
        await asyncio.gather(_turn(parts.world, pins), door.serve_forever(), *devices.talking(wiring, parts))


async def _turn(world: World, pins: Pins) -> None:
    """Keep pins and world moving while nobody talks to them. One loop: every call into the lab's kernel is dear."""
    while True:
        pins.look()
        world.sync_now()
        await asyncio.sleep(PERIOD_S)
