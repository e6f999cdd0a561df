"""Simulated I2C and serial lines: wire time, faults, cancelling."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.serial import SimSerial


class Echo:
    """A chip that answers its pointer, counting up; register 0xEE does not exist."""

    alert = charge_allowed = discharge_allowed = False
    next_event_s = math.inf

    def __init__(self) -> None:
        self.pointer = 0
        self.writes: list[bytes] = []

    def advance(self, now_s: float) -> None: ...

    def i2c_write(self, data: bytes) -> bool:
        self.writes.append(data)
        self.pointer = data[0] if data else self.pointer
        return self.pointer != 0xEE

    def i2c_read(self, count: int) -> bytes | None:
        return bytes((self.pointer + k) & 0xFF for k in range(count))


class Ticker:
    """Says the second it is, every second."""

    def __init__(self) -> None:
        self.next_event_s = 1.0
        self.heard = b""

    def advance(self, now_s: float) -> bytes:
        said = b""
        while self.next_event_s <= now_s + 1e-9:
            said += bytes([int(self.next_event_s)])
            self.next_event_s += 1.0
        return said

    def hear(self, data: bytes) -> None:
        self.heard += data


class Rig:
    def __init__(self, speed_hz: float = 400_000) -> None:
        self.synced: list[float] = []
        self.chip = Echo()
        self.bus = SimI2cBus(self.synced.append, speed_hz)
        self.bus.attach(0x08, self.chip)


def _run(test: Callable[[Rig], Coroutine[None, None, None]]) -> None:
    run_manual(test(Rig()))


async def _fault(transfer: Awaitable[bytes]) -> str:
    with pytest.raises(BusFault) as caught:
        await transfer
    return caught.value.kind


@pytest.mark.parametrize(
    ("write", "read_len", "bytes_on_wire"), [(b"\x14", 80, 83), (b"\x3e\x22\x63", 0, 4), (b"", 2, 3), (b"", 0, 1)]
)
def test_a_transfer_takes_nine_bits_a_byte_then_syncs(write: bytes, read_len: int, bytes_on_wire: int) -> None:
    async def test(rig: Rig) -> None:
        data = await rig.bus.transfer(0x08, write, read_len)
        assert len(data) == read_len
        now_s = asyncio.get_running_loop().time()
        assert rig.synced == [now_s]
        assert now_s == pytest.approx(9 * bytes_on_wire / 400_000, abs=3 / 400_000)

    _run(test)


def test_a_write_then_read_reads_from_the_register() -> None:
    async def test(rig: Rig) -> None:
        assert await rig.bus.transfer(0x08, b"\x14", 3) == b"\x14\x15\x16"

    _run(test)


@pytest.mark.parametrize(("address", "write"), [(0x09, b"\x14"), (0x08, b"\xee")])
def test_nobody_there_is_a_nack(address: int, write: bytes) -> None:
    async def test(rig: Rig) -> None:
        assert await _fault(rig.bus.transfer(address, write, 2)) == "nack"

    _run(test)


@pytest.mark.parametrize(("count", "lost"), [(2, 2), (math.inf, 5)])
def test_nacks_come_as_often_as_asked_and_never_reach_the_chip(count: float, lost: int) -> None:
    async def test(rig: Rig) -> None:
        rig.bus.faults.nack = count
        kinds = []
        for _ in range(5):
            try:
                await rig.bus.transfer(0x08, b"\x14", 1)
            except BusFault as fault:
                kinds.append(fault.kind)
        assert kinds == ["nack"] * lost
        assert len(rig.chip.writes) == 5 - lost

    _run(test)


def test_a_stuck_bus_times_out_after_three_seconds() -> None:
    async def test(rig: Rig) -> None:
        rig.bus.faults.stuck = True
        assert await _fault(rig.bus.transfer(0x08, b"\x14", 1)) == "timeout"
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)

    _run(test)


def test_a_cancelled_transfer_leaves_the_bus_usable_and_the_chip_alone() -> None:
    async def test(rig: Rig) -> None:
        rig.bus.faults.stuck = True
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await rig.bus.transfer(0x08, b"\x3e\x22", 0)
        assert rig.chip.writes == []
        rig.bus.faults.stuck = False
        assert await rig.bus.transfer(0x08, b"\x14", 1) == b"\x14"

    _run(test)


def test_two_callers_share_the_wire_one_after_the_other() -> None:
    async def test(rig: Rig) -> None:
        both = await asyncio.gather(rig.bus.transfer(0x08, b"\x10", 2), rig.bus.transfer(0x08, b"\x20", 2))
        assert both == [b"\x10\x11", b"\x20\x21"]
        assert rig.synced[1] - rig.synced[0] == pytest.approx(rig.synced[0])

    _run(test)


def test_flipped_bytes_differ_in_one_bit_and_are_as_many_as_asked() -> None:
    async def test(rig: Rig) -> None:
        rig.bus.faults.flip_bytes = 3
        data = await rig.bus.transfer(0x08, b"\x00", 2) + await rig.bus.transfer(0x08, b"\x02", 4)
        wrong = [got ^ k for k, got in enumerate(data)]
        assert [w.bit_count() for w in wrong] == [1, 1, 1, 0, 0, 0]

    _run(test)


def test_a_corruption_rate_is_met() -> None:
    async def test(rig: Rig) -> None:
        rig.bus.faults.flip_rate = 0.05
        clean = bytes(range(100))
        bad = 0
        for _ in range(100):
            data = await rig.bus.transfer(0x08, b"\x00", 100)
            bad += sum(a != b for a, b in zip(data, clean, strict=True))
        assert 400 < bad < 600

    _run(test)


def test_a_repeating_bus_returns_the_previous_reads_data() -> None:
    async def test(rig: Rig) -> None:
        await rig.bus.transfer(0x08, b"\x14", 3)
        rig.bus.faults.repeat = 2
        assert await rig.bus.transfer(0x08, b"\x60", 2) == b"\x14\x15"
        assert await rig.bus.transfer(0x08, b"\x60", 4) == b"\x14\x15\x16\xff"
        assert await rig.bus.transfer(0x08, b"\x60", 2) == b"\x60\x61"

    _run(test)


def test_the_bus_also_runs_on_real_time() -> None:
    async def test() -> bytes:
        return await Rig().bus.transfer(0x08, b"\x14", 2)

    assert asyncio.run(test()) == b"\x14\x15"


# ------------------------------------------------------------------ serial
def test_a_talker_is_heard_when_it_speaks() -> None:
    async def test() -> None:
        synced: list[float] = []
        port = SimSerial(Ticker(), synced.append)
        loop = asyncio.get_running_loop()
        heard = [(await port.read(), round(loop.time(), 6)) for _ in range(3)]
        assert heard == [(b"\x01", 1.0), (b"\x02", 2.0), (b"\x03", 3.0)]
        assert synced[-1] == pytest.approx(3.0)

    run_manual(test())


def test_a_silent_line_delivers_nothing_and_does_not_save_it_up() -> None:
    async def test() -> None:
        port = SimSerial(Ticker(), lambda now_s: None)
        port.faults.silent = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.5):
                await port.read()
        port.faults.silent = False
        assert await port.read() == b"\x06"

    run_manual(test())


def test_unplugging_ends_a_waiting_read_at_once_and_plugging_in_again_works() -> None:
    async def test() -> None:
        port = SimSerial(Ticker(), lambda now_s: None)
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, port.unplug)
        with pytest.raises(BusFault, match="gone"):
            await port.read()
        assert loop.time() == pytest.approx(0.3)
        with pytest.raises(BusFault, match="gone"):
            await port.write(b"x")
        port.plug()
        assert await port.read() == b"\x01"

    run_manual(test())


def test_written_bytes_reach_the_talker() -> None:
    async def test() -> None:
        ticker = Ticker()
        port = SimSerial(ticker, lambda now_s: None)
        await port.write(b"hello")
        assert ticker.heard == b"hello"

    run_manual(test())


def test_line_noise_flips_single_bits_at_its_rate() -> None:
    class Zeros(Ticker):
        def advance(self, now_s: float) -> bytes:
            return bytes(10_000)

    async def test() -> None:
        port = SimSerial(Zeros(), lambda now_s: None)
        port.faults.flip_rate = 0.01
        wrong = [byte for byte in await port.read() if byte]
        assert 60 < len(wrong) < 140
        assert all(byte.bit_count() == 1 for byte in wrong)

    run_manual(test())
