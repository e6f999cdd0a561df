"""``bms-daemon run``: the core on one configuration, with the gateway as its child."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, FAILED, OK, UNAVAILABLE, settings_of
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.app.build import Installation


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("run", help="run the daemon")
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="stop in good order after this long")
    parser.add_argument(
        "--no-gateway", action="store_true", help="do not start the gateway (systemd runs it by itself)"
    )
    parser.add_argument("--can-log", type=Path, metavar="FILE", help="write every frame as candump -L does")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after an orderly end, 1 when something broke, 69 for a missing device, 78 for the configuration."""
    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    from bms_daemon.runtime import log

    log.configure()
    return guarded(lambda: asyncio.run(_run(settings, args)), settings)


def guarded(action: object, settings: Settings) -> int:
    """Run a core's whole life: one instance a socket, and errors as exit codes with what to do."""
    from bms_daemon.model import BusFault
    from bms_daemon.runtime.lock import AlreadyRunning, InstanceLock

    assert callable(action)
    lock = InstanceLock(settings.link.socket)
    try:
        settings.link.socket.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        action()
    except (AlreadyRunning, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except BusFault as fault:
        print(f"hardware unavailable: {fault}", file=sys.stderr)
        return UNAVAILABLE
    except ValueError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return CONFIGURATION
    except Exception as error:
        print(f"the core ended: {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    finally:
        lock.release()
    return OK


async def _run(settings: Settings, args: argparse.Namespace) -> None:
    from bms_daemon.app.build import build
    from bms_daemon.app.child import supervise_gateway
    from bms_daemon.runtime import realtime

    if settings.timing.realtime:
        realtime.prepare()
    installation = build(settings, can_log=args.can_log)
    gateway = None
    if settings.gateway.mqtt is not None and not args.no_gateway:
        gateway = asyncio.create_task(supervise_gateway(args.config))
    realtime.freeze()
    try:
        await live(installation, args.for_s)
    finally:
        if gateway is not None:
            gateway.cancel()
            await asyncio.gather(gateway, return_exceptions=True)


async def live(installation: Installation, for_s: float | None) -> None:
    """Run the core until a signal or for ``for_s`` seconds; then shut it down in good order and close everything."""
    loop, core = asyncio.get_running_loop(), installation.core
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, core.shutdown)
    if for_s is not None:
        loop.call_later(for_s, core.shutdown)
    try:
        await core.run()
    finally:
        installation.close()
