"""``bms-daemon demo``: a simulated pack through a day, with a live view, without any hardware."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, USAGE, settings_of
from bms_daemon.commands.run import guarded, live
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.app.build import Installation


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("demo", help="run a simulated pack and watch it")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a configuration with a [sim] table")
    parser.add_argument(
        "--for",
        dest="for_s",
        type=float,
        metavar="SECONDS",
        help="end by itself after this many seconds of the wall clock",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="simulated seconds a second (default 1)")
    parser.add_argument("--can-log", type=Path, metavar="FILE", help="write every frame as candump -L does")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after an orderly end, 2 for a configuration of real hardware, 78 for a broken one."""
    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    if settings.sim is None or not 0.0 < args.speed <= 1000.0:
        print("demo needs a configuration with a [sim] table, and a speed from above 0 to 1000", file=sys.stderr)
        return USAGE
    return guarded(lambda: _paced(_demo(settings, args), args.speed), settings)


def _paced(main: object, speed: float) -> None:
    from bms_daemon.runtime.clock import run_manual

    if speed == 1.0:
        asyncio.run(main)  # type: ignore[arg-type]
    else:
        run_manual(main, speed)  # type: ignore[arg-type]


async def _demo(settings: Settings, args: argparse.Namespace) -> None:
    from bms_daemon.app.build import build
    from bms_daemon.commands._view import View

    _commission(settings)
    installation: Installation = build(settings, can_log=args.can_log)
    view = View(settings, args.speed, sys.stdout)
    installation.core.watchers.append(view.see)
    view.begin()
    try:
        await live(installation, None if args.for_s is None else args.for_s * args.speed)
    finally:
        view.end()


def _commission(settings: Settings) -> None:
    """A fresh pack: the simulated one starts from its configured charge every time."""
    from bms_daemon.app.keeper import commissioned
    from bms_daemon.config.load import config_hash
    from bms_daemon.runtime.journal import Journal

    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    Journal(settings.journal.path).save(commissioned(None, config_hash(settings)))
