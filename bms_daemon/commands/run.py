"""``bms-daemon run``: the core on one configuration, with the gateway as its child."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, settings_of
from bms_daemon.commands._life import add_life, guarded, installed
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """Runs the core of one pack until SIGTERM or SIGINT, then announces the end on CAN, waits for low current
and opens. The configuration must have been commissioned, or the pack stays open. The log goes to standard error."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("run", help="run the daemon", description=DESCRIPTION)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the pack")
    parser.add_argument(
        "--no-gateway", action="store_true", help="do not start the gateway (systemd runs it by itself)"
    )
    add_life(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after an orderly end, 1 when something broke, 69 for a missing device, 78 for the configuration."""
    from bms_daemon.runtime import log

    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    log.configure()
    return guarded(lambda: asyncio.run(_run(settings, args)), settings)


async def _run(settings: Settings, args: argparse.Namespace) -> None:
    from bms_daemon.runtime import realtime

    async with installed(settings, args.can_log) as installation:
        gateway = None
        if settings.gateway.mqtt is not None and not args.no_gateway:
            gateway = asyncio.create_task(_gateway(args.config))
        realtime.freeze()
        if settings.timing.realtime:
            _report(realtime.prepare())
        if args.for_s is not None:
            asyncio.get_running_loop().call_later(args.for_s, installation.core.shutdown)
        try:
            await installation.core.run()
        finally:
            if gateway is not None:
                gateway.cancel()
                await asyncio.gather(gateway, return_exceptions=True)


async def _gateway(config: Path) -> None:
    from bms_daemon.app.child import supervise_gateway

    await supervise_gateway(config)


def _report(refused: tuple[str, ...]) -> None:
    """The daemon runs without them, with later ticks."""
    import structlog

    for text in refused:
        structlog.get_logger().warning(f"timing.realtime: not granted: {text}", code="realtime_refused")
