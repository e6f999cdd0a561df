"""The command line in its own process, a configuration in its own folder, and a terminal that knows what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bms_daemon.runtime.link_client import LinkClient

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config/demo.toml"
PI = ROOT / "config/raspberry-pi-16s-lfp.toml"
COMMAND = [sys.executable, "-m", "bms_daemon"]
SEQUENCE = re.compile(r"\x1b\[(?P<argument>[?0-9;]*)(?P<verb>[A-Za-z])|(?P<char>[^\x1b])")


def placed(source: Path, folder: Path) -> Path:
    """A copy whose journal, socket and CAN channel are in the folder alone."""
    text = source.read_text()
    text = re.sub(r'^path = ".*"', f'path = "{folder / "journal"}"', text, flags=re.M)
    text = re.sub(r'^socket = ".*"', f'socket = "{folder / "link"}"', text, flags=re.M)
    copy = folder / "pack.toml"
    copy.write_text(text)
    return copy


def call(*arguments: str | Path, timeout_s: float = 20.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def start(*arguments: str | Path, **streams: int) -> subprocess.Popen[bytes]:
    """Start one command; its streams are pipes unless the caller gives others."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **pipes)  # type: ignore[call-overload,no-any-return]


def unread(*arguments: str | Path) -> tuple[int, bytes]:
    """Run one command whose output has no reader: its exit code and what it wrote to standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    with start(*arguments, stdout=writing) as process:
        os.close(writing)
        told = process.communicate(timeout=20.0)[1]
    return process.returncode, told


def wait_for_state(config: Path, wanted: str, timeout_s: float = 30.0) -> None:
    """Watch the core's link until it shows the state."""
    end_s = time.monotonic() + timeout_s
    while not (config.parent / "link").exists():
        assert time.monotonic() < end_s, "the core did not start"
        time.sleep(0.05)
    asyncio.run(_watch(config.parent / "link", wanted, end_s - time.monotonic()))


async def _watch(link: Path, wanted: str, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s), LinkClient(link) as client:
        async for message in client:
            if message["kind"] == "snapshot" and message["control"]["state"] == wanted:
                return


def frames(log: Path) -> list[tuple[int, bytes]]:
    """Identifier and payload of every line of a candump -L file."""
    lines = [line.split()[2].split("#") for line in log.read_text().splitlines()]
    return [(int(name, 16), bytes.fromhex(data)) for name, data in lines]


class Terminal:
    """What a terminal shows after some bytes: cursor moves, erasing, the alternate buffer. Colours are counted only."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.alternate, self.cursor = False, True
        self.styled = 0
        self._row = self._column = 0
        self._rows = [[" "] * width for _ in range(height)]
        self.pictures: list[str] = []

    def feed(self, data: bytes) -> None:
        for found in SEQUENCE.finditer(data.decode()):
            if found["char"] is None:
                self._obey(found["verb"], found["argument"])
            elif found["char"] == "\n":
                self._row += 1
            elif found["char"] == "\r":
                self._column = 0
            elif self.alternate:
                self._put(found["char"])

    @property
    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self._rows)

    def _put(self, char: str) -> None:
        assert self._column < self.width and self._row < self.height, "written beyond the screen's edge"
        self._rows[self._row][self._column] = char
        self._column += 1

    def _obey(self, verb: str, argument: str) -> None:
        if verb in "hl" and argument == "?1049":
            self.pictures.append(self.text)
            self.alternate = verb == "h"
        elif verb in "hl" and argument == "?25":
            self.cursor = verb == "h"
        elif verb == "H":
            row, column = (int(part) for part in argument.split(";"))
            self._row, self._column = row - 1, column - 1
        elif verb == "K":
            self._rows[self._row][self._column :] = [" "] * (self.width - self._column)
        elif verb == "J":
            self._rows = [[" "] * self.width for _ in range(self.height)]
        elif verb == "m":
            self.styled += 1
        else:
            raise AssertionError(f"unexpected sequence {argument}{verb}")


def environment(without: Sequence[str] = (), **more: str) -> dict[str, str]:
    """This process's environment with changes."""
    return {key: value for key, value in os.environ.items() if key not in without} | more
