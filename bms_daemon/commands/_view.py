"""What the demo shows: a live screen on a terminal, a line every second elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol, TextIO

from bms_daemon.commands import _cells, _panes
from bms_daemon.commands._frames import Decoded, FrameTap
from bms_daemon.commands._notes import Note, Notes
from bms_daemon.commands._progress import Pace, Stopwatch
from bms_daemon.commands._screen import Screen
from bms_daemon.commands._text import Row, rule, words
from bms_daemon.config.schema import Settings
from bms_daemon.model import Snapshot

REDRAW_S, LINE_S = 0.25, 1.0
LEVELS = {"warning": "warn", "error": "bad", "critical": "bad"}


class View(Protocol):
    """Sees every snapshot, quickly, and shows some of them. ``end`` is called however the core ended."""

    def begin(self) -> None: ...

    def see(self, snapshot: Snapshot) -> None: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class Journey:
    """Simulated time since the start, its time of day, and how fast it really goes."""

    start_hour: float
    speed: float
    for_s: float | None
    watch: Stopwatch
    start_s: float = float("nan")
    now_s: float = 0.0

    @staticmethod
    def of(settings: Settings, speed: float, for_s: float | None) -> Journey:
        profile = getattr(settings.sim.world, "profile", None) if settings.sim else None
        return Journey(float(getattr(profile, "start_hour", 0.0)), speed, for_s, Stopwatch())

    def at(self, now_s: float) -> None:
        if self.start_s != self.start_s:
            self.start_s, self.watch = now_s, Stopwatch()
        self.now_s = now_s

    def clock(self, time_s: float) -> str:
        return _panes.time_of_day(max(0.0, time_s - self.start_s), self.start_hour)

    @property
    def elapsed_s(self) -> float:
        return self.now_s - self.start_s if self.start_s == self.start_s else 0.0

    @property
    def pace(self) -> str:
        """The speed that was asked for, and the real one where the machine is too slow for it."""
        wall_s = self.watch.elapsed_s
        real = self.elapsed_s / wall_s if wall_s > 1.0 else self.speed
        return f"{self.speed:g}x" if real > 0.9 * self.speed else f"{real:.0f}x of {self.speed:g}x"

    @property
    def progress(self) -> str:
        """How much of ``--for`` is over."""
        wall_s = self.watch.elapsed_s
        return "" if self.for_s is None else f"{min(wall_s, self.for_s):.0f}/{self.for_s:g} s"

    def summary(self, name: str, last: Snapshot | None) -> str:
        if last is None:
            return f"{name}: ended before the first tick"
        soc = f", SOC {100 * last.estimate.soc:.1f} %" if last.estimate.soc_valid else ""
        state = words(last.control.state.name)
        span = f"{self.elapsed_s / 60.0:.1f} simulated minutes in {self.watch.elapsed_s:.1f} s"
        return f"{name}: ended in {state} after {span}{soc}"


class LineView:
    """One line a second of the wall clock."""

    def __init__(self, settings: Settings, journey: Journey, out: TextIO) -> None:
        self._name, self._journey, self._out = settings.node.name, journey, out
        self._pace = Pace(LINE_S)
        self._last: Snapshot | None = None

    def begin(self) -> None:
        self._print(f"{self._name}: a simulated pack at {self._journey.speed:g}x; Ctrl-C ends it in good order")

    def see(self, snapshot: Snapshot) -> None:
        self._last = snapshot
        self._journey.at(snapshot.now_s)
        if self._pace.due():
            progress = self._journey.progress
            tail = f"  [{progress}]" if progress else ""
            self._print(f"{self._journey.clock(snapshot.now_s)}  {line(snapshot)}{tail}")

    def end(self) -> None:
        self._print(self._journey.summary(self._name, self._last))

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class LiveView:
    """The whole screen, four times a second, with the log and the bus on it."""

    def __init__(self, settings: Settings, journey: Journey, out: TextIO, notes: Notes) -> None:
        self._settings, self._journey, self._out, self._notes = settings, journey, out, notes
        self._screen, self._tap = Screen(out), FrameTap(settings.can)
        self._pace = Pace(REDRAW_S)
        self._last: Snapshot | None = None

    def begin(self) -> None:
        self._screen.enter()

    def see(self, snapshot: Snapshot) -> None:
        self._last = snapshot
        self._journey.at(snapshot.now_s)
        self._tap.listen(snapshot.now_s)
        if self._pace.due():
            self._tap.open(snapshot.now_s)
            self._screen.draw(self._picture(snapshot))

    def end(self) -> None:
        self._tap.close()
        self._notes.stop()
        self._screen.leave()
        for text in self._notes.loud():
            print(text, file=sys.stderr)
        print(self._journey.summary(self._settings.node.name, self._last), file=self._out, flush=True)

    def _picture(self, snapshot: Snapshot) -> list[Row]:
        can = self._settings.can
        bus = f"{can.interface} {can.channel}, {self._tap.frames_per_s:.0f} frames/s"
        scene = Scene(snapshot, self._settings, self._journey, list(self._notes.lines), self._tap.decoded(16), bus)
        return picture(scene, *self._screen.size)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that one picture is made of."""

    snapshot: Snapshot
    settings: Settings
    journey: Journey
    notes: list[Note]
    frames: list[Decoded]
    bus: str


