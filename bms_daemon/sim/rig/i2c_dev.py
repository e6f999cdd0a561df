"""The ioctls of linux/i2c-dev.h in front of a simulated bus: combined messages and SMBus transfers."""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from bms_daemon.model import BusFault
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.rig.cuse import Answer, Fetch, Ioctl

log = structlog.get_logger()

RETRIES, TIMEOUT, SLAVE, TENBIT, FUNCS, SLAVE_FORCE = 0x0701, 0x0702, 0x0703, 0x0704, 0x0705, 0x0706
RDWR, PEC, SMBUS = 0x0707, 0x0708, 0x0720
FUNCTIONALITY = 0x0F7F0001  # plain transfers; SMBus quick, byte, word and block transfers; no process call, no PEC
READ = 0x0001
MOST_MESSAGES = 42
_RDWR = struct.Struct("<QI4x")
_MESSAGE = struct.Struct("<HHH2xQ")  # address, flags, length, buffer
_SMBUS = struct.Struct("<BB2xIQ")  # read, command, size, data
_UNION = 34  # bytes of the data that an SMBus transfer points to
_ERRNO = {"nack": errno.EREMOTEIO, "timeout": errno.ETIMEDOUT, "busy": errno.EAGAIN, "gone": errno.ENODEV}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a combined transfer."""

    address: int
    reads: bool
    length: int
    buffer: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """From one start to its stop: bytes out, then bytes in after a repeated start."""

    address: int
    write: bytes
    read_len: int


class I2cDev:
    """An adapter. Addresses that a kernel driver would hold are refused as busy.

    What takes no time on the wire is answered at once; what takes some waits in line, as behind an adapter's lock.
    """

    def __init__(self, bus: SimI2cBus) -> None:
        self._bus = bus
        self._line = asyncio.Lock()
        self._addresses: dict[int, int] = {}

    def released(self, handle: int) -> None:
        self._addresses.pop(handle, None)

    def ioctl(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        """Raises OSError; a command that i2c-dev does not have is ENOTTY."""
        if call.command == RDWR:
            return self._combined(call)
        if call.command == SMBUS:
            return self._smbus(call)
        if call.command == FUNCS:
            return _functions(call)
        return self._set(call)

    def _set(self, call: Ioctl) -> Answer:
        if call.command in (SLAVE, SLAVE_FORCE):
            self._claim(call)
        elif call.command in (TENBIT, PEC):
            if call.argument:
                raise OSError(errno.EINVAL, "not supported by this adapter")
        elif call.command not in (RETRIES, TIMEOUT):
            log.warning("an ioctl that i2c-dev does not have", code="i2c_ioctl", command=hex(call.command))
            raise OSError(errno.ENOTTY, "no such ioctl")
        return Answer()

    def _claim(self, call: Ioctl) -> None:
        if call.argument > 0x7F:
            raise OSError(errno.EINVAL, "address")
        if call.command == SLAVE and call.argument in self._bus.faults.owned:
            raise OSError(errno.EBUSY, "address in use")
        self._addresses[call.handle] = call.argument

    def _combined(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        """Three rounds: the head, the messages, the bytes to be written."""
        head = ((call.argument, _RDWR.size),)
        if len(call.data) < _RDWR.size:
            return Fetch(head)
        at, count = _RDWR.unpack_from(call.data)
        if not 0 < count <= MOST_MESSAGES:
            raise OSError(errno.EINVAL, "number of messages")
        table = (at, count * _MESSAGE.size)
        if len(call.data) < _RDWR.size + table[1]:
            return Fetch((*head, table))
        messages = _messages(call.data[_RDWR.size :], count)
        written = call.data[_RDWR.size + table[1] :]
        sent = tuple((m.buffer, m.length) for m in messages if not m.reads and m.length)
        received = tuple((m.buffer, m.length) for m in messages if m.reads and m.length)
        if len(written) < sum(length for _, length in sent) or call.room < sum(length for _, length in received):
            return Fetch((*head, table, *sent), received)
        return self._run(_transfers(messages, written), lambda found: Answer(count, found))

    def _smbus(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        head = ((call.argument, _SMBUS.size),)
        if len(call.data) < _SMBUS.size:
            return Fetch(head)
        reads, command, size, at = _SMBUS.unpack_from(call.data)
        if at and (len(call.data) < _SMBUS.size + _UNION or call.room < _UNION):
            return Fetch((*head, (at, _UNION)), ((at, _UNION),))
        if call.handle not in self._addresses:
            raise OSError(errno.EINVAL, "no address was set")
        union = call.data[_SMBUS.size :].ljust(_UNION, b"\0")
        asked, written, wanted = _shape(bool(reads), command, size, union)
        transfer = Transfer(self._addresses[call.handle], asked + written, wanted)

        def answer(found: bytes) -> Answer:
            return Answer(0, _union(bool(reads), size, union, found) if at else b"")

        return self._run([transfer], answer)

    def _run(self, transfers: list[Transfer], answer: Callable[[bytes], Answer]) -> Answer | Awaitable[Answer]:
        lasting = any(self._bus.lasts_s(len(each.write), each.read_len) for each in transfers)
        if lasting or self._line.locked():
            return self._wait_and_run(transfers, answer)
        return answer(b"".join(self._finish(each) for each in transfers))

    async def _wait_and_run(self, transfers: list[Transfer], answer: Callable[[bytes], Answer]) -> Answer:
        found = b""
        async with self._line:
            for each in transfers:
                await asyncio.sleep(self._bus.lasts_s(len(each.write), each.read_len))
                found += self._finish(each)
        return answer(found)

    def _finish(self, each: Transfer) -> bytes:
        try:
            return self._bus.finish(each.address, each.write, each.read_len)
        except BusFault as fault:
            raise OSError(_ERRNO.get(fault.kind, errno.EIO), str(fault)) from fault


def _transfers(messages: list[Message], written: bytes) -> list[Transfer]:
    """A write and the read that follows it at the same address are one transfer with a repeated start."""
    found: list[Transfer] = []
    follows = False
    for message in messages:
        if not message.reads:
            found.append(Transfer(message.address, written[: message.length], 0))
            written = written[message.length :]
        elif follows and found[-1].address == message.address:
            found[-1] = replace(found[-1], read_len=message.length)
        else:
            found.append(Transfer(message.address, b"", message.length))
        follows = not message.reads
    return found


def _functions(call: Ioctl) -> Fetch | Answer:
    if call.room < 8:
        return Fetch(write=((call.argument, 8),))
    return Answer(0, struct.pack("<Q", FUNCTIONALITY))


def _messages(data: bytes, count: int) -> list[Message]:
    found = []
    for k in range(count):
        address, flags, length, buffer = _MESSAGE.unpack_from(data, k * _MESSAGE.size)
        if flags & ~READ:
            log.warning("message flags that this adapter does not have", code="i2c_flags", flags=hex(flags))
            raise OSError(errno.EOPNOTSUPP, "message flags")
        found.append(Message(address, bool(flags & READ), length, buffer))
    return found


def _union(reads: bool, size: int, asked: bytes, found: bytes) -> bytes:
    """What an SMBus transfer leaves in the caller's union."""
    if size == 5 and reads:
        found = found[: 1 + min(found[0], 32)]
    elif size == 8 and reads:
        found = asked[:1] + found
    return found.ljust(_UNION, b"\0")


def _shape(reads: bool, command: int, size: int, union: bytes) -> tuple[bytes, bytes, int]:
    """Command bytes, data bytes and how many to read, for the sizes of linux/i2c.h."""
    named = bytes([command])
    if size == 0:
        return b"", b"", 0
    if size == 1:
        return (b"", b"", 1) if reads else (named, b"", 0)
    if size in (2, 3):
        return (named, b"", size - 1) if reads else (named, union[: size - 1], 0)
    if size == 5:
        return (named, b"", 33) if reads else (named, union[: 1 + union[0]], 0)
    if size == 8:
        return (named, b"", min(union[0], 32)) if reads else (named, union[1 : 1 + min(union[0], 32)], 0)
    log.warning("an SMBus transfer that this adapter does not have", code="i2c_smbus", size=size)
    raise OSError(errno.EOPNOTSUPP, "SMBus transfer")
