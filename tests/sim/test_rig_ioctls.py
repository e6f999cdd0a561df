"""The rig's ioctls against a caller's memory as the kernel hands it out: fetched and written range by range.

Numbers and layouts are those of linux/i2c-dev.h, linux/i2c.h and linux/spi/spidev.h.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.rig.cuse import Answer, Device, Fetch, Ioctl
from bms_daemon.sim.rig.i2c_dev import I2cDev
from bms_daemon.sim.rig.pty_port import PtyPort
from bms_daemon.sim.rig.spi_dev import SpiDev
from bms_daemon.sim.serial import SimSerial
from bms_daemon.sim.spi import SimSpiBus

I2C_RETRIES, I2C_TIMEOUT = 0x0701, 0x0702
I2C_SLAVE, I2C_SLAVE_FORCE, I2C_FUNCS, I2C_RDWR, I2C_PEC, I2C_SMBUS = 0x0703, 0x0706, 0x0705, 0x0707, 0x0708, 0x0720
ADDRESS = 0x08


class Registers:
    """A target with a pointer and 256 registers."""

    alert, charge_allowed, discharge_allowed, next_event_s = False, True, True, float("inf")

    def __init__(self) -> None:
        self.bytes = bytearray(range(256))
        self.at = 0
        self.writes: list[bytes] = []

    def advance(self, now_s: float) -> None:
        """It has no time."""

    def i2c_write(self, data: bytes) -> bool:
        self.writes.append(data)
        if data:
            self.at = data[0]
            self.bytes[self.at : self.at + len(data) - 1] = data[1:]
        return True

    def i2c_read(self, count: int) -> bytes | None:
        found = bytes(self.bytes[(self.at + k) % 256] for k in range(count))
        self.at = (self.at + count) % 256
        return found


class Caller:
    """A process's memory and the kernel's side of an unrestricted ioctl."""

    def __init__(self, device: Device) -> None:
        self.memory = bytearray(8192)
        self.device = device
        self._free = 64

    def put(self, data: bytes) -> int:
        at, self._free = self._free, self._free + len(data) + 8
        self.memory[at : at + len(data)] = data
        return at

    def got(self, at: int, count: int) -> bytes:
        return bytes(self.memory[at : at + count])

    async def ioctl(self, command: int, argument: int, handle: int = 1) -> int:
        fetch = Fetch()
        for _ in range(4):
            data = b"".join(self.got(at, count) for at, count in fetch.read)
            room = sum(count for _, count in fetch.write)
            answer = self.device.ioctl(Ioctl(handle, command, argument, data, room))
            done = answer if isinstance(answer, Fetch | Answer) else await answer
            if isinstance(done, Answer):
                assert len(done.data) <= room
                for at, count in fetch.write:
                    self.memory[at : at + count] = done.data[:count].ljust(count, b"\0")
                    done = Answer(done.result, done.data[count:])
                return done.result
            fetch = done
        raise AssertionError("asked again and again")

    async def transfer(self, *messages: bytes | int) -> list[bytes]:
        """I2C_RDWR: bytes are written, a number is read."""
        places = [self.put(bytes(m) if isinstance(m, int) else m) for m in messages]
        table = b"".join(
            struct.pack("<HHH2xQ", ADDRESS, int(isinstance(m, int)), m if isinstance(m, int) else len(m), at)
            for m, at in zip(messages, places, strict=True)
        )
        head = self.put(struct.pack("<QI4x", self.put(table), len(messages)))
        assert await self.ioctl(I2C_RDWR, head) == len(messages)
        return [self.got(at, m) for m, at in zip(messages, places, strict=True) if isinstance(m, int)]

    async def smbus(self, reads: int, command: int, size: int, data: bytes | None) -> bytes:
        at = 0 if data is None else self.put(data.ljust(34, b"\0"))
        assert await self.ioctl(I2C_SMBUS, self.put(struct.pack("<BB2xIQ", reads, command, size, at))) == 0
        return self.got(at, 34)


def on_i2c(scene: Callable[[Caller, Registers, SimI2cBus], Awaitable[None]], settable: bool = True) -> None:
    """On a bus with the speed of a wire, and on one that takes no time."""

    async def main(speed_hz: float) -> None:
        bus, target = SimI2cBus(lambda now_s: None, speed_hz), Registers()
        bus.attach(ADDRESS, target)
        await scene(Caller(I2cDev(bus, settable)), target, bus)

    for speed_hz in (400e3, math.inf):
        run_manual(main(speed_hz))


@contextlib.contextmanager
def refused(number: int) -> Iterator[None]:
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == number


def test_a_write_and_a_read_are_one_transfer() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        assert await caller.transfer(b"\x14", 4) == [b"\x14\x15\x16\x17"]
        assert bus.transfers == 1
        assert await caller.transfer(b"\x20\xaa\xbb") == []
        assert await caller.transfer(b"\x20", 1, b"\x21", 2, 1) == [b"\xaa", b"\xbb\x22", b"\x23"]
        assert target.writes == [b"\x14", b"\x20\xaa\xbb", b"\x20", b"\x21"]

    on_i2c(scene)


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(1, 40)), min_size=1, max_size=10))
def test_any_combination_reaches_the_target_in_order(messages: list[bytes | int]) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        twin = Registers()
        expected = [twin.i2c_read(m) if isinstance(m, int) else twin.i2c_write(m) for m in messages]
        assert await caller.transfer(*messages) == [answer for answer in expected if isinstance(answer, bytes)]
        assert target.bytes == twin.bytes and target.at == twin.at

    on_i2c(scene)


@pytest.mark.parametrize(
    ("reads", "size", "data", "found", "written"),
    [
        (0, 0, None, None, b""),
        (1, 1, b"", b"\x00", None),
        (0, 1, None, None, b"\x30"),
        (1, 2, b"", b"\x30", b"\x30"),
        (0, 2, b"\xaa", None, b"\x30\xaa"),
        (1, 3, b"", b"\x30\x31", b"\x30"),
        (0, 3, b"\xaa\xbb", None, b"\x30\xaa\xbb"),
        (0, 5, b"\x03abc", None, b"\x30\x03abc"),
        (1, 8, b"\x04", b"\x04\x30\x31\x32\x33", b"\x30"),
        (0, 8, b"\x02xyz", None, b"\x30xy"),
    ],
)
def test_smbus_transfers(reads: int, size: int, data: bytes | None, found: bytes | None, written: bytes | None) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        await caller.ioctl(I2C_SLAVE, ADDRESS)
        answer = await caller.smbus(reads, 0x30, size, data)
        assert found is None or answer[: len(found)] == found
        assert target.writes == ([] if written is None else [written])

    on_i2c(scene)


def test_a_block_says_its_own_length() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        target.bytes[0x40:0x44] = b"\x03abc"
        await caller.ioctl(I2C_SLAVE, ADDRESS)
        assert (await caller.smbus(1, 0x40, 5, b""))[:5] == b"\x03abc\0"

    on_i2c(scene)


def test_the_functions_say_what_there_is() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        at = caller.put(bytes(8))
        await caller.ioctl(I2C_FUNCS, at)
        found = int.from_bytes(caller.got(at, 8), "little")
        plain, pec, quick, i2c_block, process_call = 0x1, 0x8, 0x10000, 0x0C000000, 0x00800000
        assert found & plain and found & quick and found & i2c_block == i2c_block
        assert not found & pec and not found & process_call

    on_i2c(scene)


@pytest.mark.parametrize(
    ("break_it", "number"),
    [
        (lambda bus: setattr(bus.faults, "nack", 1), errno.EREMOTEIO),
        (lambda bus: setattr(bus.faults, "stuck", True), errno.ETIMEDOUT),
        (lambda bus: bus.close(), errno.EREMOTEIO),
    ],
    ids=["nack", "stuck", "nobody there"],
)
def test_a_fault_of_the_bus_is_the_errno_of_an_adapter(break_it: Callable[[SimI2cBus], None], number: int) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        break_it(bus)
        with refused(number):
            await caller.transfer(b"\x14", 2)

    on_i2c(scene)


@pytest.mark.parametrize(
    ("command", "argument", "number"),
    [
        (0x0709, 0, errno.ENOTTY),
        (0x5401, 0, errno.ENOTTY),
        (I2C_SLAVE, 0x80, errno.EINVAL),
        (I2C_SLAVE, 0x50, errno.EBUSY),
        (I2C_PEC, 1, errno.EINVAL),
        (0x0704, 1, errno.EINVAL),
        (I2C_TIMEOUT, 2**31, errno.EINVAL),
        (I2C_RETRIES, 2**31, errno.EINVAL),
    ],
    ids=["unknown", "of a terminal", "address", "owned", "PEC", "ten bits", "time", "retries"],
)
def test_what_an_adapter_does_not_have_is_an_error(command: int, argument: int, number: int) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        bus.faults.owned.add(0x50)
        with refused(number):
            await caller.ioctl(command, argument)
        await caller.ioctl(I2C_SLAVE_FORCE, 0x50)

    on_i2c(scene)


@pytest.mark.parametrize(("count", "flags"), [(0, 0), (43, 0), (1, 0x0010), (1, 0x8000)])
def test_a_message_that_no_adapter_takes_is_an_error(count: int, flags: int) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        table = caller.put(struct.pack("<HHH2xQ", ADDRESS, flags, 1, caller.put(b"x")) * max(count, 1))
        with pytest.raises(OSError):
            await caller.ioctl(I2C_RDWR, caller.put(struct.pack("<QI4x", table, count)))
        assert target.writes == []

    on_i2c(scene)


def test_another_master_between_a_write_and_its_read_moves_the_pointer() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        bus.faults.split = True
        assert await caller.transfer(b"\x14", 2) == [b"\x15\x16"]

    on_i2c(scene)


def test_a_slow_target_takes_longer() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        bus.faults.slow_s = 0.5
        before_s = asyncio.get_running_loop().time()
        await caller.transfer(b"\x14", 2)
        assert 0.5 <= asyncio.get_running_loop().time() - before_s < 0.51

    on_i2c(scene)


@pytest.mark.parametrize(
    ("settable", "units", "lasts_s"),
    [(True, None, 1.0), (True, 5, 0.05), (True, 0, 0.0), (True, 500, 3.0), (False, 5, 1.0)],
    ids=["not set", "set", "none at all", "longer than the bus", "not settable"],
)
def test_a_stuck_transfer_is_given_up_after_the_adapters_time(
    settable: bool, units: int | None, lasts_s: float
) -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        bus.faults.stuck = True
        if units is not None:
            await caller.ioctl(I2C_TIMEOUT, units, handle=2)
            await caller.ioctl(I2C_RETRIES, 3)
        before_s = asyncio.get_running_loop().time()
        with refused(errno.ETIMEDOUT):
            await caller.transfer(b"\x14", 2)
        assert asyncio.get_running_loop().time() - before_s == pytest.approx(lasts_s)
        assert target.writes == []

    on_i2c(scene, settable)


def test_the_adapters_time_is_for_the_whole_of_a_combined_transfer() -> None:
    async def scene(caller: Caller, target: Registers, bus: SimI2cBus) -> None:
        bus.faults.slow_s = 0.03
        await caller.ioctl(I2C_TIMEOUT, 5)
        before_s = asyncio.get_running_loop().time()
        with refused(errno.ETIMEDOUT):
            await caller.transfer(b"\x14", b"\x15")
        assert asyncio.get_running_loop().time() - before_s == pytest.approx(0.05)
        assert target.writes == [b"\x14"]
        assert await caller.transfer(b"\x14", 1) == [b"\x14"]

    on_i2c(scene)


# ------------------------------------------------------------------ SPI
SPI_MESSAGE, WR_MODE, RD_MODE, WR_MODE32, WR_SPEED, RD_SPEED, RD_BITS = (
    0x40006B00, 0x40016B01, 0x80016B01, 0x40046B05, 0x40046B04, 0x80046B04, 0x80016B03,
)  # fmt: skip


class Logged:
    """A target that turns every bit round."""

    def __init__(self) -> None:
        self.log: list[tuple[bytes, float]] = []

    def frame(self, now_s: float, data: bytes, low_s: float) -> bytes:
        self.log.append((data, low_s))
        return bytes(255 - byte for byte in data)


def on_spi(scene: Callable[[Caller, Logged, SimSpiBus], Awaitable[None]], mode: int = 3, speed_hz: int = 8000) -> None:
    """A byte takes a millisecond."""

    async def main() -> None:
        target = Logged()
        bus = SimSpiBus(lambda now_s: None, math.inf, target)
        caller = Caller(SpiDev(bus))
        await caller.ioctl(WR_MODE, caller.put(bytes([mode])))
        await caller.ioctl(WR_SPEED, caller.put(struct.pack("<I", speed_hz)))
        await scene(caller, target, bus)

    run_manual(main())


def _spi(tx: int, rx: int, length: int, change: int = 0, speed_hz: int = 0, delay_us: int = 0) -> bytes:
    return struct.pack("<QQIIHBBBBBx", tx, rx, length, speed_hz, delay_us, 0, change, 0, 0, 0)


def test_chip_select_is_low_until_it_changes_and_bytes_answer_bytes() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        tx, rx = caller.put(b"\x01\x02\x03"), caller.put(bytes(6))
        table = caller.put(_spi(tx, 0, 3) + _spi(0, rx, 4, change=1) + _spi(tx, rx + 4, 2))
        before_s = asyncio.get_running_loop().time()
        assert await caller.ioctl(SPI_MESSAGE | 3 * 32 << 16, table) == 9
        assert [data for data, _ in target.log] == [b"\x01\x02\x03" + bytes(4), b"\x01\x02"]
        assert [low_s for _, low_s in target.log] == pytest.approx([0.007, 0.002])
        assert caller.got(rx, 6) == b"\xff\xff\xff\xff\xfe\xfd"
        assert asyncio.get_running_loop().time() - before_s == pytest.approx(0.009, abs=1e-4)

    on_spi(scene)


def test_a_transfers_own_speed_and_its_delay_count_in_the_time_that_chip_select_is_low() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        at = caller.put(b"\x01\x02")
        await caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(at, at, 2, speed_hz=16_000, delay_us=300)))
        await caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(at, at, 0, delay_us=300)))
        assert [low_s for _, low_s in target.log] == pytest.approx([0.0013, 0.0003])

    on_spi(scene)


def test_a_chip_hears_in_its_mode_alone() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        at = caller.put(b"\x01\x02")
        await caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(at, at, 2)))
        assert target.log == [] and caller.got(at, 2) == b"\xff\xff"

    on_spi(scene, mode=0)


def test_a_message_that_hangs_is_a_time_out() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        bus.faults.timeout = 1
        at = caller.put(b"\x01")
        with refused(errno.ETIMEDOUT):
            await caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(at, at, 1)))
        assert target.log == [] and asyncio.get_running_loop().time() > 1.0

    on_spi(scene)


def test_messages_of_two_callers_come_one_behind_the_other() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        at = [caller.put(bytes([k] * 10)) for k in range(2)]
        calls = [caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(each, each, 10))) for each in at]
        await asyncio.gather(*calls)
        assert asyncio.get_running_loop().time() == pytest.approx(0.02, abs=1e-4)
        assert [data[0] for data, _ in target.log] == [0, 1]

    on_spi(scene)


def test_settings_are_kept_and_read_back() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        at = caller.put(struct.pack("<I", 500_000))
        await caller.ioctl(WR_SPEED, at)
        await caller.ioctl(WR_MODE32, caller.put(struct.pack("<I", 1)))
        found = caller.put(bytes(4))
        await caller.ioctl(RD_SPEED, found)
        assert struct.unpack("<I", caller.got(found, 4)) == (500_000,)
        await caller.ioctl(RD_MODE, found)
        assert caller.got(found, 1) == b"\x01"
        await caller.ioctl(RD_BITS, found)
        assert caller.got(found, 1) == b"\x08"
        with refused(errno.EINVAL):
            await caller.ioctl(WR_SPEED, caller.put(bytes(4)))

    on_spi(scene)


@pytest.mark.parametrize(
    ("command", "length", "number"),
    [(SPI_MESSAGE | 32 << 16, 4097, errno.EMSGSIZE), (SPI_MESSAGE | 31 << 16, 1, errno.EINVAL),
     (SPI_MESSAGE, 1, errno.EINVAL), (0x40016B09, 1, errno.ENOTTY), (0x0703, 1, errno.ENOTTY)],
)  # fmt: skip
def test_what_spidev_does_not_have_is_an_error(command: int, length: int, number: int) -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        with refused(number):
            await caller.ioctl(command, caller.put(_spi(64, 0, length)))
        assert target.log == []

    on_spi(scene)


def test_chip_select_is_not_left_low_behind_a_message() -> None:
    async def scene(caller: Caller, target: Logged, bus: SimSpiBus) -> None:
        with refused(errno.EOPNOTSUPP):
            await caller.ioctl(SPI_MESSAGE | 32 << 16, caller.put(_spi(64, 0, 1, change=1)))
        assert target.log == []

    on_spi(scene)


# ------------------------------------------------------------------ the serial sensor's pty
class Beat:
    """Says one word every 5 ms."""

    def __init__(self) -> None:
        self.heard = b""
        self.next_event_s = 0.0

    def advance(self, now_s: float) -> bytes:
        due, self.next_event_s = now_s >= self.next_event_s, max(self.next_event_s, now_s + 0.005)
        return b"\r\n\x00:" if due else b""

    def hear(self, data: bytes) -> None:
        self.heard += data


def test_a_pty_carries_both_directions_goes_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "by-id" / "cable"

    async def there(present: bool) -> None:
        while path.is_symlink() is not present:  # noqa: ASYNC110 the port is what is tried
            await asyncio.sleep(0.005)

    async def main() -> None:
        talker = Beat()
        serial = SimSerial(talker, lambda now_s: None)
        port = asyncio.ensure_future(PtyPort(serial, talker.hear, path).run())
        await there(True)
        reader = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(reader, b":154\n")
        await asyncio.sleep(0.05)
        assert os.read(reader, 4) == b"\r\n\x00:"
        assert talker.heard == b":154\n"
        serial.unplug()
        await there(False)
        with pytest.raises(OSError, match="Input/output"):
            while True:
                assert os.read(reader, 4096) or os.write(reader, b"x")
        os.close(reader)
        serial.plug()
        await there(True)
        port.cancel()
        await asyncio.gather(port, return_exceptions=True)
        assert not path.is_symlink()

    asyncio.run(asyncio.wait_for(main(), 10.0))
