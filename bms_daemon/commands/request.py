"""``bms-daemon request``: ask the core to open, close, clear a latched fault, or allow a recovery charge."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, cast

from bms_daemon.commands._connect import FAILED, OK, add_target, waiting, with_link
from bms_daemon.runtime.link_client import LinkClient
from bms_daemon.runtime.log import printable
from bms_daemon.runtime.messages import Action

if TYPE_CHECKING:
    from argparse import _SubParsersAction

EXPIRES_IN_S = 5.0
_HELP = {
    "open": "open the contactors",
    "close": "close them, if the core finds everything in order",
    "clear": "clear a latched fault whose cause is gone",
    "recovery-charge": "allow the charge of an under-voltage pack, 30 minutes at most",
}

DESCRIPTION = """Asks a running core. "accepted" means that the request was taken; what follows from it, status and
events show. A close needs an open before it after a start or a fault."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("request", help="ask the core for something; it may refuse", description=DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in _HELP.items():
        child = verbs.add_parser(verb, help=text, description=f"Asks the core to {text}.")
        if verb == "clear":
            child.add_argument("code", metavar="CODE", help="the fault's code, as status shows it")
        add_target(child)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when accepted, 1 when refused, 69 when the core does not answer, 78 for the configuration."""
    action = cast(Action, args.verb.replace("-", "_"))
    return with_link(args, lambda link: _ask(link, action, getattr(args, "code", "")))


async def _ask(link: LinkClient, action: Action, code: str) -> int:
    with waiting("the core's answer"):
        reply = await link.request(action, code, EXPIRES_IN_S)
    if not reply.accepted:
        print(f"refused: {printable(reply.reason)}", file=sys.stderr)
        return FAILED
    print("accepted")
    return OK
