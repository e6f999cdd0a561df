"""GPIO lines of a simulated board, by role, in their logical sense.

Inputs that watch a loop (``emergency_stop``, ``interlock``) and auxiliary contacts read True while the loop or contact
is closed; ``alert`` reads True while the chip asserts it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

from bms_daemon.model import BusFault

OUTPUTS = ("main", "main_negative", "precharge", "dead_man", "fan", "second_disconnect")
INPUTS = ("main_aux", "main_negative_aux", "precharge_aux", "emergency_stop", "interlock", "alert")
Board = Literal["pi", "beaglebone"]


def _nothing() -> None:
    """Stands for a world that is not there yet."""


def _ignore(changed: Collection[str]) -> None:
    """Stands for circuits that are not there yet."""


class SimLines:
    """Implements ``ports.Lines``. ``levels`` is what the pins really carry.

    ``refused`` maps a role to the BusFault kind that writing it raises (busy, denied, gone); ``stuck`` maps a role to
    the level that reading it gives, whatever the pin carries.
    """

    def __init__(self, board: Board = "pi", roles: Collection[str] = OUTPUTS + INPUTS) -> None:
        unknown = set(roles) - set(OUTPUTS + INPUTS)
        if unknown:
            raise ValueError(f"no such line: {', '.join(sorted(unknown))}")
        self._board = board
        self._outputs = frozenset(roles) & frozenset(OUTPUTS)
        self.levels: dict[str, bool] = dict.fromkeys(roles, False)
        self.refused: dict[str, str] = {}
        self.stuck: dict[str, bool] = {}
        self.writes = 0
        self._alive = True
        self._callbacks: list[Callable[[str, bool], None]] = []
        self._sync: Callable[[], None] = _nothing
        self._changed: Callable[[Collection[str]], None] = _ignore

    def connect(self, sync: Callable[[], None], changed: Callable[[Collection[str]], None]) -> None:
        """Wire to a world: ``sync`` brings it to the present, ``changed`` tells it which outputs moved."""
        self._sync, self._changed = sync, changed

    def write(self, values: Mapping[str, bool]) -> None:
        """Set outputs, all or none. Raises BusFault where a line is refused, ValueError for a role that is not one."""
        self._sync()
        if not self._alive:
            raise BusFault("gone", "lines were released")
        for role in values:
            if role not in self._outputs:
                raise ValueError(f"{role} is no output")
            if role in self.refused:
                raise BusFault(self.refused[role], role)
        self.writes += 1
        self._set_outputs(values)

    def read(self) -> dict[str, bool]:
        """Levels of every line as the process sees them."""
        self._sync()
        if not self._alive:
            raise BusFault("gone", "lines were released")
        return {**self.levels, **self.stuck} if self.stuck else dict(self.levels)

    def on_edge(self, callback: Callable[[str, bool], None]) -> None:
        """``callback`` runs inside whatever moved the world, at once; never after the process died."""
        self._callbacks.append(callback)

    def set_input(self, role: str, level: bool) -> None:
        """The circuit's side of an input; a role that is not fitted is ignored."""
        if self.levels.get(role, level) == level:
            return
        self.levels[role] = level
        if role not in self.stuck:
            for callback in tuple(self._callbacks):
                callback(role, level)

    def process_died(self) -> None:
        """The kernel takes the lines back: a Pi keeps output levels, a BeagleBone releases them to inactive."""
        self._sync()
        self._alive = False
        self._callbacks.clear()
        if self._board == "beaglebone":
            self._set_outputs(dict.fromkeys(self._outputs, False))

    def close(self) -> None:
        """Releasing the lines leaves the pins as the death of the process does."""
        if self._alive:
            self.process_died()

    def _set_outputs(self, values: Mapping[str, bool]) -> None:
        changed = [role for role, level in values.items() if self.levels[role] != level]
        if changed:
            self.levels.update(values)
            self._changed(changed)