def picture(scene: Scene, width: int, height: int) -> list[Row]:
    """Exactly ``height`` rows: the pack and its cells always, faults as they come, events and frames share the rest."""
    rows = [*_upper(scene, width), *_cell_field(scene, width, height)]
    faults = _panes.faults(scene.snapshot.faults, scene.snapshot.now_s)[: max(1, height // 6)]
    rows += [rule("faults", width), *faults]
    left = height - len(rows) - 2
    events = max(1, left // 2) if scene.frames else left
    rows += [rule("events", width), *_events(scene, events)]
    rows += [rule("CAN", width, scene.bus), *(_frame(frame, width) for frame in scene.frames[: max(0, left - events)])]
    return (rows + [[] for _ in range(height)])[:height]


def _upper(scene: Scene, width: int) -> list[Row]:
    snapshot, journey = scene.snapshot, scene.journey
    speed = "  ".join(part for part in (journey.pace, journey.progress) if part)
    return [
        _panes.header(snapshot, scene.settings.node.name, journey.clock(snapshot.now_s), speed),
        [("─" * width, "dim")],
        _panes.pack(snapshot),
        *_panes.limits(snapshot),
        _panes.left(snapshot.estimate),
        _panes.contactors(snapshot),
        _panes.temperatures(snapshot, scene.settings),
    ]


def _cell_field(scene: Scene, width: int, height: int) -> list[Row]:
    cells, series = scene.snapshot.measured.cells, scene.settings.pack.series
    taken = _cells.field_height(series, width, max(2, height // 3))
    return [_cells.heading(cells, width), *_cells.field(cells, scene.settings.cell, width, taken)]


def _events(scene: Scene, count: int) -> list[Row]:
    """The last ones, newest at the bottom; always ``count`` rows."""
    shown: list[Row] = [
        [(f"{scene.journey.clock(note.time_s)} ", "dim"), (note.text, LEVELS.get(note.level, ""))]
        for note in scene.notes[-count:]
    ]
    return shown + [[] for _ in range(count - len(shown))]


def _frame(frame: Decoded, width: int) -> Row:
    raw = f"{frame.data.hex(' '):<24}" if width >= 110 else ""
    return [(f"{frame.frame_id:03x} {raw}", "dim"), (f"{frame.name:<16}", "title"), (frame.text, "")]


def line(snapshot: Snapshot) -> str:
    """One line of text about a snapshot."""
    scan = _cells.usable(snapshot.measured.cells)
    pack = "no cell data" if scan is None else f"{scan.stack_v:6.2f} V {snapshot.measured.current_a:+7.2f} A"
    soc = f"SOC {100 * snapshot.estimate.soc:5.1f} %" if snapshot.estimate.soc_valid else "SOC unknown"
    worst = snapshot.faults.worst
    fault = f"  {worst.code} ({worst.reaction.name})" if worst else ""
    state = words(snapshot.control.state.name)
    return f"{state:<10} {pack}  {soc}  limits {_panes.binding_reason(snapshot.limits)}{fault}"
