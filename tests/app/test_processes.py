"""Core and gateway as the processes that they are, with a real broker between the gateway and the world."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from daemon_bench import DEMO

from bms_daemon.offline.bench_broker import Broker

BASE = "bms/site1/pack7"
TIMEOUT_S = 30.0


@pytest.fixture
def port(broker: Broker) -> int:
    return broker.port


def configuration(folder: Path, port: int) -> Path:
    """The demo's file, moved into a folder, under another name, with a broker."""
    text = DEMO.read_text(encoding="utf-8")
    for old, new in (
        ("results/demo.journal", str(folder / "journal")),
        ("results/demo.sock", str(folder / "sock")),
        ('name = "demo"', 'name = "pack7"'),
        ('site = "home"', 'site = "site1"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "pack7.toml"
    path.write_text(f'{text}\n[gateway.mqtt]\nhost = "127.0.0.1"\nport = {port}\nperiod_s = 0.5\n', encoding="utf-8")
    return path


class World:
    """What the broker has carried, and the daemon's process."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.got: list[tuple[str, bytes, bool]] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.got.append((str(message.topic).removeprefix(f"{BASE}/"), message.payload, message.retain))

    def of(self, leaf: str) -> list[Any]:
        return [payload for topic, payload, _ in self.got if topic == leaf]

    @property
    def state(self) -> str:
        states = self.of("state")
        return json.loads(states[-1])["state"] if states else "none"

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 the daemon is another process
                await asyncio.sleep(0.02)


@asynccontextmanager
async def world(port: int) -> AsyncIterator[World]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        here = World(client)
        await client.subscribe(f"{BASE}/#", qos=1)
        task = asyncio.create_task(here.listen())
        try:
            yield here
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def running(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bms_daemon"]
    subprocess.run([*command, "commission", str(config)], check=True, stdout=subprocess.DEVNULL)
    with log.open("wb") as errors:
        process = subprocess.Popen([*command, "run", str(config)], stdout=subprocess.DEVNULL, stderr=errors)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_pack_is_seen_and_opened_through_a_broker_and_retained_commands_are_ignored(
    port: int, tmp_path: Path
) -> None:
    config, log = configuration(tmp_path, port), tmp_path / "log"

    async def scene() -> None:
        async with world(port) as here:
            order = json.dumps({"id": "old", "expires_in_s": 30})
            await here.client.publish(f"{BASE}/cmd/open", order, qos=1, retain=True)
            with running(config, log) as process:
                await here.until(lambda: here.state == "closed")
                (gateway,) = children_of(process.pid)
                for leaf in ("limits", "cells", "info"):
                    assert here.of(leaf), leaf
                assert len(json.loads(here.of("cells")[-1])["cell_v"]) == 16
                assert here.of("availability")[-1] == b"online"
                assert here.of("cmd/open/reply") == [], "a retained command is not even answered"
                order = json.dumps({"id": "o1", "expires_in_s": 5})
                await here.client.publish(f"{BASE}/cmd/open", order, qos=1)
                await here.until(lambda: here.of("cmd/open/reply") and here.state == "standby")
                assert json.loads(here.of("cmd/open/reply")[0]) == {"id": "o1", "accepted": True, "reason": ""}
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 15.0)
                assert process.returncode == 0
                with pytest.raises(ProcessLookupError):
                    os.kill(gateway, 0)
            await here.until(lambda: here.of("availability")[-1] == b"offline")
        await late_listener()

    async def late_listener() -> None:
        async with world(port) as late:
            await late.until(lambda: late.of("info") and late.of("availability"))
            retained = {topic: payload for topic, payload, kept in late.got if kept}
            assert retained["availability"] == b"offline"
            assert json.loads(retained["info"])["name"] == "pack7"
            assert "state" not in retained, "values of a pack that may be gone are not kept"

    asyncio.run(scene())
    lines = [json.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    told = [line["code"] for line in lines if line.get("kind") == "state"]
    assert told[0] == "safe" and {"self_test", "standby", "precharge", "closed", "opening"} <= set(told)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_a_killed_gateway_is_started_again_and_the_core_goes_on(port: int, tmp_path: Path) -> None:
    config = configuration(tmp_path, port)

    async def scene() -> None:
        async with world(port) as here:
            with running(config, tmp_path / "log") as process:
                await here.until(lambda: here.of("state"))
                (gateway,) = children_of(process.pid)
                os.kill(gateway, signal.SIGKILL)
                await here.until(lambda: here.of("availability")[-1] == b"offline")
                tick = json.loads(here.of("state")[-1])["tick"]
                count = len(here.of("state"))
                await here.until(lambda: len(here.of("state")) > count)
                assert children_of(process.pid) != [gateway]
                assert json.loads(here.of("state")[-1])["tick"] > tick, "the same core, not a new one"
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 15.0)
                assert process.returncode == 0

    asyncio.run(scene())
