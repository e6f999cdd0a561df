"""``scripts/accuracy``: measures the estimator on recorded cells and writes docs/accuracy.md with its pictures."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bms_daemon.offline.accuracy import capacity_table, power_table, soc_table
from bms_daemon.offline.accuracy.context import Context
from bms_daemon.offline.accuracy.header import HEADER, QUICK_HEADER
from bms_daemon.offline.accuracy.work import workers

DOCUMENT = Path("docs/accuracy.md")
TABLES: tuple[Callable[[Context], list[str]], ...] = (
    soc_table.section,
    capacity_table.section,
    capacity_table.rests_section,
    power_table.section,
)
NO_DATA = 66
PARTS = ("lg_hg2", "panasonic_18650pf", "plett_a123_lfp", "calce_cs2", "nasa_pcoe", "nissan_leaf_2013_cell")
QUICK_PARTS = PARTS[:1]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 66 without the recordings, 0 otherwise: a missed target is a result, not a failure."""
    args = _parser().parse_args(argv)
    missing = _missing(args.data, QUICK_PARTS if args.quick else PARTS)
    if missing:
        sys.stderr.write(missing + "\n")
        return NO_DATA
    out: Path | None = args.out or (None if args.quick else DOCUMENT)
    text = _document(args, None if out is None or args.quick else out.parent / out.stem)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
    return 0


def _document(args: argparse.Namespace, pictures: Path | None) -> str:
    with tempfile.TemporaryDirectory(prefix="bms-accuracy-") as scratch, workers(args.jobs) as each:
        context = Context(args.data, Path(scratch), pictures, args.quick, each)
        text = [line for table in TABLES for line in table(context)]
    return "\n".join([QUICK_HEADER if args.quick else HEADER, *text]) + "\n"


def _missing(data: Path | None, parts: Sequence[str]) -> str:
    if data is None:
        return "no recordings: give --data, or set BMS_TEST_DATA to their folder"
    lost = [part for part in parts if not (data / part).is_dir()]
    return f"{data} has no {', '.join(lost)}" if lost else ""


def _parser() -> argparse.ArgumentParser:
    given = os.environ.get("BMS_TEST_DATA")
    parser = argparse.ArgumentParser("scripts/accuracy", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(given) if given else None, help="recordings (default: BMS_TEST_DATA)"
    )
    parser.add_argument("--quick", action="store_true", help="three cycles alone, printed, without slow estimators")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"document to write (default: {DOCUMENT})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
