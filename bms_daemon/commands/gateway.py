"""``bms-daemon gateway``: the process between the core and the network."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, OK, settings_of
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("gateway", help="serve a running core to the network (MQTT)")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the core")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input does: the core is gone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after SIGTERM or SIGINT, 78 for a configuration that is wrong or names nothing to serve."""
    from bms_daemon.runtime import log

    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    if settings.gateway.mqtt is None:
        print(f"{args.config}: there is no [gateway.mqtt] table, so there is nothing to serve", file=sys.stderr)
        return CONFIGURATION
    log.configure()
    asyncio.run(_until_told(settings, args.with_parent))
    return OK


async def _until_told(settings: Settings, with_parent: bool) -> None:
    from bms_daemon.gateway.run import run_gateway

    task = asyncio.create_task(run_gateway(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
