"""``bms-daemon``: argument parser and exit codes only."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    "run", "check", "probe", "commission", "status", "events", "request", "replay", "estimate", "fit_cell", "demo",
    "gateway", "outputs_off",
)  # fmt: skip
EPILOG = """exit codes:
  0   done
  1   failed while running
  2   wrong usage
  69  a device is missing or the core does not answer; the text names it and what to enable
  78  the configuration is refused; every error is listed
  130 interrupted (Ctrl-C) before it was done; a core that runs ends in good order instead, with 0
A reader that stops reading, as head does, is no error.
"""
INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Nothing is imported before an interrupt would be understood."""
    try:
        try:
            return _command(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        from bms_daemon.commands._pipe import discard_output

        discard_output()
        return 0


def _command(argv: Sequence[str]) -> int:
    import argparse
    from importlib import import_module

    from bms_daemon import __version__

    parser = argparse.ArgumentParser(
        "bms-daemon",
        description="Battery management daemon: AFEs, contactors, estimation, CAN.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bms-daemon {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _wanted(argv):
        import_module(f"bms_daemon.commands.{name}").add_parser(subparsers)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def _wanted(argv: Sequence[str]) -> Sequence[str]:
    """The command that is named first, or all of them for the help and for errors."""
    name = argv[0].replace("-", "_") if argv else ""
    return (name,) if name in COMMANDS and argv[0] != "outputs_off" else COMMANDS


if __name__ == "__main__":
    sys.exit(main())
