"""``python -m bms_daemon.sim.rig serve CONFIG``: the devices that it names; ``tell VERB``: the rig's back door."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path

from bms_daemon.sim.rig import installation
from bms_daemon.sim.rig.serve import serve

SOCKET = Path("/run/rig.sock")
PRIORITY = 60  # above the daemon's: hardware waits for no processor


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return _tell(args) if args.verb == "tell" else _serve(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bms_daemon.sim.rig", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="serve the devices until SIGTERM")
    serve.add_argument("config", type=Path, metavar="CONFIG", help="the daemon's configuration")
    serve.add_argument("--board", choices=("pi", "beaglebone"), default="pi", help="what becomes of undriven outputs")
    serve.add_argument("--current", type=float, default=-20.0, metavar="A", help="what the outside draws or gives")
    serve.add_argument("--soc", type=float, default=0.6, help="state of charge at the start, 0 to 1")
    tell = verbs.add_parser("tell", help="talk to a rig: inject FAULT, clear FAULT, faults, state, trace")
    tell.add_argument("do", metavar="VERB")
    tell.add_argument("fault", nargs="?", help="name of a fault")
    tell.add_argument("args", nargs="*", metavar="NAME=VALUE", help="arguments of the fault")
    tell.add_argument("--for", dest="for_s", type=float, metavar="S", help="clear the fault again after S seconds")
    for each in (serve, tell):
        each.add_argument("--socket", type=Path, default=SOCKET, help="the rig's back door")
    return parser


def _serve(args: argparse.Namespace) -> int:
    wiring = installation.read(args.config, args.board, args.current, args.soc)
    args.socket.unlink(missing_ok=True)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    asyncio.run(serve(wiring, args.socket, lambda: print("rig: ready", flush=True)))
    return 0


def _tell(args: argparse.Namespace) -> int:
    request = {"do": args.do, "fault": args.fault, "for_s": args.for_s}
    request["args"] = {name: json.loads(value) for name, _, value in (arg.partition("=") for arg in args.args)}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(args.socket))
        client.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(client.makefile().readline())
    print(json.dumps(answer, indent=2))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
