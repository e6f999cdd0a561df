"""I2C by the kernel's i2c-dev: combined transfers on a private worker thread, so that no bus can block the loop."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
from collections.abc import Iterable
from typing import cast

from smbus2 import SMBus, i2c_msg

from bms_daemon.buses.worker import Worker
from bms_daemon.model import BusFault

_I2C_RETRIES, _I2C_TIMEOUT, _I2C_SLAVE = 0x0701, 0x0702, 0x0703  # linux/i2c-dev.h
_TIMEOUT_UNIT_S = 0.01
_KINDS = {
    errno.ENXIO: "nack",
    errno.EREMOTEIO: "nack",
    errno.ETIMEDOUT: "timeout",
    errno.EAGAIN: "busy",
    errno.EBUSY: "busy",
    errno.EBADMSG: "crc",
    errno.EIO: "framing",
    errno.EPROTO: "framing",
    errno.ENODEV: "gone",
    errno.ENOENT: "gone",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EINVAL: "refused",
    errno.EOPNOTSUPP: "refused",
}
_HELP = {
    "gone": "enable the bus (Raspberry Pi: dtparam=i2c_arm=on in config.txt; BeagleBone: its overlay) and reboot",
    "denied": "add the daemon's user to the group i2c, or allow the device in the unit (DeviceAllow)",
    "busy": "a kernel driver owns this address: unload or unbind it",
}


class I2cBus:
    """A bus by its device node, for chips at these addresses. Implements ``ports.ByteBus``.

    Opening raises BusFault that says what to enable, or which address a kernel driver owns.
    """

    def __init__(self, path: str, addresses: Iterable[int], timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._bus = _open(path, addresses, timeout_s)
        self._worker: Worker[bytes] = Worker(f"i2c {path}", self._bus.close)

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        """Write and read with a repeated start. Raises BusFault at the latest ``timeout_s`` after its turn has come."""
        what = f"address 0x{address:02X}"
        try:
            return await self._worker.run(lambda: self._transfer(address, write, read_len), self._timeout_s, what)
        except OSError as error:
            kind = _KINDS.get(error.errno or 0, "framing")
            raise BusFault(kind, f"{self._path}: {what}: {error.strerror}") from error

    def close(self) -> None:
        """Close the device once the worker is through with what it has been given."""
        self._worker.close()

    def _transfer(self, address: int, write: bytes, read_len: int) -> bytes:
        """In the worker: one combined message."""
        messages = [i2c_msg.write(address, write)] if write or not read_len else []
        answer = i2c_msg.read(address, read_len) if read_len else None
        self._bus.i2c_rdwr(*messages, *([answer] if answer else []))
        return bytes(answer) if answer else b""


def _open(path: str, addresses: Iterable[int], timeout_s: float) -> SMBus:
    """The device with its time-out set and every address claimed, or nothing left open."""
    what = path
    with contextlib.ExitStack() as stack:
        try:
            bus = stack.enter_context(contextlib.closing(SMBus(path)))
            fd = cast(int, bus.fd)
            fcntl.ioctl(fd, _I2C_TIMEOUT, max(1, math.ceil(timeout_s / _TIMEOUT_UNIT_S)))
            fcntl.ioctl(fd, _I2C_RETRIES, 0)
            for address in addresses:
                what = f"{path}: address 0x{address:02X}"
                fcntl.ioctl(fd, _I2C_SLAVE, address)
        except OSError as error:
            raise _refusal(error, what) from error
        stack.pop_all()
        return bus


def _refusal(error: OSError, what: str) -> BusFault:
    kind = _KINDS.get(error.errno or 0, "gone")
    hint = f"; {_HELP[kind]}" if kind in _HELP else ""
    return BusFault(kind, f"{what}: {error.strerror}{hint}")
