"""The core's door: snapshots out without waiting, requests in after checking, and nobody can hold it up."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.link import LinkServer
from bms_daemon.runtime.link_client import LinkClient, LinkUnavailable
from bms_daemon.runtime.lock import AlreadyRunning, InstanceLock
from bms_daemon.runtime.messages import LinkRequest


class Core:
    """A server that writes down what reached it and refuses ``close`` when told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[LinkRequest] = []
        self.refusal: str | None = None
        self.server = LinkServer(path, self.take)

    def take(self, request: LinkRequest) -> str | None:
        self.requests.append(request)
        return self.refusal


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Core]:
    core = Core(path)
    core.server.start()
    try:
        yield core
    finally:
        core.server.close()


def raw_client(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(str(path))
    sock.setblocking(False)
    return sock


def say(sock: socket.socket, message: dict[str, Any]) -> None:
    sock.send(json.dumps(message).encode())


def heard(sock: socket.socket) -> list[dict[str, Any]]:
    messages = []
    while True:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return messages
        if not data:
            return messages
        messages.append(json.loads(data))


HELLO = {"kind": "hello", "schema": 1, "role": "test"}
OPEN = {"kind": "request", "id": "1", "action": "open", "expires_in_s": 5}


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "core.sock"


Runner = Callable[[Any], Any]


@pytest.fixture(params=["manual", "real"])
def drive(request: pytest.FixtureRequest) -> Runner:
    return run_manual if request.param == "manual" else asyncio.run


def test_a_snapshot_and_an_event_reach_a_client(drive: Runner, path: Path) -> None:
    async def main() -> list[dict[str, Any]]:
        async with serving(path) as core, LinkClient(path) as link:
            core.server.publish({"tick": 1, "soc": float("nan")})
            core.server.event({"code": "CELL_OV"})
            return [await anext(link), await anext(link)]

    got = sorted(drive(main()), key=lambda message: message["kind"])
    assert got == [{"kind": "event", "code": "CELL_OV"}, {"kind": "snapshot", "tick": 1, "soc": None}]


def test_a_request_reaches_the_core_with_its_deadline_and_origin(drive: Runner, path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core, LinkClient(path, role="gateway") as link:
            reply = await link.request("clear", "CELL_OV", expires_in_s=4.0)
            assert reply.accepted
            (request,) = core.requests
            assert (request.action, request.code, request.id) == ("clear", "CELL_OV", reply.id)
            assert request.origin == f"gateway/{os.getuid()}"
            assert request.deadline_s == pytest.approx(asyncio.get_running_loop().time() + 4.0, abs=1.0)

    drive(main())


def test_a_refusal_comes_back_with_its_reason(drive: Runner, path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core, LinkClient(path) as link:
            core.refusal = "latched: CELL_OV"
            reply = await link.request("close")
            assert not reply.accepted
            assert reply.reason == "latched: CELL_OV"

    drive(main())


def test_the_same_id_twice_acts_once_even_from_another_client(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            for _ in range(2):
                async with LinkClient(path) as link:
                    assert (await link.request("open", request_id="same")).accepted
                    core.refusal = "no"
            assert len(core.requests) == 1

    run_manual(main())


@pytest.mark.parametrize("expires_in_s", [0, 0.5])
def test_a_request_that_waited_longer_than_its_expiry_is_not_acted_on(path: Path, expires_in_s: float) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO)
                say(sock, OPEN | {"expires_in_s": expires_in_s, "sent_s": time.monotonic() - 1.0})
                await turns()
                assert heard(sock)[-1] == {"kind": "reply", "id": "1", "accepted": False, "reason": "expired"}
                assert not core.requests

    asyncio.run(main())


def test_a_flood_of_requests_is_limited_and_an_open_still_gets_through(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO)
                for number in range(40):
                    say(sock, OPEN | {"action": "close", "id": f"c{number}"})
                say(sock, OPEN)
                await asyncio.sleep(5.0)
                actions = [request.action for request in core.requests]
                assert actions[-1] == "open"
                assert 10 <= actions.count("close") <= 35
                assert core.server.counters.rejected == 40 - actions.count("close")

    run_manual(main())


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"{}", b'{"kind":"nuke"}', b'{"kind":["request"]}', b"x" * 5000, b'{"kind":"request","id":"1"}'],
)
def test_rubbish_is_counted_answered_and_not_acted_on(path: Path, data: bytes) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO)
                sock.send(data)
                await turns()
                assert heard(sock)[-1]["kind"] == "error"
            assert core.server.counters.rejected == 1
            assert not core.requests

    run_manual(main())


def test_nothing_is_taken_before_hello_and_no_snapshot_given(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, OPEN)
                await turns()
                core.server.publish({"tick": 1})
                assert [message["kind"] for message in heard(sock)] == ["hello", "error"]
                assert core.server.clients == 0
            assert not core.requests

    run_manual(main())


def test_a_client_of_a_newer_schema_is_told_so(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO | {"schema": 2})
                await turns()
                assert "schema 2" in heard(sock)[-1]["reason"]
                assert core.server.clients == 0

    run_manual(main())


