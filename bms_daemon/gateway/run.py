"""The gateway process: follows the core over the link and serves what the configuration asks for.

It trusts nothing from the network and may die at any time; each part is started again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import structlog

from bms_daemon.config.load import config_hash
from bms_daemon.config.schema import Settings
from bms_daemon.gateway.follower import Follower
from bms_daemon.gateway.mqtt import MqttBridge
from bms_daemon.gateway.topics import base_of

RESTART_S = 5.0
SILENT_PERIODS = 3.0
log = structlog.get_logger("gateway")


async def run_gateway(settings: Settings) -> None:
    """Run until cancelled. Raises nothing that a part of it raised: that part is logged and started again."""
    follower = Follower(settings.link.socket)
    parts: dict[str, Callable[[], Awaitable[None]]] = {"link": follower.run}
    if settings.gateway.mqtt is not None:
        stale_s = SILENT_PERIODS * settings.link.period_s
        base = base_of(settings.gateway.mqtt, settings.node)
        bridge = MqttBridge(settings.gateway.mqtt, base, follower, stale_s, _info(settings))
        parts["mqtt"] = bridge.run
    async with asyncio.TaskGroup() as tasks:
        for name, part in parts.items():
            tasks.create_task(_keep(name, part), name=name)


async def _keep(name: str, part: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await part()
        except Exception:
            log.exception("part failed", code="part", part=name, restart_s=RESTART_S)
        await asyncio.sleep(RESTART_S)


def _info(settings: Settings) -> dict[str, Any]:
    """What this installation is: versions and the hash of its configuration."""
    return {
        "version": version("bms-daemon"),
        "node": settings.node.id,
        "name": settings.node.name,
        "chemistry": settings.pack.chemistry,
        "series": settings.pack.series,
        "capacity_ah": settings.pack.capacity_ah,
        "configuration": config_hash(settings),
    }
