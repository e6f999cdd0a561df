"""Contactors, emergency stop, interlock and lines, through gpio-sim."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from board import Board, Failed, until
from conftest import Case
from opening import MARGIN_S, Fault

LATCHED = (
    Fault("A02", "coil_broken", "main_not_closing", 0.3),
    Fault("A02 aux", "aux_broken", "main_not_closing", 0.3),
    Fault("A22 emergency stop", "emergency_stop", "emergency_stop", 0.1),
    Fault("A22 interlock", "interlock", "interlock_open", 0.1),
    Fault("A19", "coil_supply", "main_not_closing", 0.3),
    Fault("S20", "chip_trip", "afe_trip", 0.209),
)


@pytest.mark.parametrize("fault", LATCHED, ids=lambda fault: fault.row)
def test_a_power_path_that_fails_opens_at_once_and_stays_open(fault: Fault, board: Board, case: Case) -> None:
    board.closed()
    at_s = board.rig.inject(fault.name)
    until(lambda: board.state == "latched", "latched", 5.0)
    open_s = board.rig.released_s(at_s) - at_s
    until(lambda: not board.rig.ask("state")["lines"]["main"], "the line released", 5.0)
    case.facts = {"coil released after, s": round(open_s, 3), "bound, s": fault.bound_s}
    assert open_s <= fault.bound_s + MARGIN_S
    assert fault.code in board.codes()
    board.rig.clear(fault.name)
    with pytest.raises(Failed, match=fault.code):
        board.request("close")


def test_a_welded_contactor_is_found_when_it_should_open(board: Board, case: Case) -> None:
    """A01."""
    board.closed()
    board.rig.inject("weld")
    board.request("open")
    until(lambda: "main_welded" in board.codes(), "main_welded", 5.0)
    case.saw("bms-daemon status", board.status())
    assert board.rig.closed, "the contact itself"


@pytest.mark.parametrize(
    ("row", "fault", "code"),
    [("A05", "precharge_load", "precharge_failed"), ("A06", "no_capacitor", ""), ("A08", "precharge_weld", "")],
)
def test_a_precharge_that_is_wrong_closes_nothing(row: str, fault: str, code: str, board: Board, case: Case) -> None:
    board.ready()
    until(lambda: board.state == "standby", "standby")
    board.rig.inject(fault)
    board.request("open")
    try:
        board.request("close")
    except Failed as refused:
        case.saw("bms-daemon request close", str(refused))
    time.sleep(3.5)
    case.facts = {"state": board.state, "codes": ", ".join(sorted(board.codes()))}
    main_on = [at_s for at_s, main, _ in board.rig.ask("trace")["coils"] if main]
    assert main_on == []
    assert code in board.codes() or not code


def test_an_auxiliary_contact_with_the_wrong_sense_keeps_the_pack_open(
    make_board: Callable[..., Board], case: Case
) -> None:
    """A17: the configuration turns a contact round; after "open" it reads closed."""
    wrong = 'main_aux = { line = "GPIO23" }'
    board = make_board(edits={'main_aux = { line = "GPIO23", active_low = true }': wrong}, rig_edits=False)
    board.ready()
    time.sleep(3.0)
    with pytest.raises(Failed) as refused:
        board.request("open")
        board.request("close")
    case.saw("bms-daemon request close", str(refused.value))
    assert not board.rig.energised_since(0.0)


def test_a_line_that_another_program_holds_is_exit_69_and_names_it(board: Board, case: Case) -> None:
    """A15."""
    board.commission()
    board.run_beside(["gpioset", "--mode=signal", "gpiochip0", "17=0"])
    time.sleep(0.5)
    unit = board.start()
    assert unit.wait(20.0) == 69
    said = unit.log.splitlines()[-1]
    case.saw("bms-daemon run", said)
    assert "main (line 17) is held by 'gpioset'" in said


def test_the_lines_are_held_by_the_daemon_while_it_runs(board: Board, case: Case) -> None:
    board.closed()
    shown = subprocess.run(["gpioinfo", "gpiochip0"], capture_output=True, text=True, check=True).stdout
    rows = [line for line in shown.splitlines() if "GPIO" in line]
    case.saw("gpioinfo gpiochip0", "\n".join(rows), 9)
    assert len(rows) == 9 and all("bms-daemon" in row for row in rows)
    assert sum("output" in row for row in rows) == 4


def test_a_chip_that_vanishes_releases_the_coil_and_latches(board: Board, case: Case) -> None:
    """A13: every access to the lines fails from now on; what was driven is not any more."""
    unit = board.closed()
    at_s = time.monotonic()
    (live,) = Path("/sys/kernel/config/gpio-sim").glob("*/live")
    live.write_text("0")
    until(lambda: board.rig.released_s(at_s) < inf, "open", 5.0)
    until(lambda: unit.process.poll() is not None or board.codes() & {"gpio_failed", "pins_lost"}, "noticed", 5.0)
    open_s = board.rig.released_s(at_s) - at_s
    case.facts = {"open after, s": round(open_s, 3), "codes": ", ".join(sorted(board.codes()))}
    assert open_s <= 0.2 + MARGIN_S


def test_a_flicker_of_the_interlock_is_filtered(board: Board, case: Case) -> None:
    """A23: shorter than a tick."""
    board.closed()
    for _ in range(5):
        board.rig.inject("interlock")
        board.rig.clear("interlock")
        time.sleep(0.3)
    case.facts = {"flickers": 5}
    assert board.rig.closed


def test_a_chattering_contact_is_reported(board: Board, case: Case) -> None:
    """A03."""
    board.closed()
    at_s = board.rig.inject("aux_chatter")
    until(lambda: board.rig.released_s(at_s) < inf, "open", 5.0)
    case.facts = {"open after, s": round(board.rig.released_s(at_s) - at_s, 2), "codes": ", ".join(board.codes())}
    assert board.rig.released_s(at_s) - at_s <= 1.0 + MARGIN_S
