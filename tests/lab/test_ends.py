"""However the process ends, the coil is released in time; a restart stays open, whatever became of the journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from board import Board
from conftest import NAMES, Case
from line_trace import LineTrace
from opening import MARGIN_S
from rig import until

DEAD_MAN_S, TICK_S, GRACE_S, STATE_PERIOD_S = 0.2, 0.02, 8.0, 0.1
QUICK_S = 0.15  # an end that needs no dead-man: the line itself is off before that would drop out
LOOK_S = 0.2  # after it the rig has looked at the lines again
FIRST_FRAME_S = 6.0  # 2.4 s were measured


@dataclass(frozen=True)
class Ending:
    """Seconds from the signal to the coil released, by board.

    ``status``: what systemd would see, None for its own SIGABRT. ``stays_on``: a Pi's line keeps its level. ``cut``:
    which generations of the journal are cut before the restart.
    """

    name: str
    signal: int
    pi_s: float
    beaglebone_s: float
    status: int | None
    stays_on: bool
    cut: str

    def bound_s(self, kind: str) -> float:
        return self.pi_s if kind == "pi" else self.beaglebone_s


ENDINGS = (
    Ending("SIGTERM", signal.SIGTERM, GRACE_S + 1.0, GRACE_S + 1.0, 0, False, "older"),
    Ending("SIGKILL", signal.SIGKILL, DEAD_MAN_S, TICK_S, -signal.SIGKILL, True, "newest"),
    Ending("SIGSTOP", signal.SIGSTOP, DEAD_MAN_S, DEAD_MAN_S, None, True, "both"),
    Ending("exception", signal.SIGUSR1, TICK_S * 2, TICK_S * 2, 1, False, "both"),
    Ending("hang", signal.SIGUSR2, DEAD_MAN_S, DEAD_MAN_S, None, True, "newest"),
)


@pytest.mark.parametrize("kind", list(NAMES))
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_the_coil_is_released_and_a_restart_stays_open(
    ending: Ending, kind: str, make_board: Callable[..., Board], trace: LineTrace, case: Case
) -> None:
    board = make_board(kind, saboteur=True)
    unit = board.closed()
    assert trace.writes(0.0)[-1][1], "the line is on"
    at_s = unit.kill(ending.signal)
    open_s, bound_s = board.rig.release_s(at_s), ending.bound_s(kind)
    status = unit.wait(20.0)
    case.facts = {"coil released after, s": round(open_s, 3), "bound, s": bound_s, "exit": status}
    the_end_is_as_said(ending, at_s, board, case)
    assert open_s <= bound_s + MARGIN_S
    the_line_is_as_said(ending, kind, at_s, board, case)
    off_after_the_stop(board, trace)
    restarted_open(ending, board, case)


def the_end_is_as_said(ending: Ending, at_s: float, board: Board, case: Case) -> None:
    """The exit status; a process that hangs is silent until the unit's watchdog ends it."""
    unit = board.unit
    assert unit is not None
    if ending.status is not None:
        assert unit.process.returncode == ending.status
        return
    watchdog_s, last_s = unit.timed_out_s - at_s, last_frame_s(board) - at_s
    case.facts |= {"last frame after, s": round(last_s, 2), "the unit's watchdog after, s": round(watchdog_s, 2)}
    assert last_s <= 3 * STATE_PERIOD_S + MARGIN_S, "C20: a loop that hangs says nothing"
    assert unit.process.returncode == -signal.SIGABRT and watchdog_s <= 3.0 + 1.0 + MARGIN_S


def the_line_is_as_said(ending: Ending, kind: str, at_s: float, board: Board, case: Case) -> None:
    """A Pi's line stays on where the process could do nothing more; where it is off soon, no dead-man was needed."""
    time.sleep(LOOK_S)
    left_on = ending.stays_on and kind == "pi"
    assert board.rig.lines["main"] is left_on
    if not left_on:
        case.facts["line off after, s"] = round(board.rig.fall_s(at_s), 3)
    if ending.bound_s(kind) < DEAD_MAN_S:
        assert board.rig.fall_s(at_s) <= QUICK_S


def off_after_the_stop(board: Board, trace: LineTrace) -> None:
    """ExecStopPost writes the line off, and lets it go before the rig has looked: the kernel's record says so."""
    assert board.unit is not None
    after_s = time.monotonic()
    assert board.unit.after().returncode == 0
    levels = [level for _, level in trace.writes(after_s)]
    assert levels and not any(levels)


