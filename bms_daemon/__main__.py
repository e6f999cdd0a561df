"""``bms-daemon``: argument parser and exit codes only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from bms_daemon import __version__

COMMANDS = (
    "run", "check", "commission", "status", "events", "request", "replay", "demo", "gateway", "outputs_off",
)  # fmt: skip
EPILOG = """exit codes:
  0   done
  1   failed while running
  2   wrong usage
  69  a device is missing or the core does not answer; the text names it and what to enable
  78  the configuration is refused; every error is listed
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        "bms-daemon",
        description="Battery management daemon: AFEs, contactors, estimation, CAN.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bms-daemon {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"bms_daemon.commands.{name}").add_parser(subparsers)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
