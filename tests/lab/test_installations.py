"""Every other shipped configuration with its own chips, device names and contactors: from power-on through a fault."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import spidev
import vcu
from board import CANTOOLS, DBC, Board
from conftest import Case
from opening import MARGIN_S, Fault
from rig import until


@dataclass(frozen=True)
class Installation:
    """A shipped configuration and the current that it carries while it is closed.

    ``scans_hz``: at least so many conversions a second, counted for ``counted_s``. ``fault`` opens it. ``addresses``:
    who answers on its I2C bus, as i2cdetect writes them.
    """

    shipped: str
    series: int
    current_a: float
    scans_hz: float
    counted_s: float
    fault: Fault
    addresses: frozenset[str] = frozenset()


CAR = Installation("bbb-96s-nmc-car", 96, -40.0, 9.5, 10.0, Fault("S17", "chain_cut", "afe_lost", 1.5, {"value": 4}))
SCOOTER = Installation(
    "pi-12s-scooter", 12, -12.0, 3.5, 3.0, Fault("S17", "chip_mute", "afe_lost", 1.79), frozenset({"08", "40"})
)
PORTABLE = Installation(
    "portable-4s-sbs", 4, -1.0, 0.9, 3.0, Fault("S17", "chip_mute", "afe_lost", 1.5), frozenset({"0b", "41"})
)
MINI = Installation("mini-4s", 4, -5.0, 4.5, 3.0, Fault("S17", "chip_mute", "afe_lost", 1.0), frozenset({"08"}))
CELLS_ID, CELLS_A_FRAME = 0x108, 3  # dbc/bms.dbc: BMS_Cells
CELL = re.compile(r"Cell(\d+)Voltage: ([\d.]+) V")


@pytest.mark.parametrize("installation", [CAR, SCOOTER, PORTABLE, MINI], ids=lambda each: each.shipped)
def test_it_closes_scans_in_time_tells_every_cell_and_opens_in_time(
    installation: Installation, make_board: Callable[..., Board], case: Case
) -> None:
    board, fault = make_board(shipped=installation.shipped, current_a=installation.current_a), installation.fault
    if installation.addresses:
        assert detected() == installation.addresses
    vcu.closed_by_controller(board)
    board.loaded()
    case.saw("bms-daemon status", board.status(), 20)
    scans_hz = scan_rate_hz(board, installation.counted_s)
    case.facts = {"conversions a second": round(scans_hz, 2), "of cells seen by candump": seen_by_candump(board)}
    at_s = board.rig.inject(fault.name, **fault.args)
    open_s = board.rig.fall_s(at_s)
    case.facts |= {"line off after, s": round(open_s, 3), "bound, s": fault.bound_s}
    assert scans_hz >= installation.scans_hz
    assert case.facts["of cells seen by candump"] == installation.series
    assert open_s <= fault.bound_s + MARGIN_S
    assert fault.code in board.codes()
    board.rig.clear(fault.name)
    until(lambda: fault.code not in board.codes(), f"{fault.code} is over", 20.0)
    assert not board.rig.energised_since(at_s + open_s + 0.001), "nothing closes by itself"


def scan_rate_hz(board: Board, for_s: float) -> float:
    """Conversions of all cells that the daemon has read and believed, a second."""
    began_s, before = board.conversions()
    time.sleep(for_s)
    ended_s, after = board.conversions()
    return (after - before) / (ended_s - began_s)


def seen_by_candump(board: Board) -> int:
    """Cells in two turns of frames on the bus, each as the rig knows it; how many there were."""
    truth_v = board.rig.ask("state")["cell_v"]
    turns = 2 * -(-len(truth_v) // CELLS_A_FRAME)
    command = f"candump -L -n {turns} can0,{CELLS_ID:X}:7FF | {CANTOOLS} decode --single-line {DBC}"
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=20.0).stdout
    found_v = {int(cell): float(volts) for cell, volts in CELL.findall(shown)}
    assert all(abs(volts - truth_v[cell - 1]) < 0.02 for cell, volts in found_v.items()), found_v
    return len(found_v)


def detected() -> frozenset[str]:
    """Who answers on /dev/i2c-1."""
    found = subprocess.run(["i2cdetect", "-y", "1"], capture_output=True, text=True, check=True).stdout
    return frozenset(word for line in found.splitlines()[1:] for word in line.split(":")[1].split() if word != "--")


# ------------------------------------------------------------------ the chain by hand
RDCFGA = [0x00, 0x02, 0x2B, 0x0A]  # "read configuration" and its code
DEVICES, GROUP = 8, 8  # of the car's chain; bytes of an answer
SILENT = [0xFF] * GROUP
MESSAGE = 0x40206B00  # SPI_IOC_MESSAGE(1) of linux/spi/spidev.h
TRANSFER = struct.Struct("<QQIIHBBBBBx")
MOST = 4096  # spidev's buffer, as it is shipped


def test_spidev_wakes_the_chain_by_hand_and_refuses_what_is_too_long(
    make_board: Callable[..., Board], case: Case
) -> None:
    """Chip select low for 0.3 ms wakes the next device; all of them hear in mode 3 alone."""
    make_board(shipped=CAR.shipped)
    with opened() as spi:
        asleep = groups(spi)
        for _ in range(DEVICES):
            spi.xfer2([0], 0, 300)
            time.sleep(0.001)
        awake = groups(spi)
        spi.mode = 0
        deaf = groups(spi)
        with pytest.raises(OSError) as refused:
            send_raw(spi.fileno(), MOST + 1)
        assert send_raw(spi.fileno(), MOST) == MOST
        assert (spi.mode, spi.max_speed_hz) == (0, 500_000)
    case.facts = {"devices awake": sum(group != SILENT for group in awake)}
    case.facts["a message too long"] = errno.errorcode[refused.value.errno or 0]
    assert asleep == deaf == [SILENT] * DEVICES
    assert SILENT not in awake and all(group == awake[0] for group in awake)
    assert refused.value.errno == errno.EMSGSIZE


@contextlib.contextmanager
def opened() -> Iterator[spidev.SpiDev]:
    """The chain's node, as a driver sets it."""
    with contextlib.closing(spidev.SpiDev()) as spi:
        spi.open(1, 0)
        spi.mode, spi.max_speed_hz = 3, 500_000
        yield spi


def groups(spi: spidev.SpiDev) -> list[list[int]]:
    """What each device answers to "read configuration", behind a pulse that readies an idle port."""
    spi.xfer2([0] * 8)
    found = spi.xfer2(RDCFGA + [0] * DEVICES * GROUP)[len(RDCFGA) :]
    return [found[at : at + GROUP] for at in range(0, len(found), GROUP)]


def send_raw(fd: int, length: int) -> int:
    """One transfer past the module's own check of lengths. Raises OSError."""
    data = ctypes.create_string_buffer(length)
    transfer = TRANSFER.pack(ctypes.addressof(data), 0, length, 0, 0, 8, 0, 0, 0, 0)
    return fcntl.ioctl(fd, MESSAGE, bytearray(transfer))
