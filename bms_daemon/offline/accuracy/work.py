"""Long work over the processors, with a line on standard error for every part that is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from bms_daemon.runtime.stopwatch import monotonic_s

Part = TypeVar("Part")
Result = TypeVar("Result")


class Workers(Protocol):
    """Does something with every part, in order."""

    def __call__(
        self, what: str, function: Callable[[Part], Result], parts: Sequence[Part], label: Callable[[Part], str]
    ) -> list[Result]: ...


@contextmanager
def workers(processes: int) -> Iterator[Workers]:
    """With one process everything happens in this one."""
    if processes == 1:
        yield _Crew(map)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield _Crew(pool.map)


class _Crew:
    def __init__(self, spread: Callable[..., Iterable[Any]]) -> None:
        self._spread = spread

    def __call__(
        self, what: str, function: Callable[[Part], Result], parts: Sequence[Part], label: Callable[[Part], str]
    ) -> list[Result]:
        started_s = monotonic_s()
        found: list[Result] = []
        for number, (part, result) in enumerate(zip(parts, self._spread(function, parts), strict=True), 1):
            found.append(result)
            passed_s = monotonic_s() - started_s
            sys.stderr.write(f"{what} {number}/{len(parts)} ({passed_s:.0f} s): {label(part)}\n")
        return found
