"""I2C by the kernel's i2c-dev: combined transfers on a private worker thread, so that no bus can block the loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import math
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from typing import cast

from smbus2 import SMBus, i2c_msg

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
_Job = tuple[Callable[[], bytes], "asyncio.Future[bytes]"]


class I2cBus:
    """A bus by its device node, for chips at these addresses. Implements ``ports.ByteBus``.

    Opening raises BusFault that says what to enable, or which address a kernel driver owns.
    """

    def __init__(self, path: str, addresses: Iterable[int], timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._bus = _open(path, addresses, timeout_s)
        self._turn = asyncio.Lock()
        self._late = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        Thread(target=_work, args=(self._jobs, self._bus.close), name=f"i2c {path}", daemon=True).start()

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        """Write and read with a repeated start. Raises BusFault at the latest ``timeout_s`` after its turn has come.

        A call that hangs in the kernel costs its own caller a BusFault("timeout"), and everybody BusFault("busy")
        until it has come back.
        """
        async with self._turn:
            if self._late:
                raise BusFault("busy", f"{self._path}: an earlier transfer still hangs in the kernel")
            job = self._post(lambda: self._transfer(address, write, read_len))
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await asyncio.shield(job)
            except TimeoutError:
                self._late = not job.done()
                raise BusFault("timeout", f"{self._path}: address 0x{address:02X}, {self._timeout_s:g} s") from None
            except OSError as error:
                kind = _KINDS.get(error.errno or 0, "framing")
                raise BusFault(kind, f"{self._path}: address 0x{address:02X}: {error.strerror}") from error

    def close(self) -> None:
        """Close the device once the worker is through with what it has been given."""
        self._jobs.put(None)

    def _post(self, call: Callable[[], bytes]) -> asyncio.Future[bytes]:
        job: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        job.add_done_callback(self._done)
        self._jobs.put((call, job))
        return job

    def _done(self, job: asyncio.Future[bytes]) -> None:
        self._late = False
        if not job.cancelled():
            job.exception()  # a caller that left does not ask for it

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


def _work(jobs: SimpleQueue[_Job | None], close: Callable[[], None]) -> None:
    """The worker thread: calls one after the other, results back to the loop, which may be gone by then."""
    while (job := jobs.get()) is not None:
        call, future = job
        try:
            result: bytes | Exception = call()
        except Exception as error:
            result = error
        with contextlib.suppress(RuntimeError):
            future.get_loop().call_soon_threadsafe(_settle, future, result)
    close()


def _settle(future: asyncio.Future[bytes], result: bytes | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
