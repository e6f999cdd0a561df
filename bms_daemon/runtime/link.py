"""The core's only door: a Unix SOCK_SEQPACKET socket that gives snapshots and events and takes typed requests.

Nothing here waits. A client that reads slowly loses snapshots (the newest is kept for it), one that floods or sends
rubbish is read a few messages at a time, and one that dies is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bms_daemon.runtime.bucket import TokenBucket
from bms_daemon.runtime.clock import ManualLoop
from bms_daemon.runtime.lock import AlreadyRunning
from bms_daemon.runtime.messages import (
    MAX_EVENTS,
    MAX_IN_BYTES,
    MAX_OUT_BYTES,
    SCHEMA,
    Ask,
    LinkRequest,
    Malformed,
    Reply,
    Scalar,
    decode_flat,
    encode,
    only,
    parse_ask,
    parse_events,
    parse_hello,
)

OnRequest = Callable[[LinkRequest], str | None]
MAX_CLIENTS = 8
REQUESTS_PER_S = 5.0
REQUEST_BURST = 10
READS_PER_WAKE = 4
PAUSE_S = 0.1
IDS_KEPT = 5120  # more than all clients can send within the longest expiry at the permitted rate


@dataclass(slots=True)
class LinkCounters:
    """``rejected``: messages not acted on; ``lost``: snapshots replaced by newer ones, events without room."""

    accepted: int = 0
    refused: int = 0
    rejected: int = 0
    lost: int = 0
    turned_away: int = 0


@dataclass(slots=True, eq=False)
class _Peer:
    sock: socket.socket
    uid: int
    role: str = ""
    requests: TokenBucket = field(default_factory=lambda: TokenBucket(REQUESTS_PER_S, REQUEST_BURST))
    opens: TokenBucket = field(default_factory=lambda: TokenBucket(REQUESTS_PER_S, REQUEST_BURST))
    queue: deque[bytes] = field(default_factory=lambda: deque(maxlen=64))
    snapshot: bytes | None = None
    blocked: bool = False
    resume: asyncio.TimerHandle | None = None


class LinkServer:
    """Serves one core on ``path``. ``on_request`` is called in the loop and returns None, or why it refuses."""

    def __init__(self, path: Path, on_request: OnRequest) -> None:
        self.counters = LinkCounters()
        self._path = path
        self._on_request = on_request
        self._listener: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._peers: list[_Peer] = []
        self._replies: OrderedDict[str, Reply] = OrderedDict()
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._handlers: dict[Scalar, Callable[[_Peer, dict[str, Scalar]], bool]] = {
            "hello": self._hello,
            "request": self._request,
            "events": self._query,
            "ping": self._ping,
        }

    def start(self) -> None:
        """Listen, in the running loop. Raises AlreadyRunning when somebody answers on the socket, OSError otherwise."""
        self._loop = asyncio.get_running_loop()
        _remove_stale(self._path)
        self._listener = _listen(self._path)
        self._loop.add_reader(self._listener, self._accept)

    @property
    def clients(self) -> int:
        """How many said hello. With none, a snapshot need not be rendered."""
        return sum(1 for peer in self._peers if peer.role)

    def publish(self, plain: dict[str, Any]) -> None:
        """Offer a snapshot to every client; the newest wins."""
        self._broadcast(plain | {"kind": "snapshot"}, replaceable=True)

    def event(self, plain: dict[str, Any]) -> None:
        """Send an event to every client and keep it among the last ones."""
        self._events.append(plain)
        self._broadcast(plain | {"kind": "event"}, replaceable=False)

    def close(self) -> None:
        for peer in list(self._peers):
            self._drop(peer)
        if self._resting is not None:
            self._resting.cancel()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ out
    def _broadcast(self, message: dict[str, Any], replaceable: bool) -> None:
        if not self.clients:
            return
        data = encode(message)
        for peer in list(self._peers):
            if peer.role:
                self._offer(peer, data, replaceable)

    def _offer(self, peer: _Peer, data: bytes, replaceable: bool = False) -> None:
        if len(data) > MAX_OUT_BYTES:
            self.counters.lost += 1
            return
        if replaceable:
            self.counters.lost += peer.snapshot is not None
            peer.snapshot = data
        else:
            self.counters.lost += len(peer.queue) == peer.queue.maxlen
            peer.queue.append(data)
        if not peer.blocked:
            self._flush(peer)

    def _flush(self, peer: _Peer) -> None:
        try:
            while peer.queue:
                peer.sock.send(peer.queue[0])
                peer.queue.popleft()
            if peer.snapshot is not None:
                peer.sock.send(peer.snapshot)
                peer.snapshot = None
        except BlockingIOError:
            self._block(peer, True)
        except OSError:
            self._drop(peer)
        else:
            self._block(peer, False)

    def _block(self, peer: _Peer, blocked: bool) -> None:
        if blocked and not peer.blocked:
            self._loop.add_writer(peer.sock, self._flush, peer)
        elif peer.blocked and not blocked:
            self._loop.remove_writer(peer.sock)
        peer.blocked = blocked

    # ------------------------------------------------------------------ in
    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            self._rest()
            return
        if len(self._peers) >= MAX_CLIENTS:
            self.counters.turned_away += 1
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_OUT_BYTES)
        peer = _Peer(sock, _uid(sock))
        self._peers.append(peer)
        self._loop.add_reader(sock, self._readable, peer)
        self._offer(peer, encode({"kind": "hello", "schema": SCHEMA, "role": "core"}))

    def _rest(self) -> None:
        """Take no new client for a moment: no descriptor is left, and the listener stays readable."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._resting = self._loop.call_later(PAUSE_S, self._loop.add_reader, self._listener, self._accept)

    def _drop(self, peer: _Peer) -> None:
        if peer not in self._peers:
            return
        self._peers.remove(peer)
        self._loop.remove_reader(peer.sock)
        self._loop.remove_writer(peer.sock)
        if peer.resume is not None:
            peer.resume.cancel()
        peer.sock.close()

    def _readable(self, peer: _Peer) -> None:
        for _ in range(READS_PER_WAKE):
            try:
                data = peer.sock.recv(MAX_IN_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(peer)
                return
            if not self._message(peer, data):
                self._pause(peer)
                return

    def _pause(self, peer: _Peer) -> None:
        """Read nothing from this client for a moment: its own messages wait, nobody else does."""
        if peer in self._peers:
            self._loop.remove_reader(peer.sock)
            peer.resume = self._loop.call_later(PAUSE_S, self._unpause, peer)

    def _unpause(self, peer: _Peer) -> None:
        peer.resume = None
        self._loop.add_reader(peer.sock, self._readable, peer)

    def _message(self, peer: _Peer, data: bytes) -> bool:
        """Handle one message; False when this client is to be paused."""
        try:
            message = decode_flat(data)
            kind = message.get("kind")
            if kind not in self._handlers:
                raise Malformed("unknown kind")
            if not peer.role and kind != "hello":
                raise Malformed("hello comes first")
            fine = self._handlers[kind](peer, message)
        except Malformed as error:
            self.counters.rejected += 1
            self._offer(peer, encode({"kind": "error", "reason": str(error)}))
            return False
        self.counters.rejected += not fine
        return fine

    def _hello(self, peer: _Peer, message: dict[str, Scalar]) -> bool:
        peer.role = parse_hello(message)
        return True

    def _ping(self, peer: _Peer, message: dict[str, Scalar]) -> bool:
        only(message, "kind")
        self._offer(peer, encode({"kind": "pong"}))
        return True

    def _query(self, peer: _Peer, message: dict[str, Scalar]) -> bool:
        wanted = parse_events(message)
        kept = list(self._events)
        self._offer(peer, _newest_that_fit(kept[max(0, len(kept) - wanted) :]))
        return peer.requests.take(self._loop.time())

    def _request(self, peer: _Peer, message: dict[str, Scalar]) -> bool:
        ask = parse_ask(message)
        bucket = peer.opens if ask.action == "open" else peer.requests
        reply = self._replies.get(ask.id)
        if not bucket.take(self._loop.time()):
            self._reply(peer, Reply(ask.id, False, "too many requests"))
            return False
        self._reply(peer, reply or self._decide(peer, ask))
        return True

    def _decide(self, peer: _Peer, ask: Ask) -> Reply:
        left_s = ask.expires_in_s - self._age_s(ask)
        origin = f"{peer.role}/{peer.uid}"
        if left_s <= 0.0:
            reason: str | None = "expired"
        else:
            request = LinkRequest(ask.id, ask.action, ask.code, self._loop.time() + left_s, origin)
            reason = self._on_request(request)
        reply = Reply(ask.id, reason is None, reason or "")
        self.counters.accepted += reply.accepted
        self.counters.refused += not reply.accepted
        self._replies[ask.id] = reply
        if len(self._replies) > IDS_KEPT:
            self._replies.popitem(last=False)
        return reply

    def _age_s(self, ask: Ask) -> float:
        """How long the request waited in the socket, as when the core was stopped; unknown on manual time."""
        if ask.sent_s is None or isinstance(self._loop, ManualLoop):
            return 0.0
        return max(0.0, time.monotonic() - ask.sent_s)

    def _reply(self, peer: _Peer, reply: Reply) -> None:
        message = {"kind": "reply", "id": reply.id, "accepted": reply.accepted, "reason": reply.reason}
        self._offer(peer, encode(message))


def _newest_that_fit(events: list[dict[str, Any]]) -> bytes:
    while True:
        data = encode({"kind": "events", "events": events})
        if len(data) <= MAX_OUT_BYTES or not events:
            return data
        events = events[(len(events) + 1) // 2 :]


def _uid(sock: socket.socket) -> int:
    """The peer's user id, from the kernel. Source: unix(7), SO_PEERCRED."""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.setblocking(False)
    mask = os.umask(0o117)
    try:
        listener.bind(str(path))
        listener.listen(MAX_CLIENTS)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a dead process. Raises AlreadyRunning when it lives, OSError when the file is no socket."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} exists and is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            except BlockingIOError:
                raise AlreadyRunning(f"another instance runs: {path} has a full queue of clients") from None
            else:
                raise AlreadyRunning(f"another instance runs: it answers on {path}")
