"""GPIO lines against a stand-in for libgpiod's Python interface."""

from __future__ import annotations

import asyncio
import errno
import os
from types import SimpleNamespace
from typing import Any, ClassVar

import gpiod
import pytest
from gpiod.line import Direction, Edge, Value

from bms_daemon.buses import gpio
from bms_daemon.config.schema import Gpio, Line
from bms_daemon.model import BusFault

NAMES = {"GPIO17": 17, "GPIO27": 27, "GPIO22": 22, "GPIO5": 5}
TABLE = Gpio(
    chip="pinctrl-bcm2711",
    main=Line(line="GPIO17"),
    dead_man=Line(line=24),
    main_aux=Line(line="GPIO27", active_low=True),
    interlock=Line(line="GPIO22"),
    alert=Line(line="GPIO5", active_low=True),
)


class FakeRequest:
    def __init__(self, config: dict[int, gpiod.LineSettings]) -> None:
        self.config = config
        self.values = {offset: settings.output_value for offset, settings in config.items()}
        self.fd, self._far = os.pipe()
        self.events: list[SimpleNamespace] = []
        self.error: OSError | None = None
        self.released = False

    def set_values(self, values: dict[int, Value]) -> None:
        if self.error:
            raise self.error
        self.values.update(values)

    def get_values(self, offsets: list[int]) -> list[Value]:
        if self.error:
            raise self.error
        return [self.values[offset] for offset in offsets]

    def edge(self, offset: int, rising: bool) -> None:
        kinds = gpiod.EdgeEvent.Type
        kind = kinds.RISING_EDGE if rising else kinds.FALLING_EDGE
        self.events.append(SimpleNamespace(line_offset=offset, event_type=kind, Type=kinds))
        os.write(self._far, b"!")

    def read_edge_events(self) -> list[SimpleNamespace]:
        os.read(self.fd, 100)
        events, self.events = self.events, []
        return events

    def release(self) -> None:
        os.close(self.fd)
        os.close(self._far)
        self.released = True


class FakeChip:
    """Two chips by label; ``busy`` offsets are held by another program."""

    labels: ClassVar[dict[str, str]] = {"/dev/gpiochip0": "raspberrypi-exp-gpio", "/dev/gpiochip4": "pinctrl-bcm2711"}
    busy: ClassVar[dict[int, str]] = {}
    denied: ClassVar[set[str]] = set()
    requests: ClassVar[list[FakeRequest]] = []

    def __init__(self, path: str) -> None:
        if path in self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.path = path

    def __enter__(self) -> FakeChip:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...

    def get_info(self) -> SimpleNamespace:
        return SimpleNamespace(label=self.labels[self.path])

    def line_offset_from_id(self, line: str | int) -> int:
        if isinstance(line, int):
            if line >= 58:
                raise ValueError("line offset of out range")
            return line
        if line not in NAMES:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return NAMES[line]

    def get_line_info(self, offset: int) -> SimpleNamespace:
        return SimpleNamespace(offset=offset, used=offset in self.busy, consumer=self.busy.get(offset, ""))

    def request_lines(self, config: dict[int, gpiod.LineSettings], consumer: str) -> FakeRequest:
        assert consumer == "bms-daemon"
        if self.busy.keys() & config.keys():
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.requests.append(FakeRequest(config))
        return self.requests[-1]


@pytest.fixture(autouse=True)
def fake_gpiod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "gpiod", SimpleNamespace(Chip=FakeChip, LineSettings=gpiod.LineSettings))
    monkeypatch.setattr(gpio, "glob", lambda pattern: list(FakeChip.labels))
    monkeypatch.setattr(FakeChip, "busy", {})
    monkeypatch.setattr(FakeChip, "denied", set())
    monkeypatch.setattr(FakeChip, "requests", [])


def test_outputs_are_requested_inactive_and_inputs_with_both_edges() -> None:
    gpio.GpioLines(TABLE)
    config = FakeChip.requests[0].config
    assert set(config) == {17, 24, 27, 22, 5}
    for offset in (17, 24):
        assert (config[offset].direction, config[offset].output_value) == (Direction.OUTPUT, Value.INACTIVE)
        assert config[offset].edge_detection is Edge.NONE
    for offset in (27, 22, 5):
        assert (config[offset].direction, config[offset].edge_detection) == (Direction.INPUT, Edge.BOTH)
    assert [offset for offset, settings in config.items() if settings.active_low] == [27, 5]


