"""Fixtures that every test shares."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_task_left_pending() -> Iterator[None]:
    """A test that leaves an asyncio task pending fails."""
    yield
    gc.collect()
    pending = [task for task in asyncio.all_tasks(loop) if not task.done()] if (loop := _loop_of_thread()) else []
    assert not pending, f"tasks left pending: {pending}"


def _loop_of_thread() -> asyncio.AbstractEventLoop | None:
    """The loop set for this thread, if one is."""
    return asyncio.events._get_running_loop()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of recorded data that BMS_TEST_DATA names; without it a test skips, or fails where it must run."""
    name = os.environ.get("BMS_TEST_DATA")
    if name and Path(name).is_dir():
        return Path(name)
    if os.environ.get("BMS_REQUIRE_DATA") == "1":
        pytest.fail("BMS_REQUIRE_DATA=1, but BMS_TEST_DATA names no folder")
    pytest.skip("no recorded data: BMS_TEST_DATA names no folder")
