"""``bms-daemon events``: the core's last events, and the next ones as they come. One JSON object a line."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import OK, add_target, with_link
from bms_daemon.runtime.link_client import LinkClient
from bms_daemon.runtime.messages import MAX_EVENTS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = "Prints changes of state and of faults, oldest first, one JSON object a line."


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("events", help="show the core's last events", description=DESCRIPTION)
    add_target(parser)
    parser.add_argument(
        "--last", type=_count, default=20, metavar="N", help=f"how many, 0 to {MAX_EVENTS} (default 20)"
    )
    parser.add_argument("--follow", action="store_true", help="and the next ones, until interrupted")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 69 when the core does not answer or goes away, 78 for the configuration."""
    return with_link(args, lambda link: _show(link, args.last, args.follow))


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_EVENTS):
        raise argparse.ArgumentTypeError(f"{text}: wanted is a number from 0 to {MAX_EVENTS}")
    return int(text)


async def _show(link: LinkClient, last: int, follow: bool) -> int:
    for event in await link.events(last):
        print(json.dumps(event), flush=True)
    while follow:
        message = await anext(link)
        if message.pop("kind", None) == "event":
            print(json.dumps(message), flush=True)
    return OK
