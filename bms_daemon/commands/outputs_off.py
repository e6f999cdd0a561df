"""``bms-daemon outputs-off``: drive every output line off; what systemd runs after the core, however it ended."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, OK, UNAVAILABLE, settings_of
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """For the time after the core: some boards keep the levels of their lines when a process dies. While the
core runs it holds the lines, and this fails."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "outputs-off", help="drive every output line off (ExecStopPost)", description=DESCRIPTION
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the pack")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when the lines are off, 69 when they cannot be had."""
    from bms_daemon.model import BusFault

    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    if settings.sim is not None:
        print("a simulated pack has no outputs")
        return OK
    try:
        asyncio.run(_off(settings))
    except BusFault as fault:
        print(f"outputs are not known to be off: {fault}", file=sys.stderr)
        return UNAVAILABLE
    print("outputs are off")
    return OK


async def _off(settings: Settings) -> None:
    from bms_daemon.app.build import off
    from bms_daemon.app.hardware import fitted_roles
    from bms_daemon.buses.gpio import GpioLines

    lines = GpioLines(settings.gpio)
    try:
        off(lines, fitted_roles(settings.gpio))
    finally:
        lines.close()
