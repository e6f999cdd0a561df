"""What goes wrong on I2C and on the serial line, seen through the kernel's own interfaces."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from board import Board, ip, restore
from conftest import Case
from opening import MARGIN_S, Fault
from rig import until

CRC = {"crc = false": "crc = true"}

OPENING = (
    Fault("B02", "i2c_nack", "afe_lost", 1.0),
    Fault("B03", "i2c_stuck", "afe_lost", 1.0),
    Fault("B04", "i2c_flip", "afe_lost", 1.0, {"value": 0.5}, CRC),
    Fault("B05", "i2c_repeat", "afe_lost", 1.0, {}, CRC),
    Fault("B05 split", "i2c_split", "afe_lost", 1.0, {}, CRC),
    Fault("slow", "i2c_slow", "afe_lost", 1.0, {"value": 0.2}),  # four times what a transfer may take
    Fault("S06", "chip_frozen", "afe_frozen", 1.5),
    Fault("S17", "chip_mute", "afe_lost", 1.0),
    Fault("S24", "chip_brown_out", "afe_lost", 1.0),
    Fault("S33", "serial_silent", "shunt_lost", 5.04),
    Fault("unplugged", "serial_unplugged", "shunt_lost", 5.04),
)


@pytest.mark.parametrize("fault", OPENING, ids=lambda fault: fault.row)
def test_a_bus_that_fails_opens_the_pack_in_time(
    fault: Fault, make_board: Callable[..., Board], case: Case
) -> None:
    board = make_board(edits=fault.edits)
    unit = board.closed()
    at_s = board.rig.inject(fault.name, **fault.args)
    open_s = board.rig.fall_s(at_s)
    case.facts = {"line off after, s": round(open_s, 3), "bound, s": fault.bound_s}
    case.saw("bms-daemon status", board.status())
    assert open_s <= fault.bound_s + MARGIN_S
    assert fault.code in board.codes()
    assert unit.process.poll() is None, "the daemon goes on"
    board.rig.clear(fault.name)
    until(lambda: fault.code not in board.codes(), f"{fault.code} is over", 20.0)
    assert not board.rig.energised_since(at_s + open_s + 0.001), "nothing closes by itself"


def test_a_single_nack_is_tried_again_and_opens_nothing(board: Board, case: Case) -> None:
    board.closed()
    for _ in range(5):
        board.rig.inject("i2c_nack", value=1)
        time.sleep(0.5)
    assert board.rig.closed
    case.facts = {"single NACKs": 5, "still closed": True}


@pytest.mark.parametrize("kind", ["pi", "beaglebone"])
def test_a_stuck_bus_stops_neither_ticks_nor_frames(kind: str, make_board: Callable[..., Board], case: Case) -> None:
    """B03: the ioctl blocks, on a BeagleBone for a second whatever was set; CAN hears the daemon every 100 ms."""
    board = make_board(kind)
    board.closed()
    board.rig.inject("i2c_stuck")
    time.sleep(4.0)
    times = board.times_of(0x101, since_s=4.0)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    case.facts = {"limit frames in 4 s": len(times), "longest gap, s": round(max(gaps), 3)}
    assert max(gaps) < 0.3


def test_noise_on_the_serial_line_publishes_no_wrong_value(board: Board, case: Case) -> None:
    """B13: one byte in 500 has a flipped bit; a block that has one is refused whole, others still come through."""
    board.closed()
    seen = len(shunt_currents(board))
    board.rig.inject("serial_flip", value=0.002)
    believed = samples_believed(board, NOISY_S)
    currents = shunt_currents(board)[seen:]
    case.facts = {"shunt currents published, A": f"{min(currents):.1f} to {max(currents):.1f}", "frames": len(currents)}
    case.facts[f"blocks believed of {NOISY_S}"] = believed
    case.saw("bms-daemon status", board.status())
    assert all(-25.0 < current < 1.0 for current in currents)
    assert 3 <= believed < NOISY_S, "some arrive, and some are spoilt"


NOISY_S = 15  # a block a second


def samples_believed(board: Board, for_s: float) -> int:
    """How many readings of the shunt the daemon has taken for good."""
    found, end_s = set(), time.monotonic() + for_s
    while time.monotonic() < end_s:
        shot = board.snapshot()
        shunt = shot["measured"]["shunt"]
        if shunt["quality"] == "good":
            found.add(round(shot["now_s"] - shunt["age_s"], 1))
        time.sleep(0.2)
    return len(found)


def shunt_currents(board: Board) -> list[float]:
    """What the shunt said, as the bus has it."""
    return board.values("BMS_Soc", "ShuntCurrent")


def test_a_flood_on_the_serial_line_delays_no_tick(board: Board, case: Case) -> None:
    """B14: ten times the rate."""
    board.closed()
    before = board.timing()
    board.rig.inject("shunt_flood", value=10)
    time.sleep(4.0)
    after = board.timing()
    case.facts = {"ticks": after["ticks"] - before["ticks"], "missed": after["missed"] - before["missed"]}
    assert board.rig.closed
    assert after["missed"] - before["missed"] <= 0.05 * (after["ticks"] - before["ticks"])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda board: board.rig.inject("i2c_owned", where=0x08), "a kernel driver owns this address"),
        (lambda board: Path("/dev/i2c-1").rename("/dev/i2c-7"), "dtparam=i2c_arm=on"),
        (lambda board: Path("/dev/i2c-1").chmod(0o600), "group i2c"),
        (lambda board: board.rig.inject("serial_unplugged"), "/dev/serial/by-id/"),
        (lambda board: ip("link", "del", "can0"), "ip link"),
    ],
    ids=["B06", "no bus", "no right", "no serial", "no interface"],
)
def test_what_is_missing_at_start_is_exit_69_with_what_to_do(
    spoil: Callable[[Board], object], says: str, board: Board, case: Case
) -> None:
    board.commission()
    spoil(board)
    time.sleep(0.2)
    unit = board.start()
    try:
        assert unit.wait(20.0) == 69
    finally:
        restore()
    said = unit.log.splitlines()[-1]
    case.saw(f"bms-daemon run {board.config}", said)
    assert says in said
    assert not board.rig.energised_since(0.0)