def test_rubbish_from_one_client_is_read_slowly(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                for _ in range(50):
                    sock.send(b"rubbish")
                await asyncio.sleep(1.05)
                assert 8 <= core.server.counters.rejected <= 12

    run_manual(main())


def test_a_client_that_does_not_read_loses_snapshots_and_gets_the_newest_at_last(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO)
                await turns()
                for tick in range(1, 501):
                    core.server.publish({"tick": tick, "ballast": "x" * 4000})
                assert core.server.counters.lost > 400
                ticks = []
                for _ in range(100):
                    ticks += [message["tick"] for message in heard(sock) if message["kind"] == "snapshot"]
                    await turns()
                assert ticks[-1] == 500
                assert ticks == sorted(set(ticks))

    run_manual(main())


def test_publishing_to_stuck_clients_stays_cheap(path: Path) -> None:
    async def main() -> float:
        async with serving(path) as core:
            socks = [raw_client(path) for _ in range(8)]
            await turns()
            for sock in socks:
                say(sock, HELLO)
            await turns()
            started_s = time.process_time()
            for tick in range(500):
                core.server.publish({"tick": tick, "ballast": [3.3] * 100})
            cost_s = (time.process_time() - started_s) / 500
            for sock in socks:
                sock.close()
            return cost_s

    assert run_manual(main()) < 1e-3


def test_no_more_than_eight_clients_are_served(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core:
            socks = []
            for _ in range(9):
                socks.append(raw_client(path))
                await turns(2)
            assert core.server.counters.turned_away == 1
            for sock in socks:
                sock.close()
            await turns()
            async with LinkClient(path):
                assert core.server.clients == 1

    run_manual(main())


def test_without_descriptors_no_client_is_taken_and_the_loop_does_not_spin(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        tries = 0

        def exhausted(self: socket.socket) -> Any:
            nonlocal tries
            tries += 1
            raise OSError(24, "Too many open files")

        async with serving(path) as core:
            with raw_client(path) as sock:
                with monkeypatch.context() as patch:
                    patch.setattr(socket.socket, "accept", exhausted)
                    await asyncio.sleep(1.05)
                assert 9 <= tries <= 12
                say(sock, HELLO)
                await asyncio.sleep(0.2)
                assert core.server.clients == 1

    run_manual(main())


def test_the_last_events_are_kept_for_those_who_ask(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core, LinkClient(path) as link:
            for number in range(300):
                core.server.event({"number": number, "kind": "not the link's"})
            assert [event["number"] for event in await link.events(3)] == [297, 298, 299]
            assert len(await link.events(256)) == 256
            assert await link.events(0) == []

    run_manual(main())


def test_events_that_do_not_fit_into_a_message_are_left_out_oldest_first(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core, LinkClient(path) as link:
            for number in range(100):
                core.server.event({"number": number, "text": "x" * 2000})
            numbers = [event["number"] for event in await link.events(100)]
            assert numbers and numbers == list(range(100 - len(numbers), 100))

    run_manual(main())


def test_the_socket_is_for_its_owner_and_group_only_and_gone_after_close(path: Path) -> None:
    async def main() -> int:
        async with serving(path):
            return os.stat(path).st_mode

    assert stat.S_IMODE(run_manual(main())) == 0o660
    assert not path.exists()


def test_a_dead_process_socket_is_replaced_and_a_live_one_respected(path: Path) -> None:
    async def main() -> None:
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        dead.bind(str(path))
        dead.close()
        async with serving(path):
            with pytest.raises(AlreadyRunning, match="another instance runs"):
                LinkServer(path, lambda request: None).start()
            async with LinkClient(path):
                pass

    run_manual(main())


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("mine")

    async def main() -> None:
        with pytest.raises(FileExistsError):
            LinkServer(path, lambda request: None).start()

    run_manual(main())
    assert path.read_text() == "mine"


def test_a_core_that_is_not_there_or_goes_away_is_reported(drive: Runner, path: Path) -> None:
    async def main() -> None:
        with pytest.raises(LinkUnavailable, match="no core"):
            await LinkClient(path).__aenter__()
        core = Core(path)
        core.server.start()
        async with LinkClient(path) as link:
            core.server.close()
            with pytest.raises(LinkUnavailable, match="closed the link"):
                await anext(link)
            with pytest.raises(LinkUnavailable):
                await link.request("open")

    drive(main())


def test_a_core_that_hangs_is_not_waited_for(path: Path) -> None:
    async def main() -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(LinkUnavailable, match="does not answer"):
            await LinkClient(path, timeout_s=0.05).__aenter__()
        listener.close()

    asyncio.run(main())


def test_a_request_that_the_core_finds_malformed_is_a_refusal(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as core, LinkClient(path) as link:
            reply = await link.request("clear", "no such code!")
            assert not reply.accepted and "code must be" in reply.reason
            assert not core.requests

    run_manual(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200) | st.sampled_from([b'{"kind":"request"}', b'{"kind":"events"}'])))
def test_fuzzed_datagrams_never_reach_the_core_nor_stop_it(tmp_path_factory: Any, flood: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "s"

    async def main() -> None:
        async with serving(path) as core:
            with raw_client(path) as sock:
                say(sock, HELLO)
                for data in flood:
                    sock.send(data)
                await asyncio.sleep(0.2 + 0.1 * len(flood))
                assert core.server.counters.rejected == len(flood)
            async with LinkClient(path) as link:
                assert (await link.request("open")).accepted
            assert len(core.requests) == 1

    run_manual(main())


def test_a_second_instance_names_the_first_and_gets_the_lock_when_it_is_gone(path: Path) -> None:
    first, second = InstanceLock(path), InstanceLock(path)
    first.acquire()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
