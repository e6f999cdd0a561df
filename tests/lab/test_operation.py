"""From power-on to closed contactors and back, as the bus and the pins show it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from board import CANTOOLS, DBC, Board, decoded
from conftest import Case
from rig import until

ON_VCAN = {'channel = "can0"': 'channel = "vcan0"'}


def test_the_deployed_daemon_closes_the_pack_and_its_frames_decode(board: Board, case: Case) -> None:
    unit = board.closed()
    until(lambda: "PackState: CLOSED" in "".join(decoded(board.can_log)), "CLOSED on the bus")
    case.saw("bms-daemon status /etc/bms-daemon/pack1.toml", board.status(), 12)
    assert unit.stop() == 0
    text = list(decoded(board.can_log))
    states = [line.split("PackState: ")[1].split(",")[0] for line in text if "BMS_State" in line]
    order = [state for at, state in enumerate(states) if at == 0 or state != states[at - 1]]
    undecoded = [line for line in text if "::" not in line or "Unknown" in line]
    case.facts = {"start to READY, s": round(unit.ready_s - unit.start_s, 2), "states": " ".join(order)}
    case.facts |= {"frames": len(text), "of them not decoded": len(undecoded)}
    order = [state for state in order if state != "SELF_TEST"]  # it may last for a single tick
    assert order == ["SAFE", "STANDBY", "PRECHARGE", "CLOSED", "OPENING", "STANDBY"]
    assert undecoded == []
    assert not board.rig.closed


def test_candump_and_cantools_read_along(make_board: Callable[..., Board], case: Case) -> None:
    """The line of the README, on vcan0, with a closed pack."""
    board = make_board(edits=ON_VCAN)
    board.closed()
    time.sleep(5.0)  # limits rise by 20 A a second
    command = f"candump -n 40 vcan0 | {CANTOOLS} decode {DBC}"
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    (Path(os.environ["BMS_LAB"]) / "readme.txt").write_text(shown)
    case.saw("candump vcan0 | cantools decode dbc/bms.dbc", shown, 40)
    assert "BMS_Limits(" in shown and "DischargeCurrent: 100.0 A" in shown


def test_i2c_tools_see_the_chip_and_read_a_cell(board: Board, case: Case) -> None:
    """Before the daemon starts: address 0x08 answers, and register 0x14 is the lowest cell in millivolts."""
    found = subprocess.run(["i2cdetect", "-y", "1"], capture_output=True, text=True, check=True).stdout
    transfer = ["i2ctransfer", "-y", "1", "w1@0x08", "0x14", "r2"]
    read = subprocess.run(transfer, capture_output=True, text=True, check=True).stdout
    case.saw("i2cdetect -y 1; " + " ".join(transfer), found + read, 10)
    addresses = {word for line in found.splitlines()[1:] for word in line.split(":")[1].split() if word != "--"}
    low, high = (int(word, 16) for word in read.split())
    assert addresses == {"08"}
    assert abs((high << 8 | low) - 1e3 * board.rig.ask("state")["cell_v"][0]) < 5.0


def test_a_broker_hears_of_the_pack(board: Board, case: Case) -> None:
    """The gateway as a process and user of its own, a real mosquitto, mosquitto_sub as the witness."""
    board.run_beside(["mosquitto", "-p", "1883"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    board.closed()
    gateway = ["setpriv", "--reuid", "bms-gateway", "--regid", "bms", "--clear-groups", "bms-daemon", "gateway"]
    board.run_beside([*gateway, "/etc/bms-daemon/pack1.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    topic = "bms/house/pack1/state"
    listen = ["mosquitto_sub", "-C", "1", "-W", "20", "-t", topic]
    heard = subprocess.run(listen, capture_output=True, text=True, check=True).stdout
    case.saw(f"mosquitto_sub -C 1 -t {topic}", heard)
    assert json.loads(heard)["state"].lower() == "closed"
