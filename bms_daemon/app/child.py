"""The gateway as a child of the core: started again with a growing pause, never waited for by a tick."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import structlog

from bms_daemon.runtime.realtime import demote

log = structlog.get_logger()
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 0.5, 30.0, 60.0
END_S = 2.0


async def supervise_gateway(config: Path) -> None:
    """Keep ``bms-daemon gateway CONFIG`` running until cancelled, then end it. If the core is killed it ends itself."""
    loop = asyncio.get_running_loop()
    pause_s = FIRST_PAUSE_S
    while True:
        started_s = loop.time()
        code = await _run_once([sys.executable, "-m", "bms_daemon", "gateway", "--with-parent", str(config)])
        pause_s = FIRST_PAUSE_S if loop.time() - started_s > STEADY_S else pause_s
        log.warning("gateway ended", code="gateway_ended", exit_code=code, again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)


async def _run_once(command: list[str]) -> int:
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        demote(child.pid)
    except OSError as error:
        log.warning("gateway did not start", code="gateway_ended", error=str(error))
        return -1
    try:
        return await child.wait()
    finally:
        if child.returncode is None:
            await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(END_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
