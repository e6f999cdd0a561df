"""What goes wrong on CAN, made by can-utils and iproute2 on a real SocketCAN interface."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable

import pytest
import vcu
from board import Board, ip, restore
from conftest import Case
from opening import MARGIN_S
from rig import Failed, until

VEHICLE = {'vcu = "optional"': 'vcu = "required"', 'profile = "home"': 'profile = "vehicle"'}
LIMITS, STATE = 0x101, 0x100
LOST_S = 6.04  # a controller's last good frame to the coil released
ZEROS = "00" * 8
RUBBISH = 3000
WRONG = vcu.spoilt(vcu.frame(vcu.CLOSE, 0)).hex().upper()


def frozen(board: Board) -> object:
    return vcu.speak(board, vcu.CLOSE, frozen=True)


def jumping(board: Board) -> object:
    """Every frame is five counts ahead of the one before: three are tolerated."""
    return vcu.speak(board, vcu.CLOSE, change=lambda data: vcu.frame(vcu.CLOSE, (data[1] & 0xF) * 5 % vcu.COUNTS))


def wrong_crc(board: Board) -> object:
    return vcu.speak(board, vcu.CLOSE, change=vcu.spoilt)


def wrong_data_id(board: Board) -> object:
    return vcu.speak(board, vcu.CLOSE, change=lambda data: vcu.frame(vcu.CLOSE, data[1] & 0xF, data_id=0xB103))


def short(board: Board) -> object:
    return vcu.speak(board, vcu.CLOSE, change=lambda data: data[:4])


def reserved(board: Board) -> object:
    return vcu.speak(board, vcu.CLOSE, change=lambda data: vcu.frame(9, data[1] & 0xF))


@pytest.mark.parametrize(
    ("row", "instead"),
    [
        ("C01", None),
        ("C02", frozen),
        ("C03", jumping),
        ("C04", wrong_crc),
        ("C05", short),
        ("C07", reserved),
        ("C08", wrong_data_id),
    ],
)
def test_a_controller_that_is_lost_or_not_to_be_believed_stops_a_vehicle(
    row: str, instead: Callable[[Board], object] | None, make_board: Callable[..., Board], case: Case
) -> None:
    board = make_board(edits=VEHICLE)
    player, refused = vcu.closed_by_controller(board), board.refused_frames()
    at_s = vcu.hush(player)
    if instead is not None:
        instead(board)
    open_s, refused = board.rig.release_s(at_s), board.refused_frames() - refused
    case.facts = {"open after, s": round(open_s, 2), "bound, s": LOST_S, "frames refused": refused}
    assert "vcu_lost" in board.codes()
    assert open_s <= LOST_S + MARGIN_S
    assert (refused > 0) is (instead is not None), "the frames have arrived"


def test_a_home_without_its_controller_falls_to_no_current_and_stays_closed(board: Board, case: Case) -> None:
    player = vcu.closed_by_controller(board)
    time.sleep(3.0)  # limits rise by 20 A a second
    vcu.hush(player)
    time.sleep(2.2)  # the rig's load obeys nobody: two seconds beyond the limit would be a fault
    closed = board.rig.closed
    limits = board.values("BMS_Limits", "DischargeCurrent")
    case.facts = {"discharge limit before, A": max(limits), "after, A": limits[-1]}
    assert closed and max(limits) > 50.0 and limits[-1] == 0.0


def test_a_replayed_close_closes_nothing(board: Board, case: Case) -> None:
    """C16: the recorded request of yesterday beside a controller that asks to open."""
    board.ready()
    vcu.speak(board, vcu.OPEN)
    until(lambda: board.state == "standby", "standby")
    time.sleep(1.0)
    recorded = [vcu.as_text(vcu.frame(vcu.CLOSE, counter)) for counter in range(vcu.COUNTS)]
    for text in recorded:
        vcu.send(text)
        time.sleep(0.07)
    time.sleep(1.0)
    case.facts = {"replayed frames": len(recorded), "coil energised": board.rig.energised_since(0.0)}
    assert not board.rig.energised_since(0.0)


def test_open_beside_close_is_open(make_board: Callable[..., Board], case: Case) -> None:
    """C18: a controller asks to close and goes on with it; while that becomes valid an operator asks to open."""
    board = make_board(edits=VEHICLE)
    vcu.standing_by(board)
    vcu.speak(board, vcu.CLOSE)
    began_s, opens = time.monotonic(), 0
    while time.monotonic() < began_s + 1.0:
        opens += board.ask("open")
        time.sleep(0.05)
    asked_s = time.monotonic()
    time.sleep(2.0)
    case.facts = {"opens": opens, "a coil energised in between": board.rig.energised_since(began_s)}
    coils = board.rig.ask("state")
    assert opens > 3 and board.state == "standby"
    assert not (coils["main_coil"] or coils["precharge_coil"] or board.rig.energised_since(asked_s))


def test_an_operators_open_stands_against_a_controller_that_goes_on_to_ask_for_close(
    make_board: Callable[..., Board], case: Case
) -> None:
    """C18: only a change to close counts."""
    board = make_board(edits=VEHICLE)
    vcu.closed_by_controller(board)
    at_s = time.monotonic()
    board.request("open")
    open_s = board.rig.release_s(at_s)
    time.sleep(2.0)
    case.facts = {"open after, s": round(open_s, 2)}
    assert not board.rig.energised_since(at_s + open_s + 0.001)


def test_a_command_to_a_latched_pack_is_refused(board: Board, case: Case) -> None:
    """C17."""
    board.ready()
    until(lambda: board.state == "standby", "standby")
    board.rig.inject("emergency_stop")
    until(lambda: board.state == "latched", "latched")
    board.rig.clear("emergency_stop")
    board.request("open")
    with pytest.raises(Failed) as refused:
        board.request("close")
    case.saw("bms-daemon request close", str(refused.value))
    assert "emergency_stop" in str(refused.value)
    board.request("clear", "emergency_stop")
    until(lambda: board.state == "standby", "standby")


# ------------------------------------------------------------------ the interface
def limited_queue(board: Board) -> None:
    """C12: a queue of a few frames that drains at a byte a second: send says ENOBUFS."""
    words = "qdisc add dev can0 root tbf rate 8bit burst 100 limit 100"
    subprocess.run(["tc", *words.split()], check=True)


def unlimited_queue(board: Board) -> None:
    subprocess.run(["tc", "qdisc", "del", "dev", "can0", "root"], check=True)


@pytest.mark.parametrize(
    ("lose", "mend"),
    [
        (lambda board: vcu.send(f"20000040#{ZEROS}"), lambda board: vcu.send(f"20000100#{ZEROS}")),
        (lambda board: ip("link", "set", "can0", "down"), lambda board: ip("link", "set", "can0", "up")),
        (lambda board: ip("link", "del", "can0"), lambda board: restore()),
        (limited_queue, unlimited_queue),
    ],
    ids=["C10 bus-off", "C11 interface down", "C11 interface gone", "C12 no buffer space"],
)
def test_a_bus_that_nobody_hears_stops_the_pack_and_comes_back(
    lose: Callable[[Board], None], mend: Callable[[Board], None], board: Board, case: Case
) -> None:
    unit = board.closed()
    try:
        lose(board)
        open_s = board.rig.release_s(time.monotonic())
        assert "can_silent" in board.codes()
    finally:
        mend(board)
    case.facts = {"open after, s": round(open_s, 2), "bound, s": 5.04}
    assert open_s <= 5.04 + MARGIN_S
    with board.listening() as frames:
        until(lambda: len(frames()) > 5, "frames again", 10.0)
    until(lambda: "can_silent" not in board.codes(), "can_silent is over")
    assert unit.process.poll() is None


def test_an_error_passive_controller_is_no_reason_to_open(board: Board, case: Case) -> None:
    """C13: nobody acknowledges; the controller says so by an error frame."""
    board.closed()
    vcu.send("20000004#0020000000000000")
    time.sleep(2.0)
    assert board.rig.closed


@pytest.mark.parametrize(("frame_id", "gap_ms"), [("001", "1"), ("102", "0.2")], ids=["filtered", "heard"])
def test_a_flood_delays_no_tick(frame_id: str, gap_ms: str, board: Board, case: Case) -> None:
    """C14: frames of another node, which the kernel keeps away, and requests with a wrong checksum."""
    board.closed()
    before, sent, refused = board.timing(), interface_frames(), board.refused_frames()
    flood = board.run_beside(["cangen", "can0", "-g", gap_ms, "-I", frame_id, "-L", "8", "-D", WRONG])
    time.sleep(5.0)
    vcu.hush(flood)
    after, sent, refused = board.timing(), interface_frames() - sent, board.refused_frames() - refused
    ticks, missed = after["ticks"] - before["ticks"], after["missed"] - before["missed"]
    case.facts = {"frames a second": round(sent / 5.0), "refused": refused, "ticks": ticks, "missed": missed}
    assert board.rig.closed
    assert (refused > 0) is (frame_id == f"{vcu.REQUEST_ID:03X}")
    assert missed <= 0.05 * ticks


def test_rubbish_on_the_bus_changes_nothing(board: Board, case: Case) -> None:
    """C15, C06: random identifiers, lengths and data; 29 bits, remote and FD frames; frames of a wrong length."""
    board.closed()
    refused = board.refused_frames()
    for options in ("-L r", "-e -L r", "-R", "-f -L r", "-I 102 -L 3"):
        rubbish(options)
    refused = board.refused_frames() - refused
    case.facts = {"frames": 5 * RUBBISH, "refused": refused}
    assert refused > 0
    assert board.rig.closed and board.unit is not None and board.unit.process.poll() is None


def test_rubbish_as_the_controllers_closes_nothing(board: Board, case: Case) -> None:
    """C15: of random frames with the right length some have the right checksum, and may open, but never close."""
    unit = board.ready()
    until(lambda: board.state == "standby", "standby")
    refused = board.refused_frames()
    rubbish("-I 102 -L 8")
    refused = board.refused_frames() - refused
    case.facts = {"frames": RUBBISH, "refused": refused}
    assert refused > 0
    assert not board.rig.energised_since(0.0) and unit.process.poll() is None


def rubbish(options: str) -> None:
    """Random frames, two for one that a bus of 500 kbit/s has room for."""
    subprocess.run(["cangen", "can0", "-g", "0.1", "-n", str(RUBBISH), *options.split()], check=True)
    time.sleep(0.3)


def test_frames_of_this_node_from_somebody_else_are_counted(board: Board, case: Case) -> None:
    """C09: a second BMS."""
    board.closed()
    before = board.refused_frames()
    for _ in range(10):
        vcu.send(f"{LIMITS:03X}#0000000000000000")
    time.sleep(0.3)
    counted = board.refused_frames() - before
    case.facts = {"sent": 10, "counted": counted}
    assert counted == 10


def test_after_a_stall_frames_do_not_come_in_bursts(board: Board, case: Case) -> None:
    """C19, C20: a stopped process says nothing, and afterwards nothing twice."""
    unit = board.closed()
    unit.kill(19)
    time.sleep(1.5)
    silent = board.times_of(STATE, since_s=1.0)
    unit.kill(18)
    time.sleep(1.5)
    times = board.times_of(STATE, since_s=1.4)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    case.facts = {"frames while stopped": len(silent), "shortest gap after, s": round(min(gaps), 3)}
    assert silent == []
    assert min(gaps) > 0.01


def interface_frames() -> int:
    with open("/sys/class/net/can0/statistics/tx_packets") as file:
        return int(file.read())
