"""A core's whole life in a command: one instance a socket, signals as orders, errors as exit codes with what to do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, FAILED, INTERRUPTED, OK, UNAVAILABLE
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from bms_daemon.app.build import Installation


class Refused(Exception):
    """The configuration names what the core cannot be built with."""


def add_life(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a core."""
    parser.add_argument(
        "--for",
        dest="for_s",
        type=_seconds,
        metavar="SECONDS",
        help="end by itself in good order after this many seconds of the wall clock",
    )
    parser.add_argument("--can-log", type=Path, metavar="FILE", help="write every frame as candump -L does")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: wanted is a number of seconds above 0")
    return value


def guarded(action: Callable[[], None], settings: Settings) -> int:
    """Run a core's whole life as the only instance on its socket; the exit code, after a text that says what to do."""
    from bms_daemon.runtime.lock import AlreadyRunning, InstanceLock

    lock = InstanceLock(settings.link.socket)
    try:
        settings.link.socket.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"{error}: run as the daemon's user, or change link.socket", file=sys.stderr)
        return FAILED
    try:
        return _outcome(action)
    finally:
        lock.release()


def _outcome(action: Callable[[], None]) -> int:
    from bms_daemon.model import BusFault
    from bms_daemon.runtime.lock import AlreadyRunning

    try:
        action()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BusFault as fault:
        print(f"hardware unavailable: {fault}", file=sys.stderr)
        return UNAVAILABLE
    except Refused as error:
        print(f"configuration: {error}", file=sys.stderr)
        return CONFIGURATION
    except (AlreadyRunning, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except Exception as error:
        print(f"the core ended: {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    return OK


@contextlib.asynccontextmanager
async def installed(settings: Settings, can_log: Path | None) -> AsyncIterator[Installation]:
    """A core with everything that it holds open; SIGTERM and SIGINT ask it for an orderly end, from now on."""
    found: Installation | None = None

    def end() -> None:
        if found is not None:
            found.core.shutdown()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    found = _built(settings, can_log)
    try:
        yield found
    finally:
        found.close()


def _built(settings: Settings, can_log: Path | None) -> Installation:
    from bms_daemon.app.build import build

    try:
        return build(settings, can_log=can_log)
    except ValueError as error:
        raise Refused(str(error)) from error