@pytest.mark.parametrize("role", ["main", "main_aux"])
@pytest.mark.parametrize("active_low", [False, True])
def test_the_logical_sense_is_the_kernels_to_keep(role: str, active_low: bool) -> None:
    gpio.GpioLines(TABLE.model_copy(update={role: Line(line=3, active_low=active_low)}))
    assert FakeChip.requests[0].config[3].active_low is active_low


def test_lines_are_requested_once_and_written_in_one_call() -> None:
    lines = gpio.GpioLines(TABLE)
    lines.write({"main": True, "dead_man": True})
    lines.write({"dead_man": False})
    (request,) = FakeChip.requests
    assert (request.values[17], request.values[24]) == (Value.ACTIVE, Value.INACTIVE)


def test_reading_gives_every_line_by_role() -> None:
    lines = gpio.GpioLines(TABLE)
    FakeChip.requests[0].values.update({17: Value.ACTIVE, 22: Value.ACTIVE, 27: Value.INACTIVE})
    assert lines.read() == {
        "main": True,
        "dead_man": False,
        "main_aux": False,
        "interlock": True,
        "alert": False,
    }


@pytest.mark.parametrize("role", ["precharge", "main_aux", "mian"])
def test_only_fitted_outputs_can_be_written(role: str) -> None:
    with pytest.raises(KeyError):
        gpio.GpioLines(TABLE).write({role: False})


def test_edges_reach_the_loop_by_role_until_closed() -> None:
    seen: list[tuple[str, bool]] = []

    async def main() -> None:
        lines = gpio.GpioLines(TABLE)
        both = asyncio.Event()

        def note(role: str, level: bool) -> None:
            seen.append((role, level))
            if len(seen) == 2:
                both.set()

        lines.on_edge(note)
        FakeChip.requests[0].edge(22, rising=False)
        FakeChip.requests[0].edge(5, rising=True)
        await asyncio.wait_for(both.wait(), 5.0)
        lines.close()

    asyncio.run(main())
    assert seen == [("interlock", False), ("alert", True)]
    assert FakeChip.requests[0].released


@pytest.mark.parametrize(("number", "kind"), [(errno.ENODEV, "gone"), (errno.EIO, "gone"), (errno.EPERM, "denied")])
def test_a_refusal_of_the_kernel_is_a_bus_fault(number: int, kind: str) -> None:
    lines = gpio.GpioLines(TABLE)
    FakeChip.requests[0].error = OSError(number, os.strerror(number))
    for attempt in (lambda: lines.write({"main": False}), lines.read):
        with pytest.raises(BusFault) as raised:
            attempt()
        assert raised.value.kind == kind


def test_a_line_that_another_holds_is_named_with_its_holder() -> None:
    FakeChip.busy[27] = "sysfs"
    with pytest.raises(BusFault, match=r"busy: main_aux \(line 27\) is held by 'sysfs'"):
        gpio.GpioLines(TABLE)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"chip": "pinctrl-rp1"}, "no GPIO chip is labelled 'pinctrl-rp1'.*pinctrl-bcm2711"),
        ({"interlock": Line(line="GPIO99")}, "interlock: .*no line 'GPIO99'"),
        ({"interlock": Line(line=58)}, "interlock: .*no line 58"),
    ],
)
def test_a_chip_or_line_that_is_not_there_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BusFault, match=named):
        gpio.GpioLines(TABLE.model_copy(update=changes))


def test_a_foreign_chip_that_is_not_allowed_does_not_matter() -> None:
    FakeChip.denied.add("/dev/gpiochip0")
    gpio.GpioLines(TABLE)
    assert len(FakeChip.requests) == 1


def test_our_chip_without_permission_says_so() -> None:
    FakeChip.denied.add("/dev/gpiochip4")
    with pytest.raises(BusFault, match="group gpio"):
        gpio.GpioLines(TABLE)
