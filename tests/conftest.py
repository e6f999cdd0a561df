"""Fixtures that every test shares."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bms_daemon.offline.bench_broker import Broker

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
def mosquitto() -> None:
    """A test that needs a real broker skips where there is none, or fails where it must run."""
    if Broker.program() is not None:
        return
    if os.environ.get("BMS_REQUIRE_MOSQUITTO") == "1" or os.environ.get("CI") == "true":
        pytest.fail("mosquitto is required and not installed")
    pytest.skip("mosquitto is not installed")


@pytest.fixture
def broker(mosquitto: None, tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto of the test's own on a free loopback port."""
    running = Broker(tmp_path)
    asyncio.run(running.start())
    yield running
    running.kill()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of recorded data that BMS_TEST_DATA names; without it a test skips, or fails where it must run."""
    name = os.environ.get("BMS_TEST_DATA")
    if name and Path(name).is_dir():
        return Path(name)
    if os.environ.get("BMS_REQUIRE_DATA") == "1":
        pytest.fail("BMS_REQUIRE_DATA=1, but BMS_TEST_DATA names no folder")
    pytest.skip("no recorded data: BMS_TEST_DATA names no folder")
