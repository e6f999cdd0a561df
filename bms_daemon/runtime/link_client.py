"""The other end of the link, for the gateway and the command line."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from bms_daemon.runtime.messages import MAX_OUT_BYTES, SCHEMA, Action, Malformed, Reply, encode

_EVENTS_KEPT = 256
_READS_PER_WAKE = 16


class LinkUnavailable(ConnectionError):
    """The core cannot be reached, went away, or does not answer; the text says which."""


class LinkClient:
    """``async with LinkClient(path) as link: async for message in link: ...``

    Iterating gives snapshots (the newest wins) and events (the last 256), as dicts with a ``kind``.
    Every wait is bounded by ``timeout_s`` except iterating, which ends with LinkUnavailable when the core goes.
    """

    def __init__(self, path: Path, role: str = "cli", timeout_s: float = 3.0) -> None:
        self._path = path
        self._role = role
        self._timeout_s = timeout_s
        self._sock: socket.socket | None = None
        self._gone = ""
        self._snapshot: dict[str, Any] | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._news = asyncio.Event()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def __aenter__(self) -> LinkClient:
        self._loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._loop.sock_connect(sock, str(self._path))
        except OSError as error:
            sock.close()
            raise LinkUnavailable(f"no core on {self._path}: {error.strerror or error}") from None
        self._sock = sock
        self._loop.add_reader(sock, self._readable)
        try:
            await self._ask("hello", {"kind": "hello", "schema": SCHEMA, "role": self._role})
        except (LinkUnavailable, Malformed) as error:
            self.close()
            raise LinkUnavailable(str(error)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None
        self._lose("closed")

    def __aiter__(self) -> LinkClient:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while True:
            if self._events:
                return self._events.popleft()
            if self._snapshot is not None:
                message, self._snapshot = self._snapshot, None
                return message
            if self._gone:
                raise LinkUnavailable(self._gone)
            self._news.clear()
            await self._news.wait()

    async def request(
        self, action: Action, code: str = "", expires_in_s: float = 5.0, request_id: str | None = None
    ) -> Reply:
        """Ask the core for something; the same ``request_id`` twice acts once. Raises LinkUnavailable."""
        name = request_id or os.urandom(8).hex()
        message = {"kind": "request", "id": name, "action": action, "expires_in_s": expires_in_s}
        message |= {"sent_s": time.monotonic()} | ({"code": code} if code else {})
        try:
            answer = await self._ask(f"reply {name}", message)
        except Malformed as error:
            return Reply(name, False, str(error))
        return Reply(name, answer.get("accepted") is True, str(answer.get("reason", "")))

    async def events(self, last: int) -> list[dict[str, Any]]:
        """The core's last events, oldest first. Raises LinkUnavailable, Malformed."""
        answer = await self._ask("events", {"kind": "events", "last": last})
        return list(answer.get("events", []))

    async def _ask(self, key: str, message: dict[str, Any]) -> dict[str, Any]:
        """Send and wait for the answer of that key; an ``error`` message fails every question that is open."""
        answer = self._answers.setdefault(key, self._loop.create_future())
        try:
            self._send(message)
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            raise LinkUnavailable(f"the core on {self._path} does not answer") from None
        finally:
            self._answers.pop(key, None)
            answer.cancel()

    def _send(self, message: dict[str, Any]) -> None:
        if self._sock is None or self._gone:
            raise LinkUnavailable(self._gone or "not connected")
        try:
            self._sock.send(encode(message))
        except OSError as error:
            raise LinkUnavailable(f"the core on {self._path} takes no message: {error.strerror}") from None

    def _readable(self) -> None:
        assert self._sock is not None
        for _ in range(_READS_PER_WAKE):
            try:
                data = self._sock.recv(MAX_OUT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._sock)
                self._lose(f"the core on {self._path} closed the link")
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind == "snapshot":
            self._snapshot = message
        elif kind == "event":
            self._events.append(message)
        elif kind == "error":
            self._fail(Malformed(str(message.get("reason"))))
        else:
            key = f"reply {message.get('id')}" if kind == "reply" else str(kind)
            waiter = self._answers.get(key)
            if waiter is not None and not waiter.done():
                waiter.set_result(message)
        self._news.set()

    def _lose(self, reason: str) -> None:
        self._gone = self._gone or reason
        self._fail(LinkUnavailable(reason))
        self._news.set()

    def _fail(self, error: Exception) -> None:
        for waiter in self._answers.values():
            if not waiter.done():
                waiter.set_exception(error)
