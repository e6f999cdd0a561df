"""What is wrong with the devices of a chain, in words that name the device."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray

STRAY_V = 0.5  # more than inputs show that are tied together


class Notes:
    """What each check has found and not yet taken back."""

    def __init__(self) -> None:
        self._wrong: dict[str, str] = {}

    def put(self, check: str, wrong: str) -> None:
        """What a check has found now; nothing is an empty text."""
        self._wrong.pop(check, None)
        if wrong:
            self._wrong[check] = wrong

    def clear(self) -> None:
        self._wrong.clear()

    def __bool__(self) -> bool:
        return bool(self._wrong)

    def __str__(self) -> str:
        return "; ".join(self._wrong.values())


def first(what: str, wrong: np.ndarray) -> str:
    """The first device of bool (devices,)."""
    return f"device {int(np.argmax(wrong)) + 1}: {what}" if wrong.any() else ""


def outside(what: str, volts: FloatArray, span_v: tuple[float, float]) -> str:
    """The first device whose value is not in its span."""
    wrong = ~((volts >= span_v[0]) & (volts <= span_v[1]))
    return first(f"{what} is {volts[int(np.argmax(wrong))]:.3f} V", wrong)


def stray(cell_v: FloatArray, wired: np.ndarray) -> str:
    """Inputs without a cell are tied together: a voltage there is another device's, or a wrong ``cells``."""
    found = np.argwhere((cell_v > STRAY_V) & ~wired).tolist()
    where = [f"device {device + 1}: a cell on input C{cell + 1}, where none is wired" for device, cell in found[:1]]
    return "".join(where)


def fitted(counts: tuple[int, ...], most: int) -> np.ndarray:
    """bool (devices, most): the lowest inputs of each device."""
    return np.arange(most) < np.array(counts)[:, None]
