"""Commands that must not reach the core do not, and a slow broker costs old messages only."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_topics import snapshot

from bms_daemon.config.schema import Mqtt
from bms_daemon.gateway.commands import CommandGate
from bms_daemon.gateway.follower import Follower
from bms_daemon.gateway.mqtt import MqttBridge, next_backoff_s
from bms_daemon.gateway.outbox import Letter, Outbox
from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.messages import Malformed

CLOSE = {"id": "a1", "expires_in_s": 5}


def payload(**changes: Any) -> bytes:
    return json.dumps(CLOSE | changes).encode()


def test_a_command_becomes_a_request_of_the_topics_name() -> None:
    ask = CommandGate().admit("clear", payload(code="CELL_OV"), False, 0.0)
    assert ask is not None
    assert (ask.action, ask.id, ask.code, ask.expires_in_s) == ("clear", "a1", "CELL_OV", 5.0)


def test_a_retained_command_is_ignored_without_an_answer() -> None:
    gate = CommandGate()
    assert gate.admit("close", payload(), True, 0.0) is None
    assert gate.counters.retained == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"close",
        b"{" * 5000,
        b"[" * 2000,
        b" " * 10_000_000,
        b'{"id":"a1"}',
        b'{"id":"a1","expires_in_s":5,"action":"open"}',
        b'{"id":"a1","expires_in_s":5,"sent_s":0}',
        b'{"id":"a1","expires_in_s":5,"code":"X"}',
        b'{"id":"a1","expires_in_s":1e9}',
        b'{"id":{"a":1},"expires_in_s":5}',
    ],
)
def test_a_malformed_command_is_refused_and_counted(bad: bytes) -> None:
    gate = CommandGate()
    with pytest.raises(Malformed):
        gate.admit("close", bad, False, 0.0)
    assert gate.counters.rejected == 1


def test_a_flood_is_cut_to_two_a_second_and_an_open_still_passes() -> None:
    gate = CommandGate()
    admitted = [gate.admit("close", payload(), False, number * 1e-3) for number in range(1000)]
    assert sum(ask is not None for ask in admitted) in (6, 7)
    assert gate.counters.flooded >= 993
    assert gate.admit("open", payload(), False, 1.0) is not None


@given(st.binary(max_size=300), st.sampled_from(["open", "close", "clear", "recovery_charge"]))
def test_fuzzed_payloads_are_requests_or_refused(data: bytes, name: str) -> None:
    try:
        ask = CommandGate().admit(name, data, False, 0.0)
    except Malformed:
        return
    assert ask is not None and ask.action == name and 0.0 <= ask.expires_in_s <= 60.0


def drain(outbox: Outbox) -> list[Letter]:
    async def main() -> list[Letter]:
        return [await outbox.take() for _ in range(len(outbox))]

    return run_manual(main())


def test_the_newest_message_of_a_topic_wins_and_events_go_first() -> None:
    outbox = Outbox()
    outbox.put(Letter("state", b"1"))
    outbox.put(Letter("limits", b"1"))
    outbox.put(Letter("state", b"2"))
    outbox.queue(Letter("event", b"e", qos=1))
    assert [letter.payload for letter in drain(outbox)] == [b"e", b"2", b"1"]
    assert outbox.lost == 1


def test_the_outbox_is_bounded_and_drops_the_oldest() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.queue(Letter("event", str(number).encode(), qos=1))
        outbox.put(Letter(f"topic{number}", b""))
    letters = drain(outbox)
    assert [letter.payload for letter in letters if letter.qos] == [str(n).encode() for n in range(800, 1000)]
    assert letters[-1].topic == "topic999"
    assert len(letters) == 264
    assert outbox.lost == 800 + 936


def test_an_unsent_letter_goes_back_unless_a_newer_one_is_there() -> None:
    outbox = Outbox()
    outbox.put(Letter("state", b"new"))
    outbox.put_back(Letter("state", b"old"))
    outbox.queue(Letter("event", b"2", qos=1))
    outbox.put_back(Letter("event", b"1", qos=1))
    assert [letter.payload for letter in drain(outbox)] == [b"1", b"2", b"new"]


def test_stale_topics_are_forgotten() -> None:
    outbox = Outbox()
    outbox.put(Letter("state", b""))
    outbox.put(Letter("info", b""))
    outbox.forget({"state", "cells"})
    assert [letter.topic for letter in drain(outbox)] == ["info"]


def test_a_waiting_taker_wakes_with_the_first_letter() -> None:
    async def main() -> Letter:
        outbox = Outbox()
        asyncio.get_running_loop().call_later(3.0, outbox.put, Letter("state", b"x"))
        return await outbox.take()

    assert run_manual(main()).payload == b"x"


def test_backing_off_doubles_up_to_thirty_seconds() -> None:
    waits = [1.0]
    while waits[-1] < 30.0:
        waits.append(next_backoff_s(waits[-1]))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert next_backoff_s(30.0) == 30.0


class DeadBroker:
    """A client whose connection ends with the first publish."""

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        raise aiomqtt.MqttError("gone")


def test_an_event_that_the_broker_did_not_take_is_sent_again_later() -> None:
    async def main() -> list[bytes]:
        bridge = MqttBridge(Mqtt(host="h"), "b", Follower(Path("s")), 1.0, {})
        bridge.take({"kind": "event", "code": "A"})
        bridge.take({"kind": "event", "code": "B"})
        with pytest.raises(aiomqtt.MqttError):
            await bridge._send(cast(aiomqtt.Client, DeadBroker()))
        return [(await bridge.outbox.take()).payload for _ in range(2)]

    assert run_manual(main()) == [b'{"code":"A"}', b'{"code":"B"}']


def test_snapshots_go_out_once_a_period() -> None:
    async def main() -> list[int]:
        bridge = MqttBridge(Mqtt(host="h", period_s=1.0), "b", Follower(Path("s")), 1.0, {})
        sent = []
        for _ in range(12):  # 3 s of 0.25 s
            bridge.take({"kind": "snapshot"} | snapshot())
            sent.append(len(bridge.outbox))
            bridge.outbox.forget({"b/state", "b/limits", "b/cells", "b/estimate"})
            await asyncio.sleep(0.25)
        return sent

    assert run_manual(main()) == [4, 0, 0, 0] * 3
