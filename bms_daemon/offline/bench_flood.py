"""Floods for benchmarks and tests: on loopback and on a Unix socket only, bounded in count and in time.

``python -m bms_daemon.offline.bench_flood mqtt PORT MESSAGES SECONDS`` or ``... link SOCKET MESSAGES SECONDS``; a
process of its own, so that the flood takes another core's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from bms_daemon.offline.bench_broker import LOOPBACK
from bms_daemon.offline.bench_site import TOPIC
from bms_daemon.runtime.messages import SCHEMA, encode
from bms_daemon.runtime.stopwatch import monotonic_s

RUBBISH = b"[" * 200
BATCH = 100


async def flood_broker(port: int, messages: int, seconds: float) -> int:
    """Commands that the gateway must look at, every second one rubbish; returns how many went out."""
    end_s, sent = monotonic_s() + seconds, 0
    async with aiomqtt.Client(LOOPBACK, port) as client:
        while sent < messages and monotonic_s() < end_s:
            payload = RUBBISH if sent % 2 else json.dumps({"id": f"flood{sent}", "expires_in_s": 5}).encode()
            await client.publish(f"{TOPIC}/cmd/close", payload, qos=0)
            sent += 1
    return sent


def flood_link(path: str, messages: int, seconds: float) -> int:
    """Pings after a hello, as fast as the core takes them; answers are read away. Returns how many went out."""
    end_s, sent = monotonic_s() + seconds, 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(0.2)
        link.connect(path)
        link.send(encode({"kind": "hello", "schema": SCHEMA, "role": "cli"}))
        ping = encode({"kind": "ping"})
        while sent < messages and monotonic_s() < end_s:
            with contextlib.suppress(TimeoutError):
                link.send(ping)
                sent += 1
                link.recv(1 << 20)
    return sent


@asynccontextmanager
async def flooding(kind: str, target: str, messages: int, seconds: float) -> AsyncIterator[None]:
    """A flood beside a block, in a process that ends by itself and is killed at the end of the block."""
    command = [sys.executable, "-m", "bms_daemon.offline.bench_flood", kind, target, str(messages), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def main(arguments: list[str]) -> int:
    """Run one flood and print how many messages went out."""
    kind, target, messages, seconds = arguments
    if kind == "mqtt":
        sent = asyncio.run(flood_broker(int(target), int(messages), float(seconds)))
    else:
        sent = flood_link(target, int(messages), float(seconds))
    sys.stdout.write(f"{sent}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
