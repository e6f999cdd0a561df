"""The gateway's end of the link: follows the core, comes back when it does, and carries requests to it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from bms_daemon.runtime.link_client import LinkClient, LinkUnavailable
from bms_daemon.runtime.messages import Ask, Reply

RETRY_S = 1.0
log = structlog.get_logger("gateway")
Listener = Callable[[dict[str, Any]], None]


class Follower:
    """Calls every listener with every snapshot and event. ``snapshot_age_s`` is infinite until the first one."""

    def __init__(self, path: Path) -> None:
        self.listeners: list[Listener] = []
        self._path = path
        self._link: LinkClient | None = None
        self._seen_s = -math.inf

    @property
    def snapshot_age_s(self) -> float:
        return asyncio.get_running_loop().time() - self._seen_s

    async def run(self) -> None:
        """For ever: connect, follow, and try again a second after the core went."""
        while True:
            try:
                async with LinkClient(self._path, role="gateway") as link:
                    await self._follow(link)
            except LinkUnavailable as error:
                log.warning("core not reachable", code="link", reason=str(error))
            await asyncio.sleep(RETRY_S)

    async def request(self, ask: Ask) -> Reply:
        """Hand a request to the core. A core that is away refuses everything."""
        if self._link is None:
            return Reply(ask.id, False, "the core is not reachable")
        try:
            return await self._link.request(ask.action, ask.code, ask.expires_in_s, ask.id)
        except LinkUnavailable as error:
            return Reply(ask.id, False, str(error))

    async def _follow(self, link: LinkClient) -> None:
        loop = asyncio.get_running_loop()
        self._link = link
        log.info("core found", code="link", socket=str(self._path))
        try:
            async for message in link:
                if message.get("kind") == "snapshot":
                    self._seen_s = loop.time()
                for listener in self.listeners:
                    listener(message)
        finally:
            self._link = None
