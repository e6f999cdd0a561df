"""Fixtures of the kernel lab. Outside it these tests are not collected: scripts/lab test runs them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from board import Board

collect_ignore_glob = [] if "BMS_LAB" in os.environ else ["test_*.py"]

NAMES = {"pi": "Raspberry Pi", "beaglebone": "BeagleBone"}


class Case:
    """What a test tells the report: measured facts, and what a witness printed."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.witness = ""

    def saw(self, command: str, output: str, lines: int = 6) -> None:
        """Keep a witness's words, shortened."""
        said = output.strip().splitlines()
        more = [f"... {len(said) - lines} lines more"] if len(said) > lines else []
        self.witness = "\n".join([f"$ {command}", *said[:lines], *more])


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """One row of docs/lab.md."""
    found, started_s = Case(), time.monotonic()
    yield found
    row = {"file": request.path.name, "case": request.node.name, "took_s": round(time.monotonic() - started_s, 1)}
    row |= {"facts": found.facts, "witness": found.witness}
    row["passed"] = not getattr(request.node, "failed", False)
    with (Path(os.environ["BMS_LAB"]) / "cases.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report


@pytest.fixture
def make_board(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Board]]:
    """Boards that end with the test; their logs stay in the results when it fails."""
    boards: list[Board] = []

    def make(*args: Any, **options: Any) -> Board:
        boards.append(Board(tmp_path, *args, **options))
        return boards[-1]

    yield make
    for each in boards:
        each.close()
    if getattr(request.node, "failed", False):
        kept = Path(os.environ["BMS_LAB"]) / "failed" / request.node.name
        kept.mkdir(parents=True, exist_ok=True)
        for log in tmp_path.glob("*.log"):
            (kept / log.name).write_bytes(log.read_bytes())


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    """A Raspberry Pi."""
    return make_board()
