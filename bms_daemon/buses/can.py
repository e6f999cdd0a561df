"""A CAN bus by python-can's drivers alone: non-blocking sends, an own reader on the descriptor, reconnection.

python-can's Notifier, periodic tasks and the kernel's broadcast manager are not used: they lose errors, burst after a
stall, or go on sending while the process hangs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import can

from bms_daemon.buses.canlog import FrameLog
from bms_daemon.model import BusFault, CanHealth

Frame: TypeAlias = tuple[int, bytes]
OnFrame: TypeAlias = Callable[[int, bytes, float], None]

EXTENDED = 0x80000000
MAX_STANDARD = 0x7FF
FRAMES_PER_WAKE = 64  # a flood must not hold the loop
RECEIVE_QUEUE = 1024  # frames that the virtual bus keeps for us
QUEUE = 64  # frames that wait for room
WAIT_S = 0.2  # a frame that waited longer says what is no longer true
BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
GONE = frozenset({errno.ENETDOWN, errno.ENODEV, errno.ENXIO, errno.EBADF})
ERROR_CONTROLLER, ERROR_BUS_OFF, ERROR_RESTARTED = 0x04, 0x40, 0x100  # linux/can/error.h
CONTROLLER_STATES = ((0x30, "passive"), (0x0C, "warning"), (0x40, "active"))


class CanBus:
    """One interface, opened at once, in a running loop. Raises BusFault("gone") with the commands that bring it up.

    ``listens``: the 11-bit identifiers that the kernel lets through, so that a busy bus costs nothing; all when empty.
    """

    def __init__(
        self, interface: str, channel: str, log: FrameLog | None = None, listens: Collection[int] = ()
    ) -> None:
        self.state = "active"  # of the controller: active, warning, passive, bus_off; gone without an interface
        self.dropped = 0
        self._interface, self._channel, self._log = interface, channel, log
        self._filters = [{"can_id": each, "can_mask": MAX_STANDARD, "extended": False} for each in sorted(listens)]
        self._on_frame: OnFrame | None = None
        self._waiting: list[tuple[float, Frame]] = []
        self._retry: asyncio.TimerHandle | None = None
        self._tries = 0
        self._watched: int | None = None
        self._bus: can.BusABC | None = self._open()
        self._sent_s = self._now_s()

    def _open(self) -> can.BusABC:
        limits: dict[str, Any] = {"rx_queue_size": RECEIVE_QUEUE} if self._interface == "virtual" else {}
        if self._interface == "socketcan" and self._filters:
            limits["can_filters"] = self._filters  # elsewhere python-can filters, and its recv(0) ends at a refusal
        try:
            return can.Bus(interface=self._interface, channel=self._channel, ignore_config=True, **limits)
        except (can.CanError, OSError) as error:
            raise BusFault("gone", f"{self._interface} {self._channel}: {error}. {self._advice()}") from error

    def _advice(self) -> str:
        if self._channel.startswith("vcan"):
            return f"Try: ip link add dev {self._channel} type vcan && ip link set {self._channel} up"
        return (
            f"Try: ip link set {self._channel} up type can bitrate 500000 restart-ms 100 berr-reporting on"
            f" && ip link set {self._channel} txqueuelen 100"
        )

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    def start(self, on_frame: OnFrame) -> None:
        """Call back for every data frame: identifier (with flag 0x80000000 if 29 bits), payload, loop time."""
        self._on_frame = on_frame
        self._watch()

    def _watch(self) -> None:
        """Read when the descriptor is readable; a bus without one is read by ``poll``."""
        if self._bus is None or self._on_frame is None:
            return
        try:
            self._watched = self._bus.fileno()
        except NotImplementedError:
            return
        asyncio.get_running_loop().add_reader(self._watched, self._read)

    def poll(self) -> None:
        """To be called every tick: reads a bus that has no descriptor. Costs nothing for one that has."""
        if self._watched is None:
            self._read()

    def _read(self) -> None:
        now_s = self._now_s()
        try:
            for _ in range(FRAMES_PER_WAKE):
                message = self._bus.recv(0) if self._bus is not None else None
                if message is None:
                    return
                self._take(message, now_s)
        except (can.CanError, OSError) as error:
            self._failed(error)

    def _take(self, message: can.Message, now_s: float) -> None:
        if message.is_error_frame:
            self._note_error(message.arbitration_id, bytes(message.data))
        elif not message.is_remote_frame and self._on_frame is not None:
            if self.state == "bus_off":
                self.state = "active"
            frame = (message.arbitration_id | (EXTENDED if message.is_extended_id else 0), bytes(message.data))
            if self._log is not None:
                self._log.write(now_s, self._channel, frame)
            self._on_frame(*frame, now_s)

    def _note_error(self, classes: int, data: bytes) -> None:
        if classes & ERROR_BUS_OFF:
            self.state = "bus_off"
        elif classes & ERROR_RESTARTED:
            self.state = "active"
        elif classes & ERROR_CONTROLLER and len(data) > 1:
            self.state = next((name for bits, name in CONTROLLER_STATES if data[1] & bits), self.state)

    def send(self, frames: Iterable[Frame]) -> int:
        """Send what there is room for, lowest identifier first, and return how many went out. Never waits.

        The rest stays for the next call, unless a newer frame of its identifier comes, it gets too old, or the queue is
        full: the oldest are dropped first.
        """
        now_s = self._now_s()
        queue = self._merge(list(frames), now_s)
        sent = 0
        for _, frame in queue:
            if not self._put(frame, now_s):
                break
            sent += 1
        self._waiting = queue[sent:]
        if sent and self.state != "bus_off":
            self._sent_s, self._tries = now_s, 0
        return sent

    def _merge(self, frames: list[Frame], now_s: float) -> list[tuple[float, Frame]]:
        queue = [(now_s, frame) for frame in frames]
        if self._waiting:
            renewed = {frame[0] for frame in frames}
            left = [w for w in self._waiting if w[1][0] not in renewed and now_s - w[0] <= WAIT_S]
            merged = sorted(left + queue, key=lambda w: w[0])[-QUEUE:]
            self.dropped += len(self._waiting) + len(queue) - len(merged)
            queue = sorted(merged, key=_urgency)
        return queue

    def _put(self, frame: Frame, now_s: float) -> bool:
        if self._bus is None:
            return False
        frame_id, data = frame
        message = can.Message(
            arbitration_id=frame_id & ~EXTENDED, data=data, is_extended_id=frame_id >= EXTENDED, check=False
        )
        try:
            self._bus.send(message, timeout=0)
        except (can.CanError, OSError) as error:
            self._failed(error)
            return False
        if self._log is not None:
            self._log.write(now_s, self._channel, frame)
        return True

    def _failed(self, error: Exception) -> None:
        """A full queue heals by itself; a lost interface is opened again, away from the tick."""
        if _number(error) in GONE:
            self._drop_bus()
            self._try_later()

    def _drop_bus(self) -> None:
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None
        if self._bus is not None:
            self._bus.shutdown()
            self._bus = None
            self.state = "gone"

    def _try_later(self) -> None:
        delay_s = BACK_OFF_S[min(self._tries, len(BACK_OFF_S) - 1)]
        self._tries += 1
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._reopen)

    def _reopen(self) -> None:
        try:
            self._bus = self._open()
        except BusFault:
            self._try_later()
            return
        self.state = "active"
        self._watch()

    def health(self, now_s: float, rejected: int = 0) -> CanHealth:
        """How long nothing could be sent, whether the controller gave up, and the receiver's count of refusals."""
        return CanHealth(max(0.0, now_s - self._sent_s), self.state == "bus_off", rejected)

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._drop_bus()
        if self._log is not None:
            self._log.close()


def _urgency(waiting: tuple[float, Frame]) -> tuple[bool, int]:
    frame_id = waiting[1][0]
    return frame_id > MAX_STANDARD, frame_id


def _number(error: Exception) -> int | None:
    """The errno of python-can's errors and of the system's."""
    return getattr(error, "error_code", None) or getattr(error, "errno", None)
