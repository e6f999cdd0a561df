"""The gateway as a child: started again after growing pauses, ended with the daemon."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from bms_daemon.app import child


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("lives_s", "pauses"),
    [
        (0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (61.0, [0.5, 0.5, 0.5]),
    ],
)
def test_the_pause_doubles_up_to_half_a_minute_and_forgets_after_a_steady_minute(
    lives_s: float, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bms_daemon.runtime.clock import run_manual

    starts: list[float] = []

    async def once(command: list[str]) -> int:
        starts.append(asyncio.get_running_loop().time())
        assert command[1:] == ["-m", "bms_daemon", "gateway", "--with-parent", "some.toml"]
        await asyncio.sleep(lives_s)
        return 1

    async def scene() -> None:
        task = asyncio.create_task(child.supervise_gateway(Path("some.toml")))
        await asyncio.sleep(sum(pauses) + lives_s * len(pauses) + 0.1)
        await cancelled(task)  # type: ignore[arg-type]

    monkeypatch.setattr(child, "_run_once", once)
    run_manual(scene())
    gaps = [b - a - lives_s for a, b in pairwise(starts)]
    assert gaps == pytest.approx(pauses)


def test_the_exit_code_comes_back_and_a_program_that_is_not_there_is_one_more_ending() -> None:
    async def scene() -> tuple[int, int]:
        return (
            await child._run_once([sys.executable, "-c", "raise SystemExit(3)"]),
            await child._run_once(["/nonexistent/program"]),
        )

    assert asyncio.run(scene()) == (3, -1)


@pytest.mark.parametrize("deaf", [False, True])
def test_the_child_is_ended_with_the_daemon_even_if_it_does_not_listen(
    deaf: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "END_S", 0.3)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else "pass"
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    code = f"import os, signal, time; {ignore}; {note}; time.sleep(60)"

    async def scene() -> int:
        task = asyncio.create_task(child._run_once([sys.executable, "-c", code]))
        pid_file = tmp_path / "pid"
        async with asyncio.timeout(10.0):
            while not (pid_file.exists() and pid_file.read_text()):  # noqa: ASYNC110 it is another process's file
                await asyncio.sleep(0.01)
        await cancelled(task)  # type: ignore[arg-type]
        return int(pid_file.read_text())

    pid = asyncio.run(scene())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
