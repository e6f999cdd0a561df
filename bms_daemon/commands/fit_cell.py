"""``bms-daemon fit-cell``: a cell file from recordings of one cell."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import FAILED, INTERRUPTED, OK, USAGE
from bms_daemon.commands._progress import Progress

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bms_daemon.config.cellfile import Identity
    from bms_daemon.offline.cellfit.job import Job, Outcome
    from bms_daemon.offline.cellfit.reading import Source

KINDS = {"ocv": "slow discharges or charges", "pulses": "pulses with rests", "cycles": "cycles of real use"}
NOT_SHOWN = ("command", "run", "report")
LIMITS_V = {"lfp": (2.5, 3.65), "nmc": (2.8, 4.2)}
COLUMNS = 100  # of the header
NEEDS = ("scipy", "matplotlib")
DESCRIPTION = """Fits open-circuit voltage, resistances and hysteresis to recordings of one cell. CSV (plain or .gz) or
Parquet with time_s, current_a (positive when charging), voltage_v and, if there is one, temperature_c; --columns maps
foreign names and signs. Slow discharges or charges (--ocv), pulses with rests (--pulses) and real use (--cycles): give
what there is, at all temperatures there are. FILE@T says that a file was recorded at T degC. See docs/fit-cell.md."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("fit-cell", help="make a cell file from recordings", description=DESCRIPTION)
    parser.add_argument("-o", dest="out", type=Path, metavar="CELL.toml", required=True, help="cell file to write")
    parser.add_argument(
        "--capacity-ah", type=float, required=True, metavar="Q", help="between full and empty at 25 degC, slowly"
    )
    for kind, what in KINDS.items():
        parser.add_argument(f"--{kind}", nargs="+", action="extend", default=[], metavar="FILE", help=what)
    parser.add_argument("--name", help="of the cell (default: that of the output)")
    parser.add_argument("--chemistry", choices=("lfp", "nmc"), default="nmc", help="lfp has hysteresis (default: nmc)")
    parser.add_argument("--source", default="fitted to recordings", metavar="TEXT", help="who measured it")
    parser.add_argument("--min-v", type=float, metavar="V", help="empty (default: 2.5 lfp, 2.8 nmc)")
    parser.add_argument("--max-v", type=float, metavar="V", help="full (default: 3.65 lfp, 4.2 nmc)")
    parser.add_argument("--charge-max-c", type=float, default=1.0, metavar="C", help="of the data sheet (default: 1)")
    parser.add_argument("--discharge-max-c", type=float, default=3.0, metavar="C", help="likewise (default: 3)")
    parser.add_argument(
        "--temperature-c", type=float, default=25.0, metavar="T", help="of files that have none (default: 25)"
    )
    parser.add_argument("--columns", type=Path, metavar="MAP.toml", help="TOML map of foreign columns")
    parser.add_argument("--report", type=Path, metavar="DIR", help="pictures and a report of what fits how well")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when the file was written, 2 for what was given wrongly, 1 when it could not be written."""
    missing = [package for package in NEEDS if find_spec(package) is None]
    if missing:
        print(f"fit-cell needs {' and '.join(missing)}: pip install 'bms-daemon[offline]'", file=sys.stderr)
        return FAILED
    from bms_daemon.offline.columns import ColumnError

    try:
        job = _job(args)
        if not _writable(args.out, args.report):
            return FAILED
        outcome = _fit(job)
    except ColumnError as error:
        print(error, file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return _deliver(outcome, args)


def _fit(job: Job) -> Outcome:
    from bms_daemon.offline.cellfit.job import fit_cell

    with Progress("fit-cell", job.steps, sys.stderr) as progress:
        done = count()
        return fit_cell(job, lambda: progress.at(next(done)))


def _job(args: argparse.Namespace) -> Job:
    from bms_daemon.offline.cellfit.columns import load_cell_map
    from bms_daemon.offline.cellfit.job import Job
    from bms_daemon.offline.cellfit.reading import COLDEST_DEGC, HOTTEST_DEGC
    from bms_daemon.offline.columns import ColumnError

    sources = tuple(_source(text, kind) for kind in KINDS for text in getattr(args, kind))
    if not sources:
        raise ColumnError("no recording given: name at least one file with --ocv, --pulses or --cycles")
    twice = sorted({str(each.path) for each in sources if sum(each.path == other.path for other in sources) > 1})
    if twice:
        raise ColumnError(f"{', '.join(twice)}: given more than once")
    if not all(COLDEST_DEGC <= degc <= HOTTEST_DEGC for degc in (args.temperature_c, *_said(sources))):
        raise ColumnError(f"a temperature given is not within {COLDEST_DEGC:g} to {HOTTEST_DEGC:g} degC")
    return Job(sources, load_cell_map(args.columns), _identity(args), args.temperature_c)


def _said(sources: tuple[Source, ...]) -> list[float]:
    return [source.temperature_degc for source in sources if source.temperature_degc is not None]


def _source(text: str, kind: str) -> Source:
    from bms_daemon.offline.cellfit.reading import Source

    name, _, degc = text.rpartition("@")
    try:
        return Source(Path(name), kind, float(degc)) if name else Source(Path(text), kind)  # type: ignore[arg-type]
    except ValueError:
        return Source(Path(text), kind)  # type: ignore[arg-type]


def _identity(args: argparse.Namespace) -> Identity:
    from pydantic import ValidationError

    from bms_daemon.config.cellfile import Identity
    from bms_daemon.offline.columns import ColumnError

    low_v, high_v = LIMITS_V[args.chemistry]
    try:
        identity = Identity(
            name=args.name or args.out.stem,
            chemistry=args.chemistry,
            source=args.source,
            capacity_ah=args.capacity_ah,
            min_v=low_v if args.min_v is None else args.min_v,
            max_v=high_v if args.max_v is None else args.max_v,
            charge_max_c=args.charge_max_c,
            discharge_max_c=args.discharge_max_c,
        )
    except ValidationError as error:
        lines = [f"--{str(each['loc'][0]).replace('_', '-')}: {each['msg']}" for each in error.errors()]
        raise ColumnError("; ".join(lines)) from None
    if identity.min_v >= identity.max_v:
        raise ColumnError(f"--min-v {identity.min_v:g} must be below --max-v {identity.max_v:g}")
    return identity


def _writable(out: Path, report: Path | None) -> bool:
    """Whether results can be written, found out before the work, without leaving an empty file."""
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        print(f"-o {out}: cannot be written", file=sys.stderr)
        return False
    try:
        if report is not None:
            report.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"--report {report}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _deliver(outcome: Outcome, args: argparse.Namespace) -> int:
    from bms_daemon.config.cellfile import load_cell
    from bms_daemon.estimation.cell import Cell
    from bms_daemon.offline.cellfit.report import measured, quality_table, write_report
    from bms_daemon.offline.cellfit.write import cell_text

    try:
        args.out.write_text(cell_text(outcome.file, _header(args)), encoding="utf-8")
        cell = Cell(load_cell(args.out))
        with Progress("report", 2 * len(outcome.traces), sys.stderr) as progress:
            done = count()
            qualities = measured(cell, outcome.traces, lambda: progress.at(next(done)))
            if args.report is not None:
                write_report(args.report, cell, outcome.traces, qualities, lambda: progress.at(next(done)))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return FAILED
    print("\n".join(quality_table(qualities)))
    return OK


def _header(args: argparse.Namespace) -> list[str]:
    """How the file came about: the command, without folders of this machine, and the map."""
    lines = ["Fitted to recordings:", "", *_command(args)]
    if args.columns is not None:
        lines += ["", f"{args.columns.name}:", *args.columns.read_text(encoding="utf-8").splitlines()]
    return lines


def _command(args: argparse.Namespace) -> list[str]:
    words = ["bms-daemon", "fit-cell"]
    for key, value in vars(args).items():
        if key not in NOT_SHOWN and value not in (None, []):
            values = value if isinstance(value, list) else [value]
            words += ["-o" if key == "out" else f"--{key.replace('_', '-')}", *map(_shown, values)]
    return _folded(words)


def _folded(words: list[str]) -> list[str]:
    """Lines of a shell command, broken between words only."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < COLUMNS:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {word}")
    return lines


def _shown(value: object) -> str:
    text = str(value)
    return shlex.quote(Path(text).name if text.startswith("/") else text)
