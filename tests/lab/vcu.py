"""A vehicle controller made of can-utils: canplayer repeats requests, cansend says what it is told."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from board import Board
from helpers.j1850 import j1850
from rig import until

REQUEST_ID, DATA_ID = 0x102, 0xB102  # dbc/bms.dbc: VCU_Request and its E2EDataId
NONE, OPEN, CLOSE = 0, 1, 2
COUNTS = 15
PERIOD_S = 0.1


def frame(request: int, counter: int, moving: int = 0, data_id: int = DATA_ID) -> bytes:
    """One VCU_Request."""
    body = bytes([request << 4 | counter, moving, 0, 0, 0, 0, 0])
    return bytes([j1850(data_id.to_bytes(2, "little") + body)]) + body


def spoilt(data: bytes) -> bytes:
    """The frame with a wrong checksum."""
    return bytes([data[0] ^ 0xFF]) + data[1:]


def send(text: str) -> None:
    """``cansend can0 TEXT``."""
    subprocess.run(["cansend", "can0", text], check=True)


def as_text(data: bytes, frame_id: int = REQUEST_ID) -> str:
    return f"{frame_id:03X}#{data.hex().upper()}"


def recording(path: Path, request: int, change: Callable[[bytes], bytes] = bytes, frozen: bool = False) -> Path:
    """A log for canplayer: a full turn of the counter, so that it can be repeated for ever."""
    frames = [change(frame(request, 0 if frozen else counter)) for counter in range(COUNTS)]
    lines = [f"({k * PERIOD_S:.6f}) can0 {as_text(data)}" for k, data in enumerate(frames)]
    path.write_text("\n".join(lines) + "\n")
    return path


def playing(log: Path) -> list[str]:
    """The command that repeats a log for ever; the last frame's own period lies between two rounds."""
    return ["canplayer", "-I", str(log), "-l", "i", "-g", str(int(PERIOD_S * 1000))]


def speak(board: Board, request: int = NONE, **how: Any) -> subprocess.Popen[bytes]:
    """A controller that repeats one request."""
    log = recording(board.folder / f"vcu-{request}.log", request, **how)
    return board.run_beside(playing(log))


def hush(player: subprocess.Popen[bytes]) -> float:
    """The controller dies; returns when."""
    player.kill()
    player.wait()
    return time.monotonic()


def standing_by(board: Board) -> None:
    """A pack that a controller has asked to open, and that would follow a close."""
    board.ready()
    player = speak(board, OPEN)
    until(lambda: board.state == "standby", "standby")
    time.sleep(0.5)
    hush(player)


def closed_by_controller(board: Board) -> subprocess.Popen[bytes]:
    """A pack that closed because a controller asked for it, first open, then close."""
    standing_by(board)
    player = speak(board, CLOSE)
    until(lambda: board.state == "closed" and board.rig.closed, "closed")
    return player
