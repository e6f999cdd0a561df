"""The fault campaign: every row injected at random phases, in operation and at boot, timed down to the coil.

``python -m bms_daemon.offline.campaign > docs/reaction-times.md`` writes the document; exit code 1 when a row fails.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import structlog

from bms_daemon.app import load_settings
from bms_daemon.config.schema import Settings
from bms_daemon.offline.campaign_cases import CASES, Boot
from bms_daemon.offline.campaign_process import ENDINGS, crash, end
from bms_daemon.offline.campaign_report import document
from bms_daemon.offline.campaign_result import Result
from bms_daemon.offline.campaign_runs import BOOT, OPERATION, one
from bms_daemon.offline.campaign_special import BOTH, NEWER, journal, precharge

Run = Callable[[str, int, Settings, Path], Result]  # mode, phase, settings, folder
Progress = Callable[[int, int, str], None]
Job = tuple[str, str, int]  # case, mode, phases
PHASES = 20
WORKERS = 2


def _table() -> dict[str, tuple[str, Run, tuple[str, ...]]]:
    """Every case by name: its row, how it is run, and in which modes it can be."""
    both = (OPERATION, BOOT)
    table: dict[str, tuple[str, Run, tuple[str, ...]]] = {}
    for case in CASES:
        modes = (OPERATION,) * case.in_operation + (BOOT,) * (case.boot is not Boot.NEVER)
        table[case.name] = (case.row, partial(one, case), modes)
    for ending in ENDINGS:
        table[ending.name] = (ending.name[:3], partial(end, ending), both)
    table["P06"] = ("P06", crash, both)
    table["A05"] = ("A05", precharge, both)
    table[NEWER] = ("F03", partial(journal, NEWER), (BOOT,))
    table[BOTH] = ("F03", partial(journal, BOTH), both)
    return table


TABLE = _table()
ROWS = tuple(sorted({row for row, _, _ in TABLE.values()}))


def reference() -> Settings:
    """The simulated configuration that travels with the package."""
    with as_file(files("bms_daemon").joinpath("data", "config", "demo.toml")) as path:
        return load_settings(path)


def jobs(rows: Collection[str], phases: int) -> Iterator[Job]:
    """What a campaign over these rows consists of. Raises ValueError for a row that has no case."""
    if unknown := set(rows) - set(ROWS):
        raise ValueError(f"no case for {', '.join(sorted(unknown))}")
    for name, (row, _, modes) in TABLE.items():
        if row in rows:
            yield from ((name, mode, phases) for mode in modes)


def run(
    rows: Collection[str],
    phases: int,
    settings: Settings,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> list[Result]:
    """Run every case of ``rows`` with so many phases in each mode; ``settings`` is a simulated configuration.

    The same rows, phases and settings give the same results, however many processes share the work.
    """
    todo = list(jobs(rows, phases))
    results: list[Result] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_quiet) as pool:
        for done, found in enumerate(pool.map(partial(perform, settings), todo), 1):
            results += found
            if progress is not None:
                progress(done, len(todo), " ".join(todo[done - 1][:2]))
    return results


def perform(settings: Settings, job: Job) -> list[Result]:
    """All phases of one case in one mode."""
    name, mode, phases = job
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        return [TABLE[name][1](mode, phase, settings, Path(folder)) for phase in range(phases)]


def _quiet() -> None:
    """Thousands of faults are expected here; nobody reads their log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _show(done: int, total: int, what: str) -> None:
    sys.stderr.write(f"{done:3d} of {total}: {what}\n")


def main() -> int:
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phases", type=int, default=PHASES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, metavar="ROW")
    args = parser.parse_args()
    results = run(args.rows, args.phases, reference(), args.workers, _show)
    sys.stdout.write(document(results, args.phases))
    wrong = [result for result in results if result.problems]
    for result in wrong:
        sys.stderr.write(f"{result.case}, {result.mode}, phase {result.phase}: {'; '.join(result.problems)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
