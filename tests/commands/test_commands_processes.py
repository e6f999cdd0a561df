"""A core in another process, in real time: asked, watched, refused a twin, and ended in good order."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import DEMO, call, frames, placed, start, unread, wait_for_state

LIMITS, STATE = 0x101, 0x100
STANDBY, CLOSED, OPENING = 2, 4, 5


def finish(process: subprocess.Popen[bytes], timeout_s: float = 10.0) -> str:
    """Wait for the end; what it wrote to standard error."""
    try:
        return process.communicate(timeout=timeout_s)[1].decode()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return placed(DEMO, tmp_path)


@pytest.fixture
def running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo whose pack has closed."""
    process = start("demo", config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_state(config, "closed")
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_running_core_answers_opens_on_request_and_refuses_what_it_does_not_know(
    config: Path, running: subprocess.Popen[bytes]
) -> None:
    follower = start("events", config, "--follow", "--last", "0")
    refused = call("request", "clear", "no_such_fault", config)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("refused: 'no_such_fault' is not latched")
    asked = call("request", "open", config)
    assert (asked.returncode, asked.stdout) == (0, "accepted\n")
    wait_for_state(config, "standby", timeout_s=8.0)
    shown = call("status", config)
    assert shown.returncode == 0 and "\nstate            standby" in shown.stdout
    past = [json.loads(line) for line in call("events", config, "--last", "256").stdout.splitlines()]
    assert unread("status", config) == unread("events", config) == (0, b"")
    twin = call("demo", config, "--for", "1")
    assert twin.returncode == 1 and f"process {running.pid} holds" in twin.stderr
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=10.0) == 0
    out, told = follower.communicate(timeout=5.0)
    states = [event["code"] for event in map(json.loads, out.splitlines()) if event["event"] == "state"]
    assert states[:2] == ["opening", "standby"]
    before = [event["code"] for event in past if event["event"] == "state"]
    assert before[before.index("precharge") :][:4] == ["precharge", "closed", "opening", "standby"]
    assert follower.returncode == 69 and b"closed the link" in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_announces_on_can_then_opens_then_ends_with_0(
    number: signal.Signals, config: Path, tmp_path: Path
) -> None:
    assert call("commission", config).returncode == 0
    log = tmp_path / "can.log"
    process = start("run", config, "--no-gateway", "--can-log", log, stdout=subprocess.DEVNULL)
    try:
        wait_for_state(config, "closed")
        time.sleep(0.3)
    finally:
        process.send_signal(number)
    told = finish(process)
    assert process.returncode == 0, told
    sent = frames(log)
    states = [data[1] >> 4 for frame_id, data in sent if frame_id == STATE]
    assert states[-1] == STANDBY and CLOSED in states
    opening = [at for at, (frame_id, data) in enumerate(sent) if frame_id == STATE and data[1] >> 4 == OPENING]
    announced = [data for frame_id, data in sent[opening[0] - 2 : opening[-1] + 2] if frame_id == LIMITS]
    assert announced and announced[-1][3:7] == bytes(4), "limits are 0 A before the contactor opens"
    assert "standby" in json.loads(told.splitlines()[-1])["event"]


def test_a_signal_while_the_core_is_being_built_ends_it_in_order(config: Path) -> None:
    process = start("demo", config)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    finish(process)
    assert process.returncode == 0


@pytest.mark.parametrize("speed", ["1", "60"])
def test_a_demo_ends_by_itself_after_the_seconds_it_was_given(speed: str, config: Path) -> None:
    started_s = time.monotonic()
    done = call("demo", config, "--for", "1.5", "--speed", speed)
    assert done.returncode == 0, done.stderr
    assert 1.5 <= time.monotonic() - started_s < 8.0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("demo: a simulated pack") and "0/1.5 s" in lines[1]
    assert lines[-1].startswith("demo: ended in ")
    assert {json.loads(line)["level"] for line in done.stderr.splitlines()} <= {"info", "warning"}


def test_an_uncommissioned_pack_stays_open_and_says_why(config: Path) -> None:
    process = start("run", config, "--no-gateway", "--for", "3.5", stdout=subprocess.DEVNULL)
    told = finish(process)
    assert process.returncode == 0
    events = [json.loads(line) for line in told.splitlines()]
    assert any(event.get("code") == "journal_missing" for event in events)
    assert not any(event.get("code") in ("precharge", "closed") for event in events)
