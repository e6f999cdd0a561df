"""What the commands that talk to a running core share: where its socket is, and what to say when nobody answers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path

from bms_daemon.config.schema import Settings
from bms_daemon.runtime.link_client import LinkClient, LinkUnavailable
from bms_daemon.runtime.messages import Malformed

OK, FAILED, USAGE, UNAVAILABLE, CONFIGURATION = 0, 1, 2, 69, 78  # 69, 78: EX_UNAVAILABLE, EX_CONFIG of sysexits.h
INTERRUPTED = 130
PATIENCE_S = 2.0  # a longer wait says what for


def add_target(parser: argparse.ArgumentParser) -> None:
    """CONFIG or --socket PATH: which core."""
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="configuration of the core")
    target.add_argument("--socket", type=Path, metavar="PATH", help="its link socket, instead of CONFIG")


def settings_of(config: Path) -> Settings | None:
    """The loaded configuration; None after every error of it was printed."""
    from bms_daemon.app import load_settings
    from bms_daemon.config.load import ConfigError

    try:
        settings: Settings = load_settings(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return None
    return settings


def with_link(args: argparse.Namespace, action: Callable[[LinkClient], Coroutine[None, None, int]]) -> int:
    """Run ``action`` on a connection to the core; the exit code is its, or 69, 78."""
    socket: Path | None = args.socket
    if socket is None:
        settings = settings_of(args.config)
        if settings is None:
            return CONFIGURATION
        socket = settings.link.socket
    try:
        return asyncio.run(_connected(socket, action))
    except LinkUnavailable as error:
        print(f"{error}\nStart it with: bms-daemon run CONFIG. If it runs, may you open its socket?", file=sys.stderr)
        return UNAVAILABLE
    except Malformed as error:
        print(f"the core refused the question: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


async def _connected(socket: Path, action: Callable[[LinkClient], Coroutine[None, None, int]]) -> int:
    async with contextlib.AsyncExitStack() as stack:
        with waiting("the core's answer"):
            link = await stack.enter_async_context(LinkClient(socket))
        return await action(link)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is waited for, once that takes longer than two seconds. Needs a running loop."""
    handle = asyncio.get_running_loop().call_later(
        PATIENCE_S, partial(print, f"waiting for {what} ...", file=sys.stderr)
    )
    try:
        yield
    finally:
        handle.cancel()
