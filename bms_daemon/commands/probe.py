"""``bms-daemon probe``: bring-up, part by part, with what is wrong and how to mend it."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, FAILED, INTERRUPTED, OK, UNAVAILABLE, settings_of, waiting
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.app.probing.finding import Finding

DESCRIPTION = """Asks every part that the configuration names who it is and what it sees, and says what is wrong and how
to mend it. Without --contactors no contactor is touched. The daemon must not run: stop it first."""
QUESTION = """--contactors closes the pack of {name} for a few seconds: its voltage, up to {pack_v:.0f} V, appears
behind the contactors. Nobody may touch what is connected there; loads and chargers should be off.
Type "close" to go on, anything else to leave it out: """
WIDTH = 14


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("probe", help="bring-up: what answers, and what is wrong", description=DESCRIPTION)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the pack")
    parser.add_argument(
        "--balance", action="store_true", help="discharge each cell for a fraction of a second: is it the right one"
    )
    parser.add_argument(
        "--contactors", action="store_true", help="when all else is well, close and open the pack once; asks first"
    )
    parser.add_argument("--yes", action="store_true", help="with --contactors: do not ask")
    parser.add_argument("--simulated", action="store_true", help="on a simulated pack, to see what a good one says")
    parser.add_argument("--json", action="store_true", help="a JSON line a finding")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when all is well, 1 when something is wrong, 69 for a missing device, 78 for the configuration."""
    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    if not args.simulated and settings.sim is None:
        args.contactors = args.contactors and (args.yes or _agreed(settings))
        return _locked(settings, args)
    from bms_daemon.app.keeper import commission_afresh
    from bms_daemon.app.simulated import alone, simulated
    from bms_daemon.runtime.clock import run_manual

    with tempfile.TemporaryDirectory() as folder:
        on_a_pack = simulated(settings, Path(folder)) if settings.sim is None else alone(settings)
        commission_afresh(on_a_pack)
        return run_manual(_probe(on_a_pack, args))


def _agreed(settings: Settings) -> bool:
    """Nobody at a terminal is no agreement."""
    pack_v = settings.pack.series * settings.cell.max_v
    print(QUESTION.format(name=settings.node.name, pack_v=pack_v), end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip() if sys.stdin.isatty() else ""
    if not sys.stdin.isatty():
        print("\nnobody to ask: left out; --yes agrees beforehand", file=sys.stderr)
    return answer == "close"


def _locked(settings: Settings, args: argparse.Namespace) -> int:
    from bms_daemon.runtime.lock import AlreadyRunning, InstanceLock

    lock = InstanceLock(settings.link.socket)
    try:
        settings.link.socket.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except AlreadyRunning as error:
        print(f"{error}\nStop the daemon first: two cannot talk to the same chips.", file=sys.stderr)
        return UNAVAILABLE
    except OSError as error:
        print(f"{error}: run as the daemon's user, or change link.socket", file=sys.stderr)
        return UNAVAILABLE
    try:
        return asyncio.run(_until_ended(settings, args))
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        lock.release()


async def _until_ended(settings: Settings, args: argparse.Namespace) -> int:
    """A SIGTERM ends it as Ctrl-C does: what it discharges is turned off first, for not every chip does so itself."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await _probe(settings, args)


async def _probe(settings: Settings, args: argparse.Namespace) -> int:
    from bms_daemon.app.hardware import open_hardware
    from bms_daemon.app.probing.bench import Bench
    from bms_daemon.app.probing.finding import MEND, Level
    from bms_daemon.app.probing.walk import CHECKS
    from bms_daemon.commands._notes import Notes
    from bms_daemon.model import BusFault

    Notes(asyncio.get_running_loop().time).listen()  # findings are what it says, not log lines between them

    try:
        hardware = open_hardware(settings)
    except BusFault as fault:
        print(f"{fault}\n{MEND.get(fault.kind, '')}", file=sys.stderr)
        return UNAVAILABLE
    worst = OK
    try:
        bench = Bench(settings, hardware, args.balance, args.contactors)
        for check in CHECKS:
            with waiting(check.name):
                findings = await check.found(bench)
            for finding in findings:
                _show(check.name, finding, args.json)
                worst = FAILED if finding.level is Level.WRONG else worst
    finally:
        hardware.close()
    return worst


def _show(name: str, finding: Finding, as_json: bool) -> None:
    if as_json:
        line = {"check": name, "level": finding.level.value.lower(), "what": finding.what, "mend": finding.mend}
        print(json.dumps(line), flush=True)
        return
    print(f"{name:<{WIDTH}} {finding.level.value:<5} {finding.what}", flush=True)
    if finding.mend:
        print(f"{'':<{WIDTH}}       -> {finding.mend}", flush=True)
