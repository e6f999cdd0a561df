"""Replay: a recording through the emulators' registers and the whole daemon, at its shipped rates, on manual time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bms_daemon.app.build import Installation, build
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.config.schema import Settings
from bms_daemon.model import Doubt, PackState, Quality, Reaction, Snapshot
from bms_daemon.offline.operator import Operator
from bms_daemon.offline.player import Player
from bms_daemon.offline.recording import Recording
from bms_daemon.offline.timeline import COLD_S, Part, parts_of
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import afe_of, bus_of, port_of, talker_of
from bms_daemon.sim.gate import CoilGate
from bms_daemon.sim.gpio import SimLines
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.world import World

WARM_UP_S = 10.7  # the one temperature scan a second comes 0.3 s after whole seconds of the rows: conversions are done
SETTLE_S = 0.45  # what a new row needs to come through the chip's conversions and the scans
AFTER_S = 0.1  # the last row has been judged by then
VALUE_DOUBTS = Doubt.CELLS_ABSENT | Doubt.CELL_MISSING | Doubt.CELL_RANGE | Doubt.PROBE_RANGE | Doubt.PROBES_FEW
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Line:
    """What the daemon made of one row. ``reaction`` is the worst class in force while the row was served."""

    row: int
    quality: str
    reason: str
    reaction: str
    state: str


def replay(
    recording: Recording, settings: Settings, operator: bool = True, progress: Progress | None = None
) -> list[Line]:
    """Run a whole recording; one line a row, in the file's order. Cells must be as many as the configuration says."""
    lines = {row: _unserved(recording, row) for row in range(recording.rows)}
    with tempfile.TemporaryDirectory(prefix="bms-replay-") as folder:
        placed = _placed(settings, Path(folder))
        commission_afresh(placed)
        for number, part in enumerate(parts_of(recording, settings)):
            judge = Judge(recording, part, progress)
            hands = 2 if operator else int(number == 0)
            run_manual(_run_part(recording, part, placed, judge, hands))
            lines |= {line.row: line for line in judge.lines}
    return [lines[row] for row in sorted(lines)]


def _placed(settings: Settings, folder: Path) -> Settings:
    """The same configuration with its files in a folder of this run's own."""
    return settings.model_copy(
        update={
            "journal": settings.journal.model_copy(update={"path": folder / "journal"}),
            "link": settings.link.model_copy(update={"socket": folder / "link"}),
        }
    )


def _unserved(recording: Recording, row: int) -> Line:
    return Line(row, "bad", f"time: {recording.dt_s[row]:g} s after the row before", "none", "")


async def _run_part(recording: Recording, part: Part, settings: Settings, judge: Judge, hands: int) -> None:
    """One life of the daemon. ``hands``: 0 nobody operates, 1 the pack is closed once, 2 also after every fault."""
    loop = asyncio.get_running_loop()
    start_s = loop.time() + WARM_UP_S
    player, hardware = _hardware(recording, part, settings, start_s)
    installation = build(settings, hardware, linked=False)
    core = installation.core
    judge.start_s = start_s
    core.watchers.append(judge.see)
    if hands:
        core.watchers.append(Operator(core.parts.orders.ask, once=hands == 1).see)

    def end() -> None:
        player.end()
        core.shutdown()

    loop.call_at(start_s + part.end_s + AFTER_S, end)
    await _to_the_end(installation)
    judge.finish()


async def _to_the_end(installation: Installation) -> None:
    try:
        await installation.core.run()
    finally:
        installation.close()


def _hardware(recording: Recording, part: Part, settings: Settings, start_s: float) -> tuple[Player, Hardware]:
    assert settings.sim is not None and isinstance(settings.sim.world, WorldSettings)
    data = settings.sim.world
    player = Player(recording, part, data, start_s)
    chip = afe_of(data, player.taps)
    talker = talker_of(data, player.taps) if settings.shunt is not None else None
    lines = SimLines(data.board)
    world = World(player, chip, talker, lines, CoilGate(data.dead_man_s, data.path == "fets"))
    bus = bus_of(data, chip, world.sync)
    port = port_of(data, talker, world.sync) if talker is not None else None

    def silence(silent: bool) -> None:
        """Nobody speaks who recorded nothing."""
        for wire in (bus, port):
            if wire is not None:
                wire.fall_silent(silent)

    player.on_silence = silence
    return player, Hardware(bus, port, lines, world)


class Judge:
    """Watches the daemon and writes one line a row: what its own validation said while the row was served."""

    def __init__(self, recording: Recording, part: Part, progress: Progress | None = None) -> None:
        self.lines: list[Line] = []
        self.start_s = 0.0
        self._dt_s = recording.dt_s
        self._windows, self._progress = part.windows, progress
        self._at = 0
        self._doubts, self._why, self._worst = Doubt.NONE, "", -1
        self._silent = False  # whether the daemon called the cells lost since the row before
        self._state = PackState.SAFE

    def see(self, snapshot: Snapshot) -> None:
        now_s = snapshot.now_s - self.start_s
        while self._at < len(self._windows) and now_s >= self._windows[self._at][2]:
            self._close()
        if self._at == len(self._windows) or now_s < self._windows[self._at][1]:
            self._silent |= snapshot.measured.cells.quality is Quality.FAILED
            return
        self._state = snapshot.control.state
        worst = snapshot.faults.worst
        self._worst = max(self._worst, worst.reaction if worst else -1)
        if now_s >= self._windows[self._at][1] + SETTLE_S:
            self._look(snapshot)

    def finish(self) -> None:
        while self._at < len(self._windows):
            self._close()

    def _look(self, snapshot: Snapshot) -> None:
        doubts = snapshot.measured.doubts & VALUE_DOUBTS
        if doubts & ~self._doubts:
            self._doubts |= doubts
            cells = snapshot.measured.cells
            detail = f" ({cells.reason})" if cells.reason else ""
            self._why = "value: " + ", ".join(str(doubt.name).lower() for doubt in self._doubts) + detail

    def _time_reason(self, dt_s: float) -> str:
        """A cold start is one by its nature; silence counts only where the daemon noticed it by itself."""
        if self._at == 0:
            return f"time: cold start after a gap of {dt_s:g} s" if dt_s > COLD_S else ""
        return f"time: silence in a gap of {dt_s:g} s" if self._silent else ""

    def _close(self) -> None:
        row = self._windows[self._at][0]
        reasons = [text for text in (self._why, self._time_reason(float(self._dt_s[row]))) if text]
        reaction = Reaction(self._worst).name.lower() if self._worst >= 0 else "none"
        quality = "bad" if reasons else "good"
        self.lines.append(Line(row, quality, "; ".join(reasons), reaction, self._state.name.lower()))
        self._doubts, self._why, self._worst, self._silent = Doubt.NONE, "", -1, False
        self._at += 1
        if self._progress is not None:
            self._progress(row)




def fits(recording: Recording, settings: Settings) -> str:
    """Why a recording cannot be played on a configuration; empty if it can."""
    if settings.sim is None or not isinstance(settings.sim.world, WorldSettings):
        return "replay needs a configuration with a [sim] table"
    if settings.shunt is not None and settings.shunt.kind == "vedirect":
        return "replay plays no battery monitor's state of charge: leave out [shunt]"
    cells, probes = recording.cell_v.shape[1], recording.probe_degc.shape[1]
    wired = settings.afe.settings.probe_count
    if cells != settings.pack.series:
        return f"{cells} cells are selected, pack.series is {settings.pack.series}: choose with --cells"
    return f"{probes} probes are mapped, afe.settings.probes names {wired}" if probes != wired else ""
