"""A GPIO chip by the kernel's gpio-sim: made through configfs, its pins watched and pulled through sysfs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

CONFIGFS = Path("/sys/kernel/config/gpio-sim")
SYSFS = Path("/sys/devices/platform")
_PULL = {False: b"pull-down", True: b"pull-up"}


class GpioSim:
    """A chip with this label and these lines (name by offset), for as long as it is open. Levels are the pins' own."""

    def __init__(self, label: str, names: Mapping[int, str], count: int = 64) -> None:
        self._root = CONFIGFS / f"bms-{os.getpid()}"
        bank = self._root / "bank"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text(str(count))
        (bank / "label").write_text(label)
        for offset, name in names.items():
            line = bank / f"line{offset}"
            line.mkdir()
            (line / "name").write_text(name)
        (self._root / "live").write_text("1")
        chip = (bank / "chip_name").read_text().strip()
        self.path = Path("/dev") / chip
        pins = SYSFS / (self._root / "dev_name").read_text().strip() / chip
        self._values = {offset: os.open(pins / f"sim_gpio{offset}" / "value", os.O_RDONLY) for offset in names}
        self._pulls = {offset: os.open(pins / f"sim_gpio{offset}" / "pull", os.O_WRONLY) for offset in names}

    def level(self, offset: int) -> bool:
        """What the pin carries: what drives it, or else what pulls it. A chip that was taken away drives nothing."""
        try:
            return os.pread(self._values[offset], 2, 0)[:1] == b"1"
        except OSError:
            return False

    def pull(self, offset: int, high: bool) -> None:
        """The circuit's side: the level of an input, and what an output falls back to when nobody drives it."""
        with contextlib.suppress(OSError):
            os.pwrite(self._pulls[offset], _PULL[high], 0)

    def close(self) -> None:
        """Take the chip away; whoever holds its lines loses them."""
        for fd in (*self._values.values(), *self._pulls.values()):
            os.close(fd)
        (self._root / "live").write_text("0")
        bank = self._root / "bank"
        for line in bank.glob("line*"):
            line.rmdir()
        bank.rmdir()
        self._root.rmdir()
