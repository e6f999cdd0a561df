"""Contactors, emergency stop, interlock and lines, through gpio-sim."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from board import Board
from conftest import Case
from opening import MARGIN_S, Fault
from rig import Failed, until

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
    """The daemon's own line counts: some of these take the coil's supply away without it."""
    board.closed()
    at_s = board.rig.inject(fault.name)
    open_s = board.rig.fall_s(at_s, 5.0)
    until(lambda: board.state == "latched", "latched", 5.0)
    case.facts = {"line off after, s": round(open_s, 3), "bound, s": fault.bound_s}
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


def asked_to_close(board: Board) -> bool:
    """Ask where a close may begin; true where none is under way."""
    if board.state == "standby" and board.ask("open"):
        board.ask("close")
    return board.state != "precharge"


NO_REST = {"precharge_s = 2.0": "precharge_s = 2.0\nprecharge_rest_s = 0.1"}


@pytest.mark.parametrize(
    ("row", "fault", "codes"),
    [
        ("A05", "precharge_load", {"precharge_failed"}),
        ("A06", "no_capacitor", {"precharge_too_fast"}),
        ("A06 resistor", "precharge_shorted", {"precharge_too_fast", "short_circuit"}),
        ("A08", "precharge_weld", {"precharge_welded"}),
    ],
)
def test_a_precharge_that_is_wrong_closes_nothing(
    row: str, fault: str, codes: set[str], make_board: Callable[..., Board], case: Case
) -> None:
    """Asked for as often as it takes until the fault is named.

    A shorted resistor lets a thousand amperes through for half a millisecond: where the chip is quick enough to see
    them, its own protection names the fault first.
    """
    board = make_board(edits=NO_REST)
    board.ready()
    until(lambda: board.state == "standby", "standby")
    board.rig.inject(fault)
    until(lambda: asked_to_close(board) and codes & set(board.codes()), " or ".join(sorted(codes)), 60.0, 0.2)
    case.facts = {"state": board.state, "codes": ", ".join(sorted(board.codes()))}
    assert not any(main for _, main, _ in board.rig.ask("trace")["coils"])


def test_an_auxiliary_contact_with_the_wrong_sense_keeps_the_pack_open(
    make_board: Callable[..., Board], case: Case
) -> None:
    """A17: the configuration turns a contact round; after "open" it reads closed."""
    wrong = 'main_aux = { line = "GPIO23" }'
    board = make_board(edits={'main_aux = { line = "GPIO23", active_low = true }': wrong}, rig_edits=False)
    board.ready()
    time.sleep(3.0)
    board.request("open")
    with pytest.raises(Failed, match=r"refused: .*contact") as refused:
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


def test_a_chip_that_vanishes_ends_the_daemon_and_is_refused_at_the_next_start(board: Board, case: Case) -> None:
    """A13: every access to the lines fails from now on. The rig takes what is gone for off: no time is told by it."""
    unit = board.closed()
    (live,) = Path("/sys/kernel/config/gpio-sim").glob("*/live")
    live.write_text("0")
    status = unit.wait(20.0)
    case.facts = {"exit": status}
    case.saw("core.log", "\n".join(line for line in unit.log.splitlines() if '"kind":"fault"' in line))
    assert status == -signal.SIGABRT, "outputs that do not obey feed no watchdog"
    assert '"code":"gpio_failed"' in unit.log and '"code":"pins_lost"' in unit.log
    assert board.start().wait(20.0) == 69


def test_a_flicker_of_the_interlock_is_filtered(board: Board, case: Case) -> None:
    """A23: shorter than a tick."""
    board.closed()
    for _ in range(5):
        board.rig.ask("inject", fault="interlock", for_s=0.008)
        time.sleep(0.3)
    case.facts = {"flickers of 8 ms": 5}
    assert board.rig.closed


def test_a_chattering_contact_opens_and_is_named(board: Board, case: Case) -> None:
    """A03."""
    board.closed()
    at_s = board.rig.inject("aux_chatter")
    open_s = board.rig.fall_s(at_s, 5.0)
    until(lambda: "contact_chatter" in board.codes(), "contact_chatter", 5.0)
    case.facts = {"line off after, s": round(open_s, 2), "bound, s": 1.0, "codes": ", ".join(sorted(board.codes()))}
    assert open_s <= 1.0 + MARGIN_S
