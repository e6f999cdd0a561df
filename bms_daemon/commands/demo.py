"""``bms-daemon demo``: a simulated pack through a day, with a live view, without any hardware."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bms_daemon.commands._connect import CONFIGURATION, USAGE, settings_of
from bms_daemon.commands._life import add_life, guarded, installed
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.app.core import Core, Watcher
    from bms_daemon.commands._view import View
    from bms_daemon.model import Snapshot

FASTEST = 1000.0
DESCRIPTION = """Runs the daemon on a simulated pack: emulated chips, contactors and CAN bus, a day in a house. On a
terminal it shows a live screen, elsewhere a line a second with the log on standard error. Ctrl-C ends it orderly. A
configuration of real hardware runs on a pack that is made up from it; nothing of the hardware is touched."""
SHARE = -0.1  # of the rated current that such a pack is discharged with


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("demo", help="run a simulated pack and watch it", description=DESCRIPTION)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a configuration, simulated or of real hardware")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="simulated seconds a second (default 1)")
    add_life(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after an orderly end, 2 for a wrong speed, 78 for a broken configuration."""
    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    if not 0.0 < args.speed <= FASTEST:
        print(f"--speed {args.speed:g}: wanted is a number above 0, at most {FASTEST:g}", file=sys.stderr)
        return USAGE
    with tempfile.TemporaryDirectory() as folder:
        on_a_pack = settings if settings.sim is not None else _made_up(settings, Path(folder))
        return guarded(lambda: _paced(_demo(on_a_pack, args), args.speed), on_a_pack)


def _made_up(settings: Settings, folder: Path) -> Settings:
    from bms_daemon.app.simulated import simulated

    return simulated(settings, folder, SHARE * settings.pack.rated_current_a, manager=True)


def _paced(main: Coroutine[Any, Any, None], speed: float) -> None:
    from bms_daemon.runtime.clock import run_manual

    if speed == 1.0:
        asyncio.run(main)
    else:
        run_manual(main, speed)


async def _demo(settings: Settings, args: argparse.Namespace) -> None:
    from bms_daemon.app.keeper import commission_afresh

    commission_afresh(settings)  # the simulated pack starts from its configured charge every time
    view = _view(settings, args)
    async with installed(settings, args.can_log) as installation:
        core = installation.core
        core.watchers.append(_shown(view, core))
        if args.for_s is not None:
            core.watchers.append(_ending(core, args.for_s))
        view.begin()
        try:
            await core.run()
        finally:
            view.end()


def _view(settings: Settings, args: argparse.Namespace) -> View:
    """A screen on a terminal; elsewhere lines, and the log on standard error."""
    from bms_daemon.commands import _screen
    from bms_daemon.commands._notes import Notes
    from bms_daemon.commands._view import Journey, LineView, LiveView
    from bms_daemon.runtime import log

    journey = Journey.of(settings, args.speed, args.for_s)
    if _screen.usable(sys.stdout):
        notes = Notes(asyncio.get_running_loop().time)
        notes.listen()
        return LiveView(settings, journey, sys.stdout, notes)
    log.configure()
    return LineView(settings, journey, sys.stdout)


def _shown(view: View, core: Core) -> Watcher:
    """Shows snapshots while somebody reads; without a reader the demo ends in good order."""
    from bms_daemon.commands._pipe import discard_output

    def see(snapshot: Snapshot) -> None:
        try:
            view.see(snapshot)
        except BrokenPipeError:
            discard_output()
            core.shutdown()

    return see


def _ending(core: Core, for_s: float) -> Watcher:
    """Asks for the end when ``for_s`` seconds of the wall clock are over, whatever time the loop keeps."""
    from bms_daemon.commands._progress import Stopwatch

    watch = Stopwatch()
    asked = False

    def see(snapshot: Snapshot) -> None:
        nonlocal asked
        if not asked and watch.elapsed_s >= for_s:
            asked = True
            core.shutdown()

    return see
