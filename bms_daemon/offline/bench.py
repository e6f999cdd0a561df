"""``scripts/bench``: every figure of the budgets that can be measured today, printed and written as JSON.

The reaction times of faults have a measurement of their own, the campaign behind docs/reaction-times.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bms_daemon.offline import bench_code, bench_estimation, bench_life, bench_sim, bench_tick
from bms_daemon.offline.bench_broker import Broker
from bms_daemon.offline.bench_figure import Figure, calibrate, line, machine, page
from bms_daemon.offline.bench_site import demo_settings

DOCUMENT = Path("docs/benchmarks.md")
SCHEMA = 1
Part = Callable[[Path, bool, float], list[Figure]]


def _code(folder: Path, quick: bool, calibration_s: float) -> list[Figure]:
    return bench_code.figures()


def _tick(folder: Path, quick: bool, calibration_s: float) -> list[Figure]:
    return bench_tick.figures(demo_settings(folder), calibration_s, 2000 if quick else 20000)


def _estimation(folder: Path, quick: bool, calibration_s: float) -> list[Figure]:
    return bench_estimation.figures(400 if quick else 4000)


def _life(folder: Path, quick: bool, calibration_s: float) -> list[Figure]:
    return bench_life.figures(folder, 20.0 if quick else 60.0)


def _sim(folder: Path, quick: bool, calibration_s: float) -> list[Figure]:
    return bench_sim.figures(6.0 if quick else 24.0)


PARTS: dict[str, Part] = {"code": _code, "tick": _tick, "estimation": _estimation, "life": _life, "sim": _sim}


def measure(parts: Sequence[str], quick: bool, calibration_s: float) -> Iterator[Figure]:
    """Run the parts one after another; nothing runs beside a measurement but what belongs to it."""
    for name in parts:
        with tempfile.TemporaryDirectory(prefix="bms-bench-") as folder:
            yield from PARTS[name](Path(folder), quick, calibration_s)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when every budget is met, 1 when one is not, 69 without a broker for the flood."""
    args = _parser().parse_args(argv)
    if "life" in args.parts and Broker.program() is None:
        sys.stderr.write(
            "mosquitto is not installed (Debian: apt-get install mosquitto); "
            f"without it: --parts {' '.join(name for name in PARTS if name != 'life')}\n"
        )
        return 69
    where, calibration_s = machine(), calibrate()
    figures: list[Figure] = []
    for figure in measure(args.parts, args.quick, calibration_s):
        figures.append(figure)
        sys.stdout.write(line(figure) + "\n")
        sys.stdout.flush()
    if args.json is not None:
        plain = {
            "schema": SCHEMA,
            "machine": where,
            "calibration_s": calibration_s,
            "figures": [f.plain() for f in figures],
        }
        args.json.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    if args.docs:
        DOCUMENT.write_text(page(figures, where, calibration_s), encoding="utf-8")
    return 0 if all(figure.met is not False for figure in figures) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument(
        "--quick", action="store_true", help="6 simulated hours instead of 24, 20 s of ticks instead of 60"
    )
    parser.add_argument("--docs", action="store_true", help=f"write {DOCUMENT}")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these")
    return parser


if __name__ == "__main__":
    sys.exit(main())
