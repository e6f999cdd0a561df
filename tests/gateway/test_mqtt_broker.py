"""The bridge against a real mosquitto: what arrives, what comes back, and what happens when either side goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from test_topics import snapshot

from bms_daemon.config.schema import Mqtt
from bms_daemon.gateway import mqtt as bridge_module
from bms_daemon.gateway.follower import Follower
from bms_daemon.gateway.mqtt import MqttBridge
from bms_daemon.gateway.topics import LEAVES
from bms_daemon.offline.bench_broker import Broker
from bms_daemon.runtime.link import LinkServer
from bms_daemon.runtime.messages import LinkRequest

BASE = "bms/barn/pack1"


class Site:
    """A core's link, a bridge on it, and somebody on the broker who listens."""

    def __init__(self, server: LinkServer, bridge: MqttBridge, requests: list[LinkRequest]) -> None:
        self.server = server
        self.bridge = bridge
        self.requests = requests
        self.got: list[tuple[str, bytes, bool]] = []
        self.observer: aiomqtt.Client

    async def observe(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self.got.append((str(message.topic).removeprefix(BASE + "/"), message.payload, message.retain))

    def of(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload, _ in self.got if topic == leaf]

    async def command(self, name: str, retain: bool = False, **payload: Any) -> None:
        await self.observer.publish(f"{BASE}/cmd/{name}", json.dumps(payload), qos=1, retain=retain)

    def replies(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.of(f"cmd/{name}/reply")]


async def until(condition: Callable[[], object], timeout_s: float = 8.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 the broker is another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def site(port: int, folder: Path, stale_s: float = 0.6) -> AsyncIterator[Site]:
    requests: list[LinkRequest] = []
    server = LinkServer(folder / "s", lambda request: requests.append(request))
    server.start()
    follower = Follower(folder / "s")
    mqtt = Mqtt(host="127.0.0.1", port=port, period_s=0.05)
    bridge = MqttBridge(mqtt, BASE, follower, stale_s, {"version": "0"})
    here = Site(server, bridge, requests)
    async with aiomqtt.Client("127.0.0.1", port) as observer:
        here.observer = observer
        await observer.subscribe(f"{BASE}/#", qos=1)
        tasks = [asyncio.create_task(part) for part in (here.observe(observer), follower.run(), bridge.run())]
        await until(lambda: server.clients == 1)
        try:
            yield here
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.close()


def test_state_limits_cells_event_info_and_availability_arrive(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(broker.port, tmp_path) as here:
            here.server.publish(snapshot())
            here.server.event({"code": "CELL_OV"})
            await until(lambda: here.of("cells") and here.of("event") and b"online" in here.of("availability"))
            assert json.loads(here.of("state")[0])["cell_min_v"] == 3.2
            assert json.loads(here.of("limits")[0])["charge_a"] == 10.0
            assert json.loads(here.of("event")[0]) == {"code": "CELL_OV"}
            assert json.loads(here.of("info")[0]) == {"version": "0"}

    asyncio.run(main())


def test_a_command_reaches_the_core_once_and_its_reply_comes_back(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(broker.port, tmp_path) as here:
            await until(lambda: here.of("info"))
            for _ in range(2):
                await here.command("close", id="a1", expires_in_s=5)
            await until(lambda: len(here.replies("close")) == 2)
            assert here.replies("close") == [{"id": "a1", "accepted": True, "reason": ""}] * 2
            assert [(request.action, request.id) for request in here.requests] == [("close", "a1")]

    asyncio.run(main())


def test_a_retained_command_is_ignored_live_and_when_replayed(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(broker.port, tmp_path) as here:
            await until(lambda: here.of("info"))
            await here.command("close", retain=True, id="a1", expires_in_s=5)
            await here.command("open", id="a2", expires_in_s=5)
            await until(lambda: here.replies("open"))
            assert [request.id for request in here.requests] == ["a2"]
            assert here.bridge.gate.counters.retained == 1
        async with site(broker.port, tmp_path) as here:
            await until(lambda: here.bridge.gate.counters.retained == 1)
            assert not here.requests

    asyncio.run(main())


def test_rubbish_and_huge_commands_do_no_harm(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(broker.port, tmp_path) as here:
            await until(lambda: here.of("info"))
            for payload in (b"\xff", b"[" * 3000, b"x" * 1_000_000):
                await here.observer.publish(f"{BASE}/cmd/close", payload, qos=1)
            await here.command("open", id="a2", expires_in_s=5)
            await until(lambda: here.replies("open"))
            assert [reply["accepted"] for reply in here.replies("close")] == [False, False]
            assert [request.id for request in here.requests] == ["a2"]

    asyncio.run(main())


def test_a_silent_core_is_offline_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(broker.port, tmp_path, stale_s=0.3) as here:
            here.server.publish(snapshot())
            await until(lambda: here.of("availability")[-1:] == [b"online"])
            await until(lambda: here.of("availability")[-1:] == [b"offline"])
            count = len(here.of("state"))
            await asyncio.sleep(0.2)
            assert len(here.of("state")) == count
            here.server.publish(snapshot())
            await until(lambda: here.of("availability")[-1:] == [b"online"])

    asyncio.run(main())


def test_a_clean_end_says_offline_and_leaves_it_retained(broker: Broker, tmp_path: Path) -> None:
    async def main() -> tuple[bytes, bool]:
        async with site(broker.port, tmp_path) as here:
            here.server.publish(snapshot())
            await until(lambda: b"online" in here.of("availability"))
        async with aiomqtt.Client("127.0.0.1", broker.port) as late:
            await late.subscribe(f"{BASE}/availability")
            message = await asyncio.wait_for(anext(late.messages), 5.0)
            assert isinstance(message.payload, bytes)
            return message.payload, message.retain

    assert asyncio.run(main()) == (b"offline", True)


def test_a_broker_that_dies_is_found_again_and_events_are_kept(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "BACKOFF_MIN_S", 0.1)

    async def main() -> None:
        async with site(broker.port, tmp_path) as here:
            await until(lambda: here.of("info"))
            broker.kill()
            await until(lambda: here.bridge.reconnects >= 1)
            here.server.event({"code": "WHILE_AWAY"})
            for tick in range(50):
                here.server.publish(snapshot(tick=tick))
                await asyncio.sleep(0.002)
            assert len(here.bridge.outbox) <= len(LEAVES) + 1
            await broker.start()
            async with aiomqtt.Client("127.0.0.1", broker.port) as late:
                await late.subscribe(f"{BASE}/event", qos=1)
                message = await asyncio.wait_for(anext(late.messages), 8.0)
                assert isinstance(message.payload, bytes)
                assert json.loads(message.payload) == {"code": "WHILE_AWAY"}

    asyncio.run(main())
