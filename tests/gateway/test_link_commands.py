"""status, events and request against a core's socket, as a shell sees them."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.full_snapshot import snapshot

from bms_daemon.commands import events, request, status
from bms_daemon.runtime.link import LinkServer
from bms_daemon.runtime.messages import LinkRequest
from bms_daemon.runtime.plain import plain


class Core:
    """A link server on a loop of its own, publishing every 20 ms; refuses to close."""

    def __init__(self, path: Path) -> None:
        self.requests: list[LinkRequest] = []
        self._path = path
        self._stop = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(5.0)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _take(self, asked: LinkRequest) -> str | None:
        self.requests.append(asked)
        return "not armed\x1b[2J" if asked.action == "close" else None

    async def _serve(self) -> None:
        server = LinkServer(self._path, self._take)
        server.start()
        server.event({"code": "CELL_OV", "text": "a\x1b[2J"})
        server.event({"code": "WELD"})
        self._up.set()
        while not self._stop.is_set():
            server.publish(plain(snapshot()))
            await asyncio.sleep(0.02)
        server.close()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    running = Core(tmp_path / "s")
    yield running
    running.stop()


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(required=True)
    for module in (status, events, request):
        module.add_parser(subparsers)
    args = parser.parse_args(words)
    code: int = args.run(args)
    return code


def test_status_shows_state_cells_limits_and_faults(
    core: Core, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("status", "--socket", str(tmp_path / "s")) == 0
    shown = capsys.readouterr().out
    for words in (
        "recovery_charge",
        "3.300 V (#1) to 3.400 V (#16)",
        "21.5 degC (#1) to 21.5 degC (#1), 1 unknown",
        "charge limit     0.0 A, 0 W: fault",
        "CELL_OV: block_c, latched at #4, 3.66 against 3.65",
        "soc              unknown",
        "left             unknown",
        "health           capacity 94.2 % +- 1.1 %, resistance 131 % +- 4 % (from: partial charge)",
        "power for 10 s   charge 2.70 kW: rated, discharge 5.26 kW: cell_voltage",
        "link unknown",
        "-12.5 A",
    ):
        assert words in shown


def test_status_as_json_is_the_whole_snapshot(core: Core, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", "--json", "--socket", str(tmp_path / "s")) == 0
    got = json.loads(capsys.readouterr().out)
    assert got == json.loads(json.dumps(plain(snapshot()))) | {"kind": "snapshot"}


def test_events_prints_the_last_ones_one_a_line(core: Core, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("events", "--last", "1", "--socket", str(tmp_path / "s")) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"code": "WELD"}]
    assert call("events", "--socket", str(tmp_path / "s")) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "action", "code"),
    [
        (("open",), "open", ""),
        (("clear", "CELL_OV"), "clear", "CELL_OV"),
        (("recovery-charge",), "recovery_charge", ""),
    ],
)
def test_an_accepted_request_exits_0(
    core: Core, tmp_path: Path, words: tuple[str, ...], action: str, code: str
) -> None:
    assert call("request", *words, "--socket", str(tmp_path / "s")) == 0
    (asked,) = core.requests
    assert (asked.action, asked.code) == (action, code)


def test_a_refused_request_exits_1_and_says_why(core: Core, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("request", "close", "--socket", str(tmp_path / "s")) == 1
    assert capsys.readouterr().err == "refused: not armed\\x1b[2J\n"


@pytest.mark.parametrize("words", [("status",), ("events",), ("request", "open")])
def test_without_a_core_every_command_exits_69_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert call(*words, "--socket", str(tmp_path / "none")) == 69
    assert "bms-daemon run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("events", "--last", "1000", "--socket", "s"),
        ("request", "explode", "--socket", "s"),
        ("request", "clear", "--socket", "s"),
    ],
)
def test_wrong_usage_exits_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(*words)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
