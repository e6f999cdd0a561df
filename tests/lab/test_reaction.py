"""From a fault on the emulated chip to the change of the GPIO line that drives the main contactor's coil.

Both ends are on the kernel's monotonic clock: the rig notes when the fault became true, the kernel's tracepoint
``gpio_value`` when the line changed.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from board import Board, until
from conftest import Case

INJECTIONS = 200
A_LIFE = 50  # closings before the budget of an hour is used up: then the daemon starts anew
QUICK = {
    "aux_feedback = true": "aux_feedback = true\nclose_interval_s = 0.1\ncloses_per_hour = 60\nprecharge_rest_s = 0.1"
}
TRACING = Path("/sys/kernel/tracing")
BOUND_S = 0.309 + 0.04  # S03 of bms-daemon check --timing, and its two ticks once more for a process of a process
EVENT = re.compile(r" (\d+\.\d+): gpio_value: (\d+) set (\d)")


class LineTrace:
    """The kernel's record of what was written to lines."""

    def __init__(self, line: int) -> None:
        self._line = line
        (TRACING / "trace_clock").write_text("mono")
        (TRACING / "events/gpio/gpio_value/enable").write_text("1")

    def clear(self) -> None:
        (TRACING / "trace").write_text("")

    def falls(self, after_s: float) -> list[float]:
        """When the line was set to 0, later than an instant."""
        found = EVENT.findall((TRACING / "trace").read_text())
        base = self._base(found)
        return [
            float(at_s) for at_s, line, level in found
            if float(at_s) > after_s and level == "0" and int(line) - base == self._line
        ]  # fmt: skip

    @staticmethod
    def _base(found: list[tuple[str, str, str]]) -> int:
        """Lines are numbered from where the chip begins; the dead-man's, GPIO22, is written most often."""
        lines = Counter(int(line) for _, line, _ in found)
        return lines.most_common(1)[0][0] - 22 if lines else 0


@pytest.fixture
def trace() -> Iterator[LineTrace]:
    made = LineTrace(17)
    yield made
    (TRACING / "events/gpio/gpio_value/enable").write_text("0")


def test_from_the_chip_to_the_line(make_board: Callable[..., Board], trace: LineTrace, case: Case) -> None:
    board = make_board(edits=QUICK)
    dice, found = random.Random(3), []
    while len(found) < INJECTIONS:
        board.closed()
        found += [one(board, trace, dice) for _ in range(min(A_LIFE, INJECTIONS - len(found)))]
        assert board.unit is not None
        board.unit.stop()
    times_ms = np.array(found) * 1e3
    p50, p99 = np.percentile(times_ms, [50, 99])
    case.facts = {"injections": len(found), "measured by": "tracepoint gpio_value, trace clock mono"}
    case.facts |= {"p50, ms": round(p50, 1), "p99, ms": round(p99, 1), "largest, ms": round(times_ms.max(), 1)}
    case.facts["bound, ms"] = 309
    assert p99 <= BOUND_S * 1e3


def one(board: Board, trace: LineTrace, dice: random.Random) -> float:
    """A cell goes far over its maximum at a random phase; then everything is made good and the pack closed again."""
    time.sleep(0.3 + dice.uniform(0.0, 0.2))
    trace.clear()
    at_s = board.rig.inject("cell_offset", where=dice.randrange(16), value=0.5)
    until(lambda: board.rig.released_s(at_s) < float("inf"), "open", 5.0)
    falls = until(lambda: trace.falls(at_s), "the line's change", 2.0)
    board.rig.clear("cell_offset")
    until(lambda: board.ask("clear", "cell_over_voltage_critical"), "cleared", 10.0, 0.1)
    until(lambda: board.state == "standby", "standby", 10.0)
    assert board.ask("open")
    until(lambda: board.ask("close"), "a close that is accepted", 10.0, 0.1)
    until(lambda: board.state == "closed", "closed", 10.0)
    return float(falls[0]) - at_s
