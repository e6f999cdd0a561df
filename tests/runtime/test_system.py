"""What the process says to systemd, to the kernel's watchdog and to the scheduler."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from bms_daemon.runtime import realtime
from bms_daemon.runtime.bucket import TokenBucket
from bms_daemon.runtime.notify import Notifier, UnitWatchdog
from bms_daemon.runtime.watchdog import HardwareWatchdog


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """systemd's end of the socket and its name in the environment."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@bms-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(1.0)
        yield sock, {"NOTIFY_SOCKET": name}


def test_systemd_hears_ready_status_and_stopping(manager: Any) -> None:
    sock, environ = manager
    notifier = Notifier(environ)
    notifier.ready("standby\nFAKE=1")
    notifier.status("closed")
    notifier.stopping()
    assert [sock.recv(500) for _ in range(3)] == [b"READY=1\nSTATUS=standby FAKE=1", b"STATUS=closed", b"STOPPING=1"]
    notifier.close()


def test_without_systemd_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        notifier = Notifier(environ)
        notifier.ready("x")
        notifier.close()


def test_a_socket_that_nobody_reads_never_blocks(manager: Any) -> None:
    _, environ = manager
    notifier = Notifier(environ)
    for _ in range(5000):
        notifier.status("x" * 200)
    notifier.close()


def test_the_unit_watchdog_is_fed_every_third_of_its_timeout_and_only_when_called(manager: Any) -> None:
    sock, environ = manager
    notifier = Notifier(environ)
    watchdog = UnitWatchdog(notifier, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())})
    sock.setblocking(False)
    fed_s = []
    for tick in range(501):  # 10 s of 20 ms
        watchdog.feed(tick * 0.02)
        with contextlib.suppress(BlockingIOError):
            assert sock.recv(100) == b"WATCHDOG=1"
            fed_s.append(tick * 0.02)
    notifier.close()
    assert fed_s[0] == 0.0
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(fed_s)]
    assert all(1.0 - 1e-6 <= gap_s <= 1.02 + 1e-6 for gap_s in gaps_s)
    assert len(gaps_s) >= 9


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}])
def test_a_watchdog_that_is_not_ours_is_not_fed(environ: dict[str, str]) -> None:
    assert UnitWatchdog(Notifier({}), environ).period_s == 0.0


class Board:
    """The kernel's side of /dev/watchdog as a file, its ioctls written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, longest_s: int) -> None:
        self.calls: list[int] = []
        self._longest_s = longest_s
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)

    def ioctl(self, fd: int, number: int, argument: bytearray) -> int:
        self.calls.append(number)
        if number == 0xC0045706:
            if int.from_bytes(argument, "little") > self._longest_s:
                raise OSError(22, "Invalid argument")
            argument[:] = (14).to_bytes(4, "little")
        return 0


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "watchdog").touch()
    return tmp_path / "watchdog"


def test_the_hardware_watchdog_is_kept_alive_and_stopped_by_the_magic_letter_only(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(monkeypatch, 15)
    watchdog = HardwareWatchdog(device, 15)
    assert watchdog.timeout_s == 14
    for tick in range(1000):  # 20 s of 20 ms: a feed every 3.5 s
        watchdog.feed(tick * 0.02)
    assert board.calls == [0xC0045706] + [0x80045705] * 6
    assert device.read_bytes() == b""
    watchdog.close_clean()
    assert device.read_bytes() == b"V"


def test_a_timeout_that_the_board_refuses_is_an_error_and_leaves_it_stopped(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Board(monkeypatch, 15)
    with pytest.raises(OSError, match="Invalid"):
        HardwareWatchdog(device, 60)
    assert device.read_bytes() == b"V"


def test_every_thread_becomes_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(os, "sched_setscheduler", lambda tid, kind, param: asked.update({tid: (kind, param)}))
    monkeypatch.setattr(realtime, "_lock_memory", lambda: None)
    done = threading.Event()
    bus = threading.Thread(target=done.wait)
    bus.start()
    assert realtime.prepare(40) == ()
    done.set()
    bus.join()
    assert {threading.get_native_id(), bus.native_id} <= asked.keys()
    assert set(asked.values()) == {(os.SCHED_FIFO, os.sched_param(40))}


def test_what_is_alive_is_frozen() -> None:
    try:
        realtime.freeze()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_realtime_says_what_it_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(realtime, "_lock_memory", refuse)
    assert realtime.prepare() == ("SCHED_FIFO: Operation not permitted", "mlockall: Operation not permitted")


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = TokenBucket(2.0, 3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
