"""One thread for the blocking calls of one device, so that the loop never waits for a bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from bms_daemon.model import BusFault

T = TypeVar("T")
_Job = tuple[Callable[[], T], "asyncio.Future[T]"]


class Worker(Generic[T]):
    """Calls one after the other. ``close_device`` is called in the thread when it is through with what it was given."""

    def __init__(self, name: str, close_device: Callable[[], None]) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._late = False
        self._jobs: SimpleQueue[_Job[T] | None] = SimpleQueue()
        Thread(target=_work, args=(self._jobs, close_device), name=name, daemon=True).start()

    async def run(self, call: Callable[[], T], timeout_s: float, what: str) -> T:
        """The call's result. Raises what it raises, and BusFault at the latest ``timeout_s`` after its turn has come.

        A call that hangs in the kernel costs its own caller a BusFault("timeout"), and everybody BusFault("busy")
        until it has come back.
        """
        async with self._turn:
            if self._late:
                raise BusFault("busy", f"{self._name}: an earlier transfer still hangs in the kernel")
            job = self._post(call)
            try:
                async with asyncio.timeout(timeout_s):
                    return await asyncio.shield(job)
            except TimeoutError:
                self._late = not job.done()
                raise BusFault("timeout", f"{self._name}: {what}, {timeout_s:g} s") from None

    def close(self) -> None:
        self._jobs.put(None)

    def _post(self, call: Callable[[], T]) -> asyncio.Future[T]:
        job: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job.add_done_callback(self._done)
        self._jobs.put((call, job))
        return job

    def _done(self, job: asyncio.Future[T]) -> None:
        self._late = False
        if not job.cancelled():
            job.exception()  # a caller that left does not ask for it


def _work(jobs: SimpleQueue[_Job[T] | None], close: Callable[[], None]) -> None:
    """The thread: results go back to the loop, which may be gone by then."""
    while (job := jobs.get()) is not None:
        call, future = job
        try:
            result: T | Exception = call()
        except Exception as error:
            result = error
        with contextlib.suppress(RuntimeError):
            future.get_loop().call_soon_threadsafe(_settle, future, result)
    close()


def _settle(future: asyncio.Future[T], result: T | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
