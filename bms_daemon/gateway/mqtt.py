"""The pack on MQTT, by aiomqtt (the present name of asyncio-mqtt, 2.5 or later).

The broker is never waited for: what it does not take stays in a bounded outbox where the newest wins. A connection
that ends is made again, after 1 s at first and 30 s at most. MQTT 5 is needed for the packet size limit and to see
the retain flag of live messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bms_daemon.config.schema import Mqtt
from bms_daemon.gateway.commands import CommandGate
from bms_daemon.gateway.follower import Follower
from bms_daemon.gateway.outbox import Letter, Outbox
from bms_daemon.gateway.topics import LEAVES, OFFLINE, ONLINE, command_of, messages_of
from bms_daemon.runtime.messages import Ask, Malformed, Reply, encode

BACKOFF_MIN_S = 1.0
BACKOFF_MAX_S = 30.0
TIMEOUT_S = 10.0
KEEPALIVE_S = 15
MAX_PACKET_BYTES = 8192
log = structlog.get_logger("mqtt")


def next_backoff_s(backoff_s: float) -> float:
    """Twice as long, 30 s at most."""
    return min(2.0 * backoff_s, BACKOFF_MAX_S)


class MqttBridge:
    """One node's topics on one broker. ``stale_s``: without a snapshot for so long, the pack is offline."""

    def __init__(self, mqtt: Mqtt, base: str, follower: Follower, stale_s: float, info: Mapping[str, Any]) -> None:
        self.outbox = Outbox()
        self.gate = CommandGate()
        self.reconnects = 0
        self._mqtt = mqtt
        self._base = base
        self._follower = follower
        self._stale_s = stale_s
        self._info = encode(dict(info))
        self._online: bool | None = None
        self._next_s = float("-inf")
        follower.listeners.append(self.take)

    def take(self, message: dict[str, Any]) -> None:
        """A message of the link, into the outbox; snapshots at most every ``period_s``."""
        if message.get("kind") == "event":
            self.outbox.queue(Letter(f"{self._base}/event", encode(_body(message)), qos=1))
            return
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._mqtt.period_s
        for leaf, payload in messages_of(message).items():
            self.outbox.put(Letter(f"{self._base}/{leaf}", encode(payload)))

    async def run(self) -> None:
        """For ever: connect, publish, listen, and come back."""
        backoff_s = BACKOFF_MIN_S
        while True:
            connected = False
            try:
                async with self._client() as client:
                    connected = True
                    await self._serve(client)
            except* (aiomqtt.MqttError, OSError) as errors:
                log.warning("broker lost", code="mqtt", host=self._mqtt.host, reason=str(errors.exceptions[0]))
            backoff_s = BACKOFF_MIN_S if connected else backoff_s
            self.reconnects += 1
            await asyncio.sleep(backoff_s)
            backoff_s = next_backoff_s(backoff_s)

    async def _serve(self, client: aiomqtt.Client) -> None:
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        await client.subscribe(f"{self._base}/cmd/+", options=options)
        await client.publish(f"{self._base}/info", self._info, qos=1, retain=True)
        log.info("broker found", code="mqtt", host=self._mqtt.host)
        self._online = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce(client))
                tasks.create_task(self._send(client))
                tasks.create_task(self._listen(client))
        except asyncio.CancelledError:
            await self._say_offline(client)
            raise

    async def _announce(self, client: aiomqtt.Client) -> None:
        """Availability: online while snapshots arrive, offline (and nothing of the last values) when they do not."""
        topic = f"{self._base}/availability"
        while True:
            online = self._follower.snapshot_age_s <= self._stale_s
            if online is not self._online:
                await client.publish(topic, ONLINE if online else OFFLINE, qos=1, retain=True)
                self._online = online
            if not online:
                self.outbox.forget({f"{self._base}/{leaf}" for leaf in LEAVES})
            await asyncio.sleep(self._stale_s / 6.0)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            letter = await self.outbox.take()
            try:
                await client.publish(letter.topic, letter.payload, qos=letter.qos, retain=letter.retain)
            except (aiomqtt.MqttError, asyncio.CancelledError):
                self.outbox.put_back(letter)
                raise

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            name = command_of(self._base, str(message.topic))
            if name is not None and isinstance(message.payload, bytes):
                await self._command(name, message.payload, message.retain)

    async def _command(self, name: str, payload: bytes, retained: bool) -> None:
        try:
            ask = self.gate.admit(name, payload, retained, asyncio.get_running_loop().time())
        except Malformed as error:
            self._answer(name, Reply("", False, str(error)))
            return
        if ask is not None:
            self._answer(name, await self._ask(ask))

    async def _ask(self, ask: Ask) -> Reply:
        reply = await self._follower.request(ask)
        log.info("command", code="command", action=ask.action, id=ask.id, accepted=reply.accepted, reason=reply.reason)
        return reply

    def _answer(self, name: str, reply: Reply) -> None:
        payload = {"id": reply.id or None, "accepted": reply.accepted, "reason": reply.reason}
        self.outbox.queue(Letter(f"{self._base}/cmd/{name}/reply", encode(payload), qos=1))

    async def _say_offline(self, client: aiomqtt.Client) -> None:
        """At a clean end the broker sends no last will, so the bridge says it itself."""
        try:
            await client.publish(f"{self._base}/availability", OFFLINE, qos=1, retain=True, timeout=1.0)
        except aiomqtt.MqttError as error:
            log.warning("offline not said", code="mqtt", reason=str(error))

    def _client(self) -> aiomqtt.Client:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        return aiomqtt.Client(
            self._mqtt.host,
            self._mqtt.port,
            username=self._mqtt.username,
            password=_password(self._mqtt),
            will=aiomqtt.Will(f"{self._base}/availability", OFFLINE, qos=1, retain=True),
            protocol=aiomqtt.ProtocolVersion.V5,
            properties=properties,
            timeout=TIMEOUT_S,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=32,
            max_queued_outgoing_messages=64,
            logger=_quiet(),
        )


def _body(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "kind"}


def _password(mqtt: Mqtt) -> str | None:
    """Read anew at every connection, so that a changed file needs no restart. Raises OSError."""
    return mqtt.password_file.read_text(encoding="utf-8").strip() if mqtt.password_file else None


def _quiet() -> logging.Logger:
    """paho's own log: its full queue of a flood would be a line a message."""
    logger = logging.getLogger("bms_daemon.paho")
    logger.setLevel(logging.CRITICAL)
    return logger
