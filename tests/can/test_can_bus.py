"""The bus on python-can: virtual loop on manual time, and a driver that fails on demand."""

from __future__ import annotations

import asyncio
import errno
import socket
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import can
import pytest
from can_snapshots import IDENTITY, later, snapshot

from bms_daemon.buses.can import CanBus
from bms_daemon.buses.canlog import FrameLog
from bms_daemon.can.database import load
from bms_daemon.can.receive import Receiver
from bms_daemon.can.transmit import Transmitter
from bms_daemon.config.schema import Can
from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual

Scene = Callable[[], Coroutine[Any, Any, None]]


class Driver:
    """Stands in for python-can's bus: refuses, fails and delivers as told."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.room = 1000
        self.error: int | None = None
        self.inbox: list[can.Message] = []
        self.closed = False

    def send(self, message: can.Message, timeout: float | None = None) -> None:
        assert timeout == 0, "a send must never wait"
        if self.error is not None:
            raise can.CanOperationError("failed", self.error)
        if self.room <= 0:
            raise can.CanOperationError("no room", errno.ENOBUFS)
        self.room -= 1
        self.sent.append(message.arbitration_id)

    def recv(self, timeout: float | None = None) -> can.Message | None:
        assert timeout == 0, "a receive must never wait"
        if self.error is not None:
            raise can.CanOperationError("failed", self.error)
        return self.inbox.pop(0) if self.inbox else None

    def fileno(self) -> int:
        raise NotImplementedError

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> list[Driver | Exception]:
    """What opening a bus gives, one after the other; the last one again and again."""
    queue: list[Driver | Exception] = [Driver()]

    def open_bus(**_: object) -> Driver:
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(can, "Bus", open_bus)
    return queue


def run(scene: Scene) -> None:
    run_manual(scene())


def error_frame(classes: int, data: bytes = bytes(8)) -> can.Message:
    return can.Message(arbitration_id=classes, data=data, is_error_frame=True, is_extended_id=False)


def frames(*ids: int) -> list[tuple[int, bytes]]:
    return [(frame_id, bytes([frame_id & 0xFF])) for frame_id in ids]


def test_frames_cross_a_virtual_bus_and_do_not_come_back():
    async def scene() -> None:
        channel = uuid.uuid4().hex
        here, there = CanBus("virtual", channel), CanBus("virtual", channel)
        heard: list[tuple[int, bytes, float]] = []
        own: list[tuple[int, bytes, float]] = []
        here.start(lambda *frame: own.append(frame))
        there.start(lambda *frame: heard.append(frame))
        await asyncio.sleep(1.0)
        assert here.send([(0x101, b"\x01\x02"), (0x9A0B0C00, b"")]) == 2
        here.poll()
        there.poll()
        assert heard == [(0x101, b"\x01\x02", 1.0), (0x9A0B0C00, b"", 1.0)]
        assert own == []
        here.close()
        there.close()

    run(scene)


def test_a_controller_on_the_virtual_bus_is_heard_and_hears():
    async def scene() -> None:
        channel, database = uuid.uuid4().hex, load()
        bus = CanBus("virtual", channel)
        receiver = Receiver(database, Can())
        sender = Transmitter(database, Can(), IDENTITY)
        bus.start(receiver.accept)
        vcu = can.Bus(interface="virtual", channel=channel, ignore_config=True)
        base, limits = snapshot(), 0
        for tick in range(50):
            now_s = tick * 0.02
            if tick % 5 == 0:
                vcu.send(can.Message(arbitration_id=0x102, data=_open_request(tick // 5), is_extended_id=False))
            bus.poll()
            bus.send(sender.due(later(base, now_s), now_s))
            while (message := vcu.recv(0)) is not None:
                limits += message.arbitration_id == 0x101
            await asyncio.sleep(0.02)
        assert limits == 10
        newest = receiver.newest(1.0)
        assert newest is not None and newest.value is not None and newest.seq == 9
        assert bus.health(1.0).silent_s <= 0.1
        vcu.shutdown()
        bus.close()

    run(scene)


def _open_request(counter: int) -> bytes:
    how = load().protection("VCU_Request")
    assert how is not None
    data = bytearray([0, 0x10 | counter, 0, 0, 0, 0, 0, 0])
    data[0] = how.crc(data)
    return bytes(data)


def test_a_full_queue_keeps_the_rest_for_the_next_call_with_the_limits_first(drivers):
    async def scene() -> None:
        driver = drivers[0]
        bus = CanBus("socketcan", "can0")
        driver.room = 1
        assert bus.send(frames(0x100, 0x101, 0x108)) == 1
        assert bus.health(0.0).silent_s == 0.0
        await asyncio.sleep(0.02)
        driver.room = 10
        assert bus.send(frames(0x106)) == 3
        assert driver.sent == [0x100, 0x101, 0x106, 0x108]
        bus.close()

    run(scene)


def test_a_newer_frame_replaces_the_waiting_one(drivers):
    async def scene() -> None:
        driver = drivers[0]
        driver.room = 0
        bus = CanBus("socketcan", "can0")
        bus.send([(0x101, b"old"), (0x106, b"old")])
        driver.room = 10
        await asyncio.sleep(0.1)
        assert bus.send([(0x101, b"new")]) == 2
        assert bus.dropped == 1
        bus.close()

    run(scene)


def test_frames_that_waited_too_long_are_dropped(drivers):
    async def scene() -> None:
        driver = drivers[0]
        driver.room = 0
        bus = CanBus("socketcan", "can0")
        bus.send(frames(0x101))
        await asyncio.sleep(0.25)
        driver.room = 10
        assert bus.send([]) == 0
        assert bus.dropped == 1
        bus.close()

    run(scene)


def test_the_waiting_queue_is_bounded_and_drops_the_oldest(drivers):
    async def scene() -> None:
        driver = drivers[0]
        driver.room = 0
        bus = CanBus("socketcan", "can0")
        for call in range(10):
            bus.send(frames(*range(0x200 + 16 * call, 0x210 + 16 * call)))
            await asyncio.sleep(0.001)
        driver.room = 1000
        assert bus.send([]) == 64
        assert driver.sent == list(range(0x260, 0x2A0))
        bus.close()

    run(scene)


def test_silence_is_the_time_since_the_last_frame_that_went_out(drivers):
    async def scene() -> None:
        driver = drivers[0]
        bus = CanBus("socketcan", "can0")
        bus.send(frames(0x101))
        driver.room = 0
        for _ in range(30):
            await asyncio.sleep(0.1)
            bus.send(frames(0x101))
        assert bus.health(3.0).silent_s == pytest.approx(3.0)
        bus.close()

    run(scene)


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.ENODEV])
def test_a_lost_interface_is_opened_again_with_back_off(drivers, number):
    async def scene() -> None:
        first, second = drivers[0], Driver()
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *_: None)
        drivers[:] = [OSError(errno.ENODEV, "gone"), OSError(errno.ENODEV, "gone"), second]
        first.error = number
        assert bus.send(frames(0x101)) == 0
        assert first.closed and bus.state == "gone"
        await asyncio.sleep(0.75)
        assert bus.state == "gone"
        await asyncio.sleep(0.1)
        assert bus.state == "active"
        assert bus.send(frames(0x101)) == 1
        assert second.sent == [0x101]
        bus.close()

    run(scene)


def test_an_interface_lost_while_reading_is_noticed_too(drivers):
    async def scene() -> None:
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *_: None)
        drivers[0].error = errno.ENETDOWN
        bus.poll()
        assert bus.state == "gone"
        bus.close()

    run(scene)


@pytest.mark.parametrize(
    ("classes", "data1", "state", "bus_off"),
    [
        (0x40, 0x00, "bus_off", True),
        (0x04, 0x20, "passive", False),
        (0x04, 0x10, "passive", False),
        (0x04, 0x08, "warning", False),
        (0x04, 0x02, "active", False),
        (0x80, 0x30, "active", False),
    ],
)
def test_error_frames_tell_the_state_of_the_controller(drivers, classes, data1, state, bus_off):
    async def scene() -> None:
        heard: list[object] = []
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *frame: heard.append(frame))
        drivers[0].inbox = [error_frame(classes, bytes([0, data1, 0, 0, 0, 0, 0, 0]))]
        bus.poll()
        assert (bus.state, bus.health(0.0).bus_off, heard) == (state, bus_off, [])
        bus.close()

    run(scene)


def test_what_is_sent_during_bus_off_does_not_end_the_silence(drivers):
    async def scene() -> None:
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *_: None)
        drivers[0].inbox = [error_frame(0x40)]
        bus.poll()
        await asyncio.sleep(2.0)
        bus.send(frames(0x101))
        assert bus.health(2.0).silent_s == pytest.approx(2.0)
        drivers[0].inbox = [error_frame(0x100)]
        bus.poll()
        bus.send(frames(0x101))
        assert bus.health(2.0).silent_s == 0.0
        bus.close()

    run(scene)


@pytest.mark.parametrize(
    ("interface", "listens"), [("socketcan", (0x103, 0x102)), ("socketcan", ()), ("virtual", (0x102,))]
)
def test_the_kernel_is_asked_to_filter_where_there_is_one(monkeypatch, interface, listens):
    asked: dict[str, Any] = {}

    async def scene() -> None:
        CanBus(interface, "can0", listens=listens).close()

    monkeypatch.setattr(can, "Bus", lambda **options: asked.update(options) or Driver())
    run(scene)
    wanted = [{"can_id": each, "can_mask": 0x7FF, "extended": False} for each in (0x102, 0x103)]
    assert asked.get("can_filters") == (wanted if interface == "socketcan" and listens else None)


def test_a_flood_is_read_in_bounded_portions(drivers):
    async def scene() -> None:
        heard: list[object] = []
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *frame: heard.append(frame))
        drivers[0].inbox = [can.Message(arbitration_id=0, is_extended_id=False) for _ in range(1000)]
        bus.poll()
        assert 0 < len(heard) <= 100
        bus.close()

    run(scene)


def test_remote_frames_are_ignored(drivers):
    async def scene() -> None:
        heard: list[object] = []
        bus = CanBus("socketcan", "can0")
        bus.start(lambda *frame: heard.append(frame))
        drivers[0].inbox = [can.Message(arbitration_id=0x102, is_remote_frame=True, is_extended_id=False, dlc=8)]
        bus.poll()
        assert heard == []
        bus.close()

    run(scene)


def test_a_bus_with_a_descriptor_is_read_by_the_loop(drivers):
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        driver, heard = drivers[0], []
        driver.fileno = ours.fileno
        bus = CanBus("socketcan", "can0")
        bus.start(lambda frame_id, *_: (heard.append(frame_id), ours.recv(1)))
        driver.inbox = [can.Message(arbitration_id=0x102, is_extended_id=False)]
        bus.poll()
        assert heard == [], "poll leaves a watched descriptor alone"
        theirs.send(b"x")
        await asyncio.sleep(0.01)
        assert heard == [0x102]
        bus.close()
        ours.close()
        theirs.close()

    run(scene)


@pytest.mark.parametrize(("channel", "command"), [("can9", "bitrate"), ("vcan9", "type vcan")])
def test_an_interface_that_is_not_there_is_gone_with_the_commands_to_bring_it_up(drivers, channel, command):
    async def scene() -> None:
        drivers[:] = [OSError(errno.ENODEV, "No such device")]
        with pytest.raises(BusFault, match="ip link") as caught:
            CanBus("socketcan", channel)
        assert caught.value.kind == "gone"
        assert command in caught.value.detail and channel in caught.value.detail

    run(scene)


def test_the_log_reads_as_candump_writes_it(drivers, tmp_path: Path):
    async def scene() -> None:
        bus = CanBus("socketcan", "can0", FrameLog(tmp_path / "frames.log"))
        await asyncio.sleep(1.5)
        bus.send([(0x101, bytes([1, 0xAB])), (0x98FEF100, b"")])
        bus.close()
        found = list(can.CanutilsLogReader(tmp_path / "frames.log"))
        assert [(x.timestamp, x.arbitration_id, x.is_extended_id, bytes(x.data)) for x in found] == [
            (1.5, 0x101, False, b"\x01\xab"),
            (1.5, 0x18FEF100, True, b""),
        ]
        assert (tmp_path / "frames.log").read_text().splitlines()[0].endswith(" can0 101#01AB")

    run(scene)
