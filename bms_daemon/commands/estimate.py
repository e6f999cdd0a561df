"""``bms-daemon estimate``: a recording of one cell through the same estimator that the daemon runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, FAILED, INTERRUPTED, OK, USAGE
from bms_daemon.commands._output import whole
from bms_daemon.commands._progress import Progress

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.offline.estimate import Tally

DESCRIPTION = """Estimates state of charge, capacity, resistance and power of one cell along a recording, with the code
that the daemon runs. CSV, plain or .gz, with the columns time_s, current_a (positive when charging), voltage_v and
temperature_c (25 degC where it is missing); --columns maps other names and signs. The output has one line for every
line of the recording. Lines that cannot be used are counted; they widen the uncertainty."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("estimate", help="estimate a recording of one cell", description=DESCRIPTION)
    parser.add_argument("cell", type=Path, metavar="CELL.toml", help="cell file, such as fit-cell writes")
    parser.add_argument("recording", type=Path, metavar="IN.csv", help="what was recorded: .csv or .csv.gz")
    parser.add_argument("-o", dest="out", type=Path, metavar="OUT.csv", required=True, help="CSV to write")
    parser.add_argument("--initial-soc", type=_fraction, metavar="X", help="0 to 1; the first voltage may overrule it")
    parser.add_argument("--columns", type=Path, metavar="MAP.toml", help="map of foreign columns, see docs/fit-cell.md")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every line was read, 2 when the recording does not fit, 78 for the cell file."""
    from bms_daemon.config.cellfile import CellFileError, load_cell
    from bms_daemon.estimation.cell import Cell
    from bms_daemon.offline.cellfit.columns import load_cell_map
    from bms_daemon.offline.columns import ColumnError
    from bms_daemon.offline.estimate import estimate

    if args.out.exists() and args.recording.exists() and args.out.samefile(args.recording):
        print(f"{args.out}: is the recording itself; give another name to -o", file=sys.stderr)
        return USAGE
    try:
        cell = Cell(load_cell(args.cell))
        columns = load_cell_map(args.columns)
        with (
            Progress("estimate", args.recording.stat().st_size, sys.stderr) as progress,
            whole(args.out) as out,
        ):
            tally = estimate(cell, args.recording, columns, out, args.initial_soc, progress.at)
    except CellFileError as error:
        print(error, file=sys.stderr)
        return CONFIGURATION
    except ColumnError as error:
        print(error, file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    _report(tally)
    return OK


def _fraction(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _report(tally: Tally) -> None:
    print(f"{tally.rows} rows, {tally.bad.total()} bad")
    for reason, count in tally.bad.most_common():
        print(f"  {count:6d}  {reason}")
