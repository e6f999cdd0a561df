"""The disk may be full, read-only or hang: the loop goes on and the state says so."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bms_daemon.model import Survivor
from bms_daemon.runtime import journal_writer
from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.journal import Journal
from bms_daemon.runtime.journal_writer import JournalWriter


def numbered(closes: int) -> Survivor:
    return Survivor(soc=0.5, closes=closes, commissioned_hash="x")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110 what is waited for happens in a thread
            await asyncio.sleep(0.002)


def test_on_manual_time_a_put_is_on_disk_when_it_returns_and_no_thread_runs(tmp_path: Path) -> None:
    async def main() -> None:
        threads = threading.active_count()
        writer = JournalWriter(Journal(tmp_path / "j"))
        writer.put(numbered(4))
        assert Journal(tmp_path / "j").load().survivor == numbered(4)
        assert threading.active_count() == threads
        writer.close()

    run_manual(main())


def test_the_latest_of_many_puts_is_on_disk_after_a_flush(tmp_path: Path) -> None:
    async def main() -> None:
        writer = JournalWriter(Journal(tmp_path / "j"))
        for closes in range(100):
            writer.put(numbered(closes))
        assert await writer.flush(5.0)
        assert writer.ok
        writer.close()

    asyncio.run(main())
    assert Journal(tmp_path / "j").load().survivor == numbered(99)


@pytest.mark.parametrize("code", [28, 30, 5])
def test_a_disk_that_fails_is_a_state_and_recovers_without_a_new_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def failing(fd: int, data: object) -> int:
        raise OSError(code, os.strerror(code))

    async def main() -> None:
        monkeypatch.setattr(journal_writer, "RETRY_S", 0.01)
        writer = JournalWriter(Journal(tmp_path / "j"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            writer.put(numbered(1))
            await until(lambda: writer.failures >= 2)
            assert not writer.ok
            assert os.strerror(code) in writer.error
            assert not await writer.flush(0.02)
        await until(lambda: writer.ok)
        writer.close()

    asyncio.run(main())
    assert Journal(tmp_path / "j").load().survivor == numbered(1)


def test_a_folder_that_is_not_there_never_raises_on_manual_time(tmp_path: Path) -> None:
    async def main() -> None:
        writer = JournalWriter(Journal(tmp_path / "none" / "j"))
        writer.put(numbered(1))
        assert not writer.ok
        assert writer.failures == 1

    run_manual(main())


def test_a_hanging_sync_holds_nobody_up_and_shows_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    real_fsync = os.fsync

    def hanging(fd: int) -> None:
        hang.wait(10.0)
        real_fsync(fd)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(os, "fsync", hanging)
        monkeypatch.setattr(journal_writer, "HANGING_S", 0.05)
        writer = JournalWriter(Journal(tmp_path / "j"))
        writer.put(numbered(1))
        await until(lambda: not writer.ok)
        before_s = loop.time()
        writer.put(numbered(2))
        writer.put(numbered(3))
        assert loop.time() - before_s < 0.05
        assert not await writer.flush(0.02)
        hang.set()
        assert await writer.flush(5.0)
        assert writer.ok
        writer.close()

    asyncio.run(main())
    assert Journal(tmp_path / "j").load().survivor == numbered(3)


def test_closing_right_after_a_put_still_saves_it(tmp_path: Path) -> None:
    async def main() -> None:
        writer = JournalWriter(Journal(tmp_path / "j"))
        writer.put(numbered(5))
        writer.close()
        assert await writer.flush(5.0)

    asyncio.run(main())
    assert Journal(tmp_path / "j").load().survivor == numbered(5)
