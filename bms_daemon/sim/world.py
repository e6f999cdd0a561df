"""The simulated world as one clockwork: every access to a wire first brings all of it to the present instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from math import inf

from bms_daemon.sim.gate import CoilGate
from bms_daemon.sim.gpio import INPUTS, SimLines
from bms_daemon.sim.taps import CanTalker, Chip, Counts, Pack, Talker

COILS = ("main", "precharge", "main_negative")
MAX_STEP_S = 0.02
MIN_SLEEP_S = 0.001


def loop_time_s() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


def _nothing(now_s: float) -> None:
    """Of a sensor that does not count."""


class World:
    """Keeps pack, chip, coil gate and lines at one instant. Time never runs backwards.

    ``effects`` says what an output besides the coils does (fan, second disconnect), by role. ``talker`` is advanced by
    its own wire, which collects what it says; here it only says when it will speak, and counts what flows if it does.
    """

    def __init__(
        self,
        pack: Pack,
        chip: Chip | None,
        talker: Talker | CanTalker | None,
        lines: SimLines,
        gate: CoilGate,
        effects: Mapping[str, Callable[[bool], None]] | None = None,
        clock: Callable[[], float] = loop_time_s,
    ) -> None:
        self.pack, self.chip, self.talker, self.lines, self.gate = pack, chip, talker, lines, gate
        self.interlock_closed = True
        self.now_s = -inf
        self._count: Callable[[float], None] = talker.count if isinstance(talker, Counts) else _nothing
        self._effects = dict(effects or {})
        self._clock = clock
        self._shown: tuple[bool, ...] = ()
        lines.connect(self.sync_now, self._outputs_changed)
        self.show_inputs()

    @property
    def next_event_s(self) -> float:
        """When something will next happen by itself."""
        chip_s = self.chip.next_event_s if self.chip else inf
        talker_s = self.talker.next_event_s if self.talker else inf
        return min(self.gate.next_event_s, chip_s, talker_s)

    def sync_now(self) -> None:
        """Bring everything to the clock's present."""
        self.sync(self._clock())

    def sync(self, now_s: float) -> None:
        """Bring everything to ``now_s`` in bounded steps; the first call sets the start. The past changes nothing."""
        if self.now_s == -inf:
            self._begin(now_s)
        self._sample_chip()
        while self.now_s < now_s:
            self._advance(min(now_s, self.now_s + MAX_STEP_S, self._next_turn_s()))

    async def run(self) -> None:
        """Keep the world moving while nobody looks; ends when cancelled."""
        while True:
            self.sync_now()
            wait_s = min(self._next_turn_s() - self.now_s, MAX_STEP_S)
            await asyncio.sleep(max(wait_s, MIN_SLEEP_S))

    def process_died(self) -> None:
        """The daemon is gone; the world goes on."""
        self.lines.process_died()

    def emergency_stop(self, pressed: bool) -> None:
        """Press or pull the emergency stop: coil supply and input line at once."""
        self.sync_now()
        self.gate.emergency_stop(self.now_s, not pressed)
        self.show_inputs()

    def interlock(self, closed: bool) -> None:
        """Open or close the high-voltage interlock loop."""
        self.sync_now()
        self.interlock_closed = closed
        self.show_inputs()

    def show_inputs(self) -> None:
        """Put the circuits' levels on the input lines; edges call back."""
        if (levels := self._inputs()) == self._shown:
            return
        self._shown = levels
        for at, role in enumerate(INPUTS):
            self.lines.set_input(role, self._inputs()[at])

    def _inputs(self) -> tuple[bool, ...]:
        """Levels in the order of INPUTS; read anew for each line, because an edge's callback may move the world."""
        alert = self.chip is not None and self.chip.alert
        pack = self.pack
        contacts = pack.main_aux, pack.main_negative_aux, pack.precharge_aux
        return *contacts, self.gate.emergency_closed, self.interlock_closed, alert

    def _begin(self, now_s: float) -> None:
        self.now_s = now_s
        self.pack.step(now_s, self.gate.coil(now_s))
        if self.chip:
            self.chip.advance(now_s)
        self._sample_chip()
        self.show_inputs()

    def _next_turn_s(self) -> float:
        """The next instant at which a coil may change by itself."""
        chip_s = self.chip.next_event_s if self.chip else inf
        return min(self.gate.next_event_s, chip_s if chip_s > self.now_s else inf)

    def _advance(self, until_s: float) -> None:
        self.pack.step(until_s, self.gate.coil(self.now_s))
        self.now_s = until_s
        self._count(until_s)
        self.gate.coil(until_s)
        if self.chip:
            self.chip.advance(until_s)
            self._sample_chip()
        self.show_inputs()

    def _sample_chip(self) -> None:
        """Pins that a conversion, a timer or the transfer just before has moved."""
        if self.chip:
            self.gate.allow(self.now_s, self.chip.charge_allowed, self.chip.discharge_allowed)

    def _outputs_changed(self, changed: Collection[str]) -> None:
        levels = self.lines.levels
        if "dead_man" in changed:
            self.gate.dead_man_edge(self.now_s)
        self.gate.drive(self.now_s, *(levels.get(role, False) for role in COILS))
        for role in changed:
            if role in self._effects:
                self._effects[role](levels[role])
