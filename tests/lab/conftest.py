"""Fixtures of the kernel lab. Outside it these tests are not collected: scripts/lab test runs them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from board import Board, changed_lines
from line_trace import MAIN, LineTrace, tracing

collect_ignore_glob = [] if "BMS_LAB" in os.environ else ["test_*.py"]

NAMES = {"pi": "Raspberry Pi", "beaglebone": "BeagleBone"}
RESULTS = Path(os.environ.get("BMS_LAB", "."))


class Case:
    """What a test tells the report: measured facts, what a witness printed, and how it was set up."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.witness = ""
        self.edits: list[str] = []  # what is not as shipped in the configuration
        self.late_s = 0.0  # by how much a rig has missed a look at the lines at worst
        self.took_s = 0.0
        self.failed = False

    def saw(self, command: str, output: str, lines: int = 6) -> None:
        """Keep a witness's words, shortened."""
        said = output.strip().splitlines()
        more = [f"... {len(said) - lines} lines more"] if len(said) > lines else []
        self.witness = "\n".join([f"$ {command}", *said[:lines], *more])


CASE = pytest.StashKey[Case]()


def case_of(node: pytest.Item) -> Case:
    """The one of a test, from its set-up on."""
    return node.stash.setdefault(CASE, Case())


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """One row of docs/lab.md."""
    return case_of(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Whichever phase fails, the row says so: it is written after the last one."""
    report = yield
    found = case_of(item)
    found.failed |= report.failed
    found.took_s += report.duration
    if report.when == "teardown":
        note(item, found)
    return report


def note(item: pytest.Item, found: Case) -> None:
    """A row of cases.jsonl, and a line of failed.txt for a test that failed."""
    row = {"file": item.path.name, "case": item.name, "took_s": round(found.took_s, 1), "passed": not found.failed}
    row |= {"edits": found.edits, "late_s": found.late_s, "facts": found.facts, "witness": found.witness}
    with (RESULTS / "cases.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    if found.failed:
        with (RESULTS / "failed.txt").open("a") as file:
            file.write(f"{item.nodeid}\t{found.late_s:g}\n")


@pytest.fixture
def make_board(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Board]]:
    """Boards that end with the test; their logs stay in the results when it fails."""
    found = case_of(request.node)
    with contextlib.ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Board:
            found.edits = changed_lines(options.get("edits") or {})
            made = Board(tmp_path, *args, **options)
            stack.callback(made.close)
            stack.callback(look_back, found, made)
            return made

        stack.callback(keep_logs, found, tmp_path, request.node.name)
        yield make


def look_back(found: Case, made: Board) -> None:
    """How late a rig has been, before it ends."""
    found.late_s = max(found.late_s, round(made.rig.late_s, 4))


def keep_logs(found: Case, folder: Path, name: str) -> None:
    """The logs of a test that failed."""
    if not found.failed:
        return
    kept = RESULTS / "failed" / name
    kept.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    """A Raspberry Pi."""
    return make_board()


@pytest.fixture
def trace() -> Iterator[LineTrace]:
    """What is written to the main contactor's line."""
    with tracing(MAIN) as made:
        yield made