def last_frame_s(board: Board) -> float:
    """When candump saw the last state, on the monotonic clock."""
    return board.times_of(0x100, since_s=60.0)[-1] - time.time() + time.monotonic()


def restarted_open(ending: Ending, board: Board, case: Case) -> None:
    """A new process on the same pack comes up open and closes nothing by itself, whichever generation was cut."""
    cut_journal(ending, board.journal, case)
    began_s = time.monotonic()
    board.ready()
    until(lambda: board.state in ("standby", "fault", "latched"), "the end of the self-test")
    time.sleep(1.0)
    case.facts["after the restart"] = board.state
    lost = ending.cut == "both"
    assert ("journal_missing" in board.codes()) is lost
    if lost:
        board.ask("open")
        assert not board.ask("close"), "a pack that nobody has commissioned"
        time.sleep(0.5)
    assert not board.rig.energised_since(began_s)


def cut_journal(ending: Ending, journal: Path, case: Case) -> None:
    """Shorten generations at a random byte each, as a power cut does."""
    older, newest = sorted(journal.parent.glob(f"{journal.name}.?"), key=lambda path: path.stat().st_mtime)
    dice, cuts = random.Random(case.facts["coil released after, s"]), []
    for name, path in (("older", older), ("newest", newest)):
        if ending.cut in (name, "both"):
            whole = path.read_bytes()
            at = dice.randrange(len(whole))
            path.write_bytes(whole[:at])
            cuts.append(f"{name} at byte {at} of {len(whole)}")
    case.facts["journal cut"] = ", ".join(cuts)


def test_a_second_instance_is_refused_and_the_first_goes_on(board: Board, case: Case) -> None:
    """With the unit's own rights, so that nothing but the first one stands against it."""
    unit = board.closed()
    done = unit.beside()
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    case.saw("bms-daemon run", said)
    case.facts = {"exit": done.returncode}
    assert done.returncode == 1 and f"another instance runs: process {unit.pid} holds" in said
    time.sleep(1.0)
    assert board.rig.closed


WATCHDOG = {"[timing]\n": '[timing]\nwatchdog_device = "/dev/watchdog"\nwatchdog_s = 4\n'}


@pytest.mark.parametrize(("number", "bites"), [(signal.SIGTERM, False), (signal.SIGKILL, True)])
def test_the_boards_watchdog_bites_after_every_end_but_an_orderly_one(
    number: int, bites: bool, make_board: Callable[..., Board], case: Case
) -> None:
    """Kernel's softdog, told to say so instead of restarting the board."""
    board = make_board(edits=WATCHDOG)
    unit = board.closed()
    subprocess.run(["dmesg", "--clear"], check=True)
    at_s = unit.kill(number)
    unit.wait(20.0)
    time.sleep(max(0.0, at_s + 12.0 - time.monotonic()))
    said = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    case.saw("dmesg", "\n".join(line for line in said.splitlines() if "dog" in line))
    assert ("Triggered" in said) is bites


def test_the_first_frame_comes_soon_after_the_start(board: Board, case: Case) -> None:
    board.commission()
    unit = board.start()
    until(lambda: board.times_of(0x101, 60.0), "a frame")
    first_s = board.times_of(0x101, 60.0)[0] - (time.time() - (time.monotonic() - unit.start_s))
    case.facts = {"start to the first limit frame, s": round(first_s, 2), "bound, s": FIRST_FRAME_S}
    assert first_s < FIRST_FRAME_S


def test_real_time_is_granted_and_memory_stays_small(board: Board, case: Case) -> None:
    unit = board.closed()
    here = Path(f"/proc/{unit.pid}")
    lines = (line.split() for line in (here / "status").read_text().splitlines())
    kilobytes = {words[0]: int(words[1]) for words in lines if words[0] in ("VmRSS:", "VmLck:")}
    classes = [os.sched_getscheduler(int(task.name)) for task in (here / "task").iterdir()]
    case.facts = {"resident, MB": kilobytes["VmRSS:"] // 1024, "locked, MB": kilobytes["VmLck:"] // 1024}
    case.facts["threads in SCHED_FIFO"] = f"{classes.count(os.SCHED_FIFO)} of {len(classes)}"
    assert "realtime_refused" not in unit.log
    assert set(classes) == {os.SCHED_FIFO}
