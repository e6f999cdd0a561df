"""``bms-daemon replay``: a recording through the chip's registers and the whole daemon."""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bms_daemon.commands._connect import CONFIGURATION, FAILED, INTERRUPTED, OK, USAGE, settings_of
from bms_daemon.commands._progress import Progress

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.offline.replay import Line

HEADER = ("row", "quality", "reason", "class", "state")
DESCRIPTION = """Feeds recorded cell voltages, temperatures and current through the emulated chip's registers and
the whole daemon, at its shipped rates. CSV (plain or .gz) or Parquet. Own column names are time_s, current_a
(positive when charging), cell_1_v ..., temp_1_degc ...; --columns maps foreign ones. The output has one line a row:
row, quality (good or bad), reason, class (the worst reaction in force), state (of the contactors)."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("replay", help="feed a recording through the daemon", description=DESCRIPTION)
    parser.add_argument(
        "recording", type=Path, metavar="RECORDING", help="what was recorded: .csv, .csv.gz or .parquet"
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a configuration with a [sim] table")
    parser.add_argument("--columns", type=Path, metavar="MAP", help="TOML map of foreign columns, see docs/replay.md")
    parser.add_argument("--cells", metavar="LIST", help="cell numbers to play, such as 1-16 or 1,3,5-8")
    parser.add_argument("--rows", metavar="A-B", help="only rows A to B, counted from 0")
    parser.add_argument("--no-operator", action="store_true", help="leave the pack as a fault leaves it")
    parser.add_argument("-o", dest="out", type=Path, metavar="OUT", help="CSV to write, one line a row")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when the recording was played, 2 when it does not fit, 78 for the configuration."""
    from bms_daemon.offline.columns import ColumnError, load_map, numbers_of
    from bms_daemon.offline.recording import read
    from bms_daemon.offline.replay import fits, replay

    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    try:
        recording = read(args.recording, load_map(args.columns), numbers_of(args.cells) if args.cells else ())
        first, last = _span(args.rows, recording.rows)
    except ColumnError as error:
        print(error, file=sys.stderr)
        return USAGE
    misfit = fits(recording, settings)
    if misfit:
        print(misfit, file=sys.stderr)
        return USAGE
    if args.out is not None and not _writable(args.out):
        return FAILED
    _quiet()
    try:
        with Progress("replay", last - first, sys.stderr) as progress:
            lines = replay(recording.between(first, last), settings, not args.no_operator, progress.at)
    except KeyboardInterrupt:
        return INTERRUPTED
    return _deliver(lines, first, args.out)


def _span(text: str | None, rows: int) -> tuple[int, int]:
    from bms_daemon.offline.columns import ColumnError

    if text is None:
        return 0, rows
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and int(low) <= int(high) < rows):
        raise ColumnError(f"--rows {text}: wanted is A-B with 0 <= A <= B < {rows}")
    return int(low), int(high) + 1


def _writable(out: Path) -> bool:
    """Whether the result can be written, found out before the work; what is there stays."""
    try:
        out.open("a").close()
    except OSError as error:
        print(f"-o {out}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _quiet() -> None:
    """The daemon's own log would drown the output: only what fails is shown."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _deliver(lines: Sequence[Line], first: int, out: Path | None) -> int:
    try:
        if out is not None:
            with out.open("w", newline="", encoding="utf-8") as file:
                _write(lines, first, file)
    except OSError as error:
        print(f"{out}: {error}", file=sys.stderr)
        return FAILED
    bad = [line for line in lines if line.quality == "bad"]
    print(f"{len(lines)} rows, {len(bad)} bad")
    for reason, count in Counter(line.reason.split(" (")[0] for line in bad).most_common(12):
        print(f"  {count:6d}  {reason}")
    return OK


def _write(lines: Sequence[Line], first: int, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for line in lines:
        writer.writerow((first + line.row, line.quality, line.reason, line.reaction, line.state))
