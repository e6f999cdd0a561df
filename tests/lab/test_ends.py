"""However the process ends, the coil is released in time; a restart stays open, whatever became of the journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest
from board import JOURNAL, Board, call, until
from conftest import NAMES, Case
from opening import MARGIN_S

DEAD_MAN_S, TICK_S, GRACE_S, STATE_PERIOD_S = 0.2, 0.02, 8.0, 0.1


@dataclass(frozen=True)
class Ending:
    """``bound_s`` from the signal to the coil released, by board; ``status``: what systemd would see."""

    name: str
    signal: int
    pi_s: float
    beaglebone_s: float
    status: int | None


ENDINGS = (
    Ending("SIGTERM", signal.SIGTERM, GRACE_S + 1.0, GRACE_S + 1.0, 0),
    Ending("SIGKILL", signal.SIGKILL, DEAD_MAN_S, TICK_S, -signal.SIGKILL),
    Ending("SIGSTOP", signal.SIGSTOP, DEAD_MAN_S, DEAD_MAN_S, None),
    Ending("exception", signal.SIGUSR1, TICK_S * 2, TICK_S * 2, 1),
    Ending("hang", signal.SIGUSR2, DEAD_MAN_S, DEAD_MAN_S, None),
)


@pytest.mark.parametrize("kind", list(NAMES))
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_the_coil_is_released_and_a_restart_stays_open(
    ending: Ending, kind: str, make_board: Callable[..., Board], case: Case
) -> None:
    board = make_board(kind, saboteur=True)
    unit = board.closed()
    at_s = unit.kill(ending.signal)
    until(lambda: board.rig.released_s(at_s) < inf, "the coil released", 12.0)
    open_s = board.rig.released_s(at_s) - at_s
    bound_s = ending.pi_s if kind == "pi" else ending.beaglebone_s
    status = unit.wait(20.0)
    case.facts = {"coil released after, s": round(open_s, 3), "bound, s": bound_s, "exit": status}
    if ending.status is None:
        watchdog_s = unit.timed_out_s - at_s
        last_s = last_frame_s(board) - at_s
        case.facts["last frame after, s"] = round(last_s, 2)
        assert last_s <= 3 * STATE_PERIOD_S + MARGIN_S, "C20: a loop that hangs says nothing"
        case.facts["the unit's watchdog after, s"] = round(watchdog_s, 2)
        assert status == -signal.SIGABRT and watchdog_s <= 3.0 + 1.0 + MARGIN_S
    else:
        assert status == ending.status
    assert open_s <= bound_s + MARGIN_S
    assert unit.after().returncode == 0
    restarted_open(board, case)


def last_frame_s(board: Board) -> float:
    """When candump saw the last state, on the monotonic clock."""
    return board.times_of(0x100, since_s=60.0)[-1] - time.time() + time.monotonic()


def restarted_open(board: Board, case: Case) -> None:
    """A new process on the same pack comes up open and closes nothing by itself, with either generation cut."""
    generations = sorted(JOURNAL.parent.glob(f"{JOURNAL.name}.?"))
    newest = max(generations, key=lambda path: path.stat().st_mtime)
    whole = newest.read_bytes()
    cut = random.Random(case.facts["coil released after, s"]).randrange(len(whole))
    newest.write_bytes(whole[:cut])
    began_s = time.monotonic()
    board.ready()
    until(lambda: board.state in ("standby", "latched"), "standby or latched")
    time.sleep(1.0)
    case.facts |= {"journal cut at byte": f"{cut} of {len(whole)}", "after the restart": board.state}
    assert not board.rig.energised_since(began_s)


def test_a_second_instance_is_refused_and_the_first_goes_on(board: Board, case: Case) -> None:
    board.closed()
    with pytest.raises(Exception, match="1:") as refused:
        call("run", "--no-gateway", "/etc/bms-daemon/pack1.toml")
    case.saw("bms-daemon run", str(refused.value).splitlines()[-1])
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
    case.facts = {"start to the first limit frame, s": round(first_s, 2)}
    assert first_s < 10.0


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
