"""Fixtures that every test shares."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def no_task_left_pending(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test whose event loop ends with a task still pending fails, although asyncio would cancel it in silence."""
    left: list[str] = []
    cancel_all = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def record(loop: asyncio.AbstractEventLoop) -> None:
        left.extend(repr(task) for task in asyncio.all_tasks(loop))
        cancel_all(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", record)
    yield
    assert not left, f"tasks left pending: {left}"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of recorded data that BMS_TEST_DATA names; without it a test skips, or fails where it must run."""
    name = os.environ.get("BMS_TEST_DATA")
    if name and Path(name).is_dir():
        return Path(name)
    if os.environ.get("BMS_REQUIRE_DATA") == "1":
        pytest.fail("BMS_REQUIRE_DATA=1, but BMS_TEST_DATA names no folder")
    pytest.skip("no recorded data: BMS_TEST_DATA names no folder")
