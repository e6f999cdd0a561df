"""Frames as `candump -L` writes them, so that can-utils, cantools and SavvyCAN read them."""

from __future__ import annotations

from pathlib import Path

EXTENDED = 0x80000000
BUFFER = 1 << 16


class FrameLog:
    """A log file, written in blocks of 64 KiB: "(seconds) channel ID#HEX", eight digits for a 29-bit identifier."""

    def __init__(self, path: Path) -> None:
        self.error = ""
        self._file = path.open("a", encoding="ascii", buffering=BUFFER)

    def write(self, time_s: float, channel: str, frame: tuple[int, bytes]) -> None:
        """One line; ``time_s`` is whatever clock the caller keeps (candump: the wall). A full disk ends the log."""
        if self.error:
            return
        frame_id, data = frame
        name = f"{frame_id & ~EXTENDED:08X}" if frame_id & EXTENDED else f"{frame_id:03X}"
        try:
            self._file.write(f"({time_s:017.6f}) {channel} {name}#{data.hex().upper()}\n")
        except OSError as error:
            self.error = str(error)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Write what is left, if the disk takes it; closing twice is harmless."""
        try:
            self._file.close()
        except OSError as error:
            self.error = str(error)
