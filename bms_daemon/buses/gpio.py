"""GPIO lines by role, on libgpiod: requested once, all outputs inactive, edges of inputs reported in the loop."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from glob import glob
from os.path import realpath

import gpiod
from gpiod.line import Direction, Edge, Value

from bms_daemon.config.schema import Gpio, Line
from bms_daemon.model import BusFault

OUTPUTS = ("main", "main_negative", "precharge", "dead_man", "fan", "second_disconnect")
INPUTS = ("main_aux", "main_negative_aux", "precharge_aux", "emergency_stop", "interlock", "alert")
CONSUMER = "bms-daemon"
_LEVEL = {False: Value.INACTIVE, True: Value.ACTIVE}
_KINDS = {errno.EACCES: "denied", errno.EPERM: "denied", errno.EBUSY: "busy", errno.EINVAL: "refused"}
_PERMISSION = "add the daemon's user to the group gpio, or allow the chip in the unit (DeviceAllow)"


class GpioLines:
    """The lines of a ``[gpio]`` table. Implements ``ports.Lines``. Raises BusFault that says what to change."""

    def __init__(self, gpio: Gpio) -> None:
        lines = {role: line for role in OUTPUTS + INPUTS if isinstance(line := getattr(gpio, role), Line)}
        with _chip_labelled(gpio.chip) as chip:
            self._offsets = {role: _offset(chip, gpio.chip, role, line) for role, line in lines.items()}
            self._request = self._take(chip, lines)
        self._roles = {offset: role for role, offset in self._offsets.items()}
        self._outputs = {role: self._offsets[role] for role in OUTPUTS if role in self._offsets}
        self._order = list(self._offsets.values())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callback: Callable[[str, bool], None] | None = None

    def write(self, values: Mapping[str, bool]) -> None:
        """Set outputs now, in their logical sense. Raises KeyError for a role that is no fitted output."""
        levels: dict[int | str, Value] = {self._outputs[role]: _LEVEL[on] for role, on in values.items()}
        try:
            self._request.set_values(levels)
        except OSError as error:
            raise _fault(error, f"writing {', '.join(values)}") from error

    def read(self) -> dict[str, bool]:
        """Level of every line, inputs and outputs alike, in their logical sense."""
        try:
            values = self._request.get_values(self._order)
        except OSError as error:
            raise _fault(error, "reading the lines") from error
        return {role: value is Value.ACTIVE for role, value in zip(self._offsets, values, strict=True)}

    def on_edge(self, callback: Callable[[str, bool], None]) -> None:
        """Call back in the running loop for every edge of an input. A second call replaces the first."""
        self._callback = callback
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._request.fd, self._edges)

    def close(self) -> None:
        self._unwatch()
        self._request.release()

    def _take(self, chip: gpiod.Chip, lines: Mapping[str, Line]) -> gpiod.LineRequest:
        config: dict[Iterable[int | str] | int | str, gpiod.LineSettings | None]
        config = {self._offsets[role]: _settings(role, line) for role, line in lines.items()}
        try:
            return chip.request_lines(config, consumer=CONSUMER)
        except OSError as error:
            raise _fault(error, self._refusal(chip, error)) from error

    def _refusal(self, chip: gpiod.Chip, error: OSError) -> str:
        if error.errno != errno.EBUSY:
            return "requesting the lines"
        held = []
        for role, offset in self._offsets.items():
            info = chip.get_line_info(offset)
            if info.used:
                held.append(f"{role} (line {offset}) is held by {info.consumer!r}")
        return f"{'; '.join(held) or 'a line is held'}: stop that program or disable that kernel driver"

    def _edges(self) -> None:
        try:
            events = self._request.read_edge_events()
        except OSError:
            self._unwatch()  # the periodic read reports the loss
            return
        for event in events:
            if self._callback is not None:
                self._callback(self._roles[event.line_offset], event.event_type is event.Type.RISING_EDGE)

    def _unwatch(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._request.fd)
        self._loop = None


def _settings(role: str, line: Line) -> gpiod.LineSettings:
    if role in OUTPUTS:
        return gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE, active_low=line.active_low)
    return gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.BOTH, active_low=line.active_low)


def _chip_labelled(label: str) -> gpiod.Chip:
    """The chip, open. Numbers change between kernels, and chips that the unit does not allow are none of ours."""
    found = []
    for path in sorted({realpath(path) for path in glob("/dev/gpiochip*")}):
        try:
            chip = gpiod.Chip(path)
        except OSError as error:
            found.append(str(_fault(error, path)))
            continue
        present = chip.get_info().label
        if present == label:
            return chip
        chip.close()
        found.append(f"{path}: {present}")
    raise BusFault("gone", f"no GPIO chip is labelled {label!r}; there are: {', '.join(found) or 'none'}")


def _offset(chip: gpiod.Chip, label: str, role: str, line: Line) -> int:
    try:
        return chip.line_offset_from_id(line.line)
    except (OSError, ValueError) as error:
        detail = f"{role}: chip {label!r} has no line {line.line!r}; gpioinfo lists its lines"
        raise BusFault("gone", detail) from error


def _fault(error: OSError, doing: str) -> BusFault:
    kind = _KINDS.get(error.errno or 0, "gone")
    hint = f"; {_PERMISSION}" if kind == "denied" else ""
    return BusFault(kind, f"{doing}: {error.strerror}{hint}")
