"""The simulated CAN interface: wire time, faults, cancelling."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine

import pytest

from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.can_port import SimCanPort

Frames = list[tuple[int, bytes]]


class Ticker:
    """Every 10 ms ``burst`` frames of 0x521 and on, each saying how often that was."""

    def __init__(self, burst: int = 1) -> None:
        self.next_event_s = 0.01
        self.heard: Frames = []
        self._burst = burst
        self._ticks = 0

    def advance(self, now_s: float) -> Frames:
        said: Frames = []
        while self.next_event_s <= now_s + 1e-9:
            self._ticks += 1
            self.next_event_s = 0.01 * (self._ticks + 1)
            said += [(0x521 + k, bytes([self._ticks & 0xFF] * 6)) for k in range(self._burst)]
        return said

    def hear(self, frame_id: int, data: bytes) -> None:
        self.heard.append((frame_id, data))


class Parrot:
    """Says again what it hears, at the next advance."""

    def __init__(self) -> None:
        self._heard: Frames = []

    def advance(self, now_s: float) -> Frames:
        said, self._heard = self._heard, []
        return said

    @property
    def next_event_s(self) -> float:
        return 0.0 if self._heard else math.inf

    def hear(self, frame_id: int, data: bytes) -> None:
        self._heard.append((frame_id, data))


class Rig:
    def __init__(self, burst: int = 1, bitrate: float = 500e3, seed: int = 0) -> None:
        self.synced: list[float] = []
        self.talker = Ticker(burst)
        self.port = SimCanPort(self.talker, self.synced.append, bitrate, seed)
        self.faults = self.port.faults

    async def ticks(self, count: int) -> list[int]:
        """First data byte of so many frames of 0x521."""
        ticks: list[int] = []
        while len(ticks) < count:
            ticks += [data[0] for frame_id, data in await self.port.receive() if frame_id == 0x521]
        return ticks


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _run(test: Callable[[Rig], Coroutine[None, None, None]], burst: int = 1, bitrate: float = 500e3) -> None:
    async def body() -> None:
        await test(Rig(burst, bitrate))

    run_manual(body())


@pytest.mark.parametrize(("bitrate", "lasts_s"), [(500e3, 190e-6), (250e3, 380e-6)])
def test_a_frame_of_six_bytes_arrives_95_bits_after_it_was_begun(bitrate: float, lasts_s: float) -> None:
    async def test(rig: Rig) -> None:
        for tick in (1, 2, 3):
            assert await rig.port.receive() == [(0x521, bytes([tick] * 6))]
            assert _now_s() == pytest.approx(0.01 * tick + lasts_s, abs=1e-6)
        assert rig.synced[-1] == _now_s()

    _run(test, bitrate=bitrate)


def test_frames_of_one_instant_arrive_one_after_the_other() -> None:
    async def test(rig: Rig) -> None:
        for k in range(3):
            assert await rig.port.receive() == [(0x521 + k, b"\x01" * 6)]
            assert _now_s() == pytest.approx(0.01 + 190e-6 * (k + 1), abs=1e-6)

    _run(test, burst=3)


def test_what_has_come_while_nobody_read_is_given_at_once_in_order() -> None:
    async def test(rig: Rig) -> None:
        await asyncio.sleep(0.055)
        frames = await rig.port.receive()
        assert [data[0] for _, data in frames] == [1, 2, 3, 4, 5]
        assert _now_s() == pytest.approx(0.055, abs=1e-5)

    _run(test)


def test_a_talker_that_says_more_than_the_wire_carries_loses_frames_and_lags_no_more_than_a_tenth() -> None:
    async def test(rig: Rig) -> None:
        received: Frames = []
        while _now_s() < 3.0:
            received += await rig.port.receive()
        assert len(received) == pytest.approx(3.0 / 190e-6, rel=0.05)
        lag = 300 - (256 + received[-1][1][0])
        assert 0 <= lag <= 12

    _run(test, burst=80)


def test_the_talker_hears_what_is_sent_and_its_answer_comes_behind_it() -> None:
    async def test() -> None:
        port = SimCanPort(Parrot(), lambda now_s: None)
        await port.send(0x411, bytes.fromhex("3400010000000000"))
        assert await port.receive() == [(0x411, bytes.fromhex("3400010000000000"))]
        assert _now_s() == pytest.approx(2 * 111 / 500e3, abs=1e-6)

    run_manual(test())


def test_sending_wakes_a_waiting_reader() -> None:
    async def test() -> None:
        port = SimCanPort(Parrot(), lambda now_s: None)
        reader = asyncio.ensure_future(port.receive())
        await asyncio.sleep(0.3)
        await port.send(0x411, b"\x31")
        assert await reader == [(0x411, b"\x31")]
        assert _now_s() == pytest.approx(0.3 + 2 * 55 / 500e3, abs=1e-6)

    run_manual(test())


def test_sending_brings_the_world_and_the_talker_to_the_present_before_it_hears() -> None:
    async def test(rig: Rig) -> None:
        await asyncio.sleep(0.042)
        await rig.port.send(0x411, b"\x31")
        assert rig.synced == [_now_s()]
        assert rig.talker.next_event_s == pytest.approx(0.05)
        assert rig.talker.heard == [(0x411, b"\x31")]

    _run(test)


@pytest.mark.parametrize(("frame_id", "data"), [(0x800, b""), (-1, b""), (0x411, bytes(9))])
def test_what_is_no_frame_is_a_mistake(frame_id: int, data: bytes) -> None:
    async def test(rig: Rig) -> None:
        with pytest.raises(ValueError, match="no frame"):
            await rig.port.send(frame_id, data)

    _run(test)


def test_a_cancelled_receive_loses_no_frame() -> None:
    async def test(rig: Rig) -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await rig.port.receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0001):
                await rig.port.receive()
        assert await rig.ticks(2) == [1, 2]

    _run(test)


# ------------------------------------------------------------------ faults
def test_a_silent_wire_delivers_nothing_and_does_not_save_it_up() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.silent = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.055):
                await rig.port.receive()
        rig.faults.silent = False
        assert await rig.ticks(1) == [6]

    _run(test)


def test_unplugging_ends_a_waiting_receive_and_what_is_said_meanwhile_is_lost() -> None:
    async def test(rig: Rig) -> None:
        asyncio.get_running_loop().call_later(0.005, rig.port.unplug)
        with pytest.raises(BusFault) as caught:
            await rig.port.receive()
        assert caught.value.kind == "gone"
        assert _now_s() == pytest.approx(0.005)
        with pytest.raises(BusFault, match="gone"):
            await rig.port.send(0x411, b"\x31")
        await asyncio.sleep(0.1)
        rig.port.plug()
        assert await rig.ticks(1) == [11]

    _run(test)


def test_a_frame_on_the_wire_is_lost_when_the_interface_is_pulled() -> None:
    async def test(rig: Rig) -> None:
        asyncio.get_running_loop().call_later(0.0101, rig.port.unplug)
        with pytest.raises(BusFault, match="gone"):
            await rig.port.receive()
        rig.port.plug()
        assert await rig.ticks(1) == [2]

    _run(test)


def test_a_closed_port_is_gone() -> None:
    async def test(rig: Rig) -> None:
        rig.port.close()
        with pytest.raises(BusFault, match="gone"):
            await rig.port.receive()

    _run(test)


@pytest.mark.parametrize(
    ("name", "count", "received"),
    [("drop", 2, [4, 5, 6]), ("repeat", 2, [1, 1, 4, 5])],
)
def test_frames_are_dropped_and_repeated_as_often_as_asked(name: str, count: int, received: list[int]) -> None:
    async def test(rig: Rig) -> None:
        assert await rig.ticks(1) == [1]
        setattr(rig.faults, name, count)
        assert await rig.ticks(len(received)) == received

    _run(test)


def test_a_repeated_frame_is_of_the_same_identifier_and_needs_one_before() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.repeat = 1
        frames = [frame for _ in range(5) for frame in await rig.port.receive()]
        assert [(frame_id, data[0]) for frame_id, data in frames] == [
            (0x521, 1), (0x522, 1), (0x521, 1), (0x522, 2), (0x521, 3),
        ]  # fmt: skip

    _run(test, burst=2)


def test_a_rate_of_lost_frames_is_met() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.drop_rate = 0.3
        received = 0
        while _now_s() < 20.0:
            received += len(await rig.port.receive())
        assert 1300 < received < 1500

    _run(test)


def test_flipped_frames_differ_in_one_bit_and_are_as_many_as_asked() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.flip = 3
        wrong = []
        for tick in range(1, 6):
            [(_, data)] = await rig.port.receive()
            wrong.append(int.from_bytes(data, "big") ^ int.from_bytes(bytes([tick] * 6), "big"))
        assert [bits.bit_count() for bits in wrong] == [1, 1, 1, 0, 0]
        assert len(set(wrong)) == 4

    _run(test)


def test_short_frames_lack_their_last_byte() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.short = 2
        assert [len(data) for _ in range(4) for _, data in await rig.port.receive()] == [5, 5, 6, 6]

    _run(test)


def test_foreign_frames_come_between_and_spend_no_fault() -> None:
    async def test(rig: Rig) -> None:
        rig.faults.foreign, rig.faults.short = True, 1
        frames = [frame for _ in range(6) for frame in await rig.port.receive()]
        assert [frame_id == 0x521 for frame_id, _ in frames] == [False, True] * 3
        assert [len(data) for _, data in frames] == [8, 5, 8, 6, 8, 6]
        assert _now_s() == pytest.approx(0.03 + (111 + 95) / 500e3, abs=1e-6)

    _run(test)


def test_foreign_frames_are_never_of_the_talkers_identifier() -> None:
    async def test() -> None:
        port = SimCanPort(Parrot(), lambda now_s: None)
        port.faults.foreign = True
        for k in range(40):
            await port.send(0x351, bytes([k]))
            [(foreign_id, _)], answer = await port.receive(), await port.receive()
            assert foreign_id != 0x351
            assert answer == [(0x351, bytes([k]))]

    run_manual(test())


def test_the_same_seed_spoils_the_same_frames() -> None:
    async def heard(seed: int) -> Frames:
        rig = Rig(seed=seed)
        rig.faults.drop_rate, rig.faults.foreign, rig.faults.flip = 0.3, True, 20
        return [frame for _ in range(40) for frame in await rig.port.receive()]

    assert run_manual(heard(1)) == run_manual(heard(1))
    assert run_manual(heard(1)) != run_manual(heard(2))
