"""The board's hardware watchdog. Source: the kernel's watchdog API (linux/watchdog.h).

Opening the device starts it. Only a clean end writes the magic ``V`` that stops it; any other end lets it bite.
PID 1 must not own the same device (``RuntimeWatchdogSec=``): choose one owner.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

KEEPALIVE = 0x80045705
SET_TIMEOUT = 0xC0045706


class HardwareWatchdog:
    """Started by the constructor; raises OSError when the device is not there or refuses ``timeout_s`` (whole seconds).

    ``timeout_s`` afterwards is what the driver accepted.
    """

    def __init__(self, device: Path, timeout_s: int) -> None:
        self._fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        self._fed_s = float("-inf")
        argument = bytearray(struct.pack("i", timeout_s))
        try:
            fcntl.ioctl(self._fd, SET_TIMEOUT, argument)
        except OSError:
            self.close_clean()
            raise
        self.timeout_s = int(struct.unpack("i", argument)[0])

    def feed(self, now_s: float) -> None:
        """Call after a good tick; reaches the driver at most four times a time-out. Raises OSError when it is gone."""
        if now_s - self._fed_s >= self.timeout_s / 4.0:
            self._fed_s = now_s
            fcntl.ioctl(self._fd, KEEPALIVE, bytearray(4))

    def close_clean(self) -> None:
        """Stop the watchdog. For a clean end with open outputs only."""
        os.write(self._fd, b"V")
        os.close(self._fd)
