"""The ioctls of linux/i2c-dev.h in front of a simulated bus: combined messages and SMBus transfers.

I2C_TIMEOUT is the adapter's, in units of 10 ms, 1 s until it is set: a Raspberry Pi's i2c-bcm2835 gives a transfer up
after that time, a BeagleBone's i2c-omap after 1 s whatever was set. I2C_RETRIES counts attempts after lost arbitration
alone, which never happens on this bus; like the kernel, it is taken and makes no difference to any other error.
"""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Awaitable, Callable

import structlog

from bms_daemon.model import BusFault
from bms_daemon.sim.i2c import SimI2cBus
from bms_daemon.sim.rig.cuse import Answer, Fetch, Ioctl
from bms_daemon.sim.rig.i2c_messages import MESSAGE, UNION, Transfer, filled, joined, parsed, shape

log = structlog.get_logger()

RETRIES, TIMEOUT, SLAVE, TENBIT, FUNCS, SLAVE_FORCE = 0x0701, 0x0702, 0x0703, 0x0704, 0x0705, 0x0706
RDWR, PEC, SMBUS = 0x0707, 0x0708, 0x0720
FUNCTIONALITY = 0x0F7F0001  # plain transfers; SMBus quick, byte, word and block transfers; no process call, no PEC
MOST_MESSAGES = 42
TIMEOUT_UNIT_S, DEFAULT_TIMEOUT_S = 0.01, 1.0
_MOST = 2**31 - 1  # that an adapter's settings hold
_RDWR = struct.Struct("<QI4x")
_SMBUS = struct.Struct("<BB2xIQ")  # read, command, size, data
_ERRNO = {"nack": errno.EREMOTEIO, "timeout": errno.ETIMEDOUT, "busy": errno.EAGAIN, "gone": errno.ENODEV}


class I2cDev:
    """An adapter. Addresses that a kernel driver would hold are refused as busy.

    What takes no time on the wire is answered at once; what takes some waits in line, as behind an adapter's lock.
    ``settable``: I2C_TIMEOUT matters.
    """

    def __init__(self, bus: SimI2cBus, settable: bool = True) -> None:
        self._bus, self._settable = bus, settable
        self._timeout_s = DEFAULT_TIMEOUT_S
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
        elif call.command in (RETRIES, TIMEOUT):
            self._tune(call)
        else:
            log.warning("an ioctl that i2c-dev does not have", code="i2c_ioctl", command=hex(call.command))
            raise OSError(errno.ENOTTY, "no such ioctl")
        return Answer()

    def _tune(self, call: Ioctl) -> None:
        if call.argument > _MOST:
            raise OSError(errno.EINVAL, "out of range")
        if call.command == TIMEOUT and self._settable:
            self._timeout_s = call.argument * TIMEOUT_UNIT_S

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
        table = (at, count * MESSAGE.size)
        if len(call.data) < _RDWR.size + table[1]:
            return Fetch((*head, table))
        messages = parsed(call.data[_RDWR.size :], count)
        written = call.data[_RDWR.size + table[1] :]
        sent = tuple((m.buffer, m.length) for m in messages if not m.reads and m.length)
        received = tuple((m.buffer, m.length) for m in messages if m.reads and m.length)
        if len(written) < sum(length for _, length in sent) or call.room < sum(length for _, length in received):
            return Fetch((*head, table, *sent), received)
        return self._run(joined(messages, written), lambda found: Answer(count, found))

    def _smbus(self, call: Ioctl) -> Fetch | Answer | Awaitable[Answer]:
        head = ((call.argument, _SMBUS.size),)
        if len(call.data) < _SMBUS.size:
            return Fetch(head)
        reads, command, size, at = _SMBUS.unpack_from(call.data)
        if at and (len(call.data) < _SMBUS.size + UNION or call.room < UNION):
            return Fetch((*head, (at, UNION)), ((at, UNION),))
        if call.handle not in self._addresses:
            raise OSError(errno.EINVAL, "no address was set")
        union = call.data[_SMBUS.size :].ljust(UNION, b"\0")
        asked, written, wanted = shape(bool(reads), command, size, union)
        transfer = Transfer(self._addresses[call.handle], asked + written, wanted)

        def answer(found: bytes) -> Answer:
            return Answer(0, filled(bool(reads), size, union, found) if at else b"")

        return self._run([transfer], answer)

    def _run(self, transfers: list[Transfer], answer: Callable[[bytes], Answer]) -> Answer | Awaitable[Answer]:
        lasts_s = sum(self._bus.lasts_s(len(each.write), each.read_len) for each in transfers)
        if lasts_s or self._line.locked():
            return self._wait_and_run(transfers, answer)
        return answer(b"".join(self._finish(each) for each in transfers))

    async def _wait_and_run(self, transfers: list[Transfer], answer: Callable[[bytes], Answer]) -> Answer:
        """The time runs from the turn on the wire. What is given up never reaches its target."""
        found, left_s = b"", self._timeout_s
        async with self._line:
            for each in transfers:
                lasts_s = self._bus.lasts_s(len(each.write), each.read_len)
                await asyncio.sleep(min(lasts_s, left_s))
                if lasts_s > left_s:
                    raise OSError(errno.ETIMEDOUT, "given up by the adapter")
                left_s -= lasts_s
                found += self._finish(each)
        return answer(found)

    def _finish(self, each: Transfer) -> bytes:
        try:
            return self._bus.finish(each.address, each.write, each.read_len)
        except BusFault as fault:
            raise OSError(_ERRNO.get(fault.kind, errno.EIO), str(fault)) from fault


def _functions(call: Ioctl) -> Fetch | Answer:
    if call.room < 8:
        return Fetch(write=((call.argument, 8),))
    return Answer(0, struct.pack("<Q", FUNCTIONALITY))
