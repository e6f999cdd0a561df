"""Emulator of the Isabellenhuette IVT-S current sensor on CAN: eight results sent by themselves, commands, answers.

Taken from memory, not from a confirmed source: the identifier byte of answers (command | 0x80), the sign bit of a
configuration, and the cycle times as shipped. A command that mode, length or value forbids is not answered. A trigger
sends every result that is configured to it, whatever follows it. In STOP nothing is measured, so the counters stand.
A result's sign bit turns that result alone. Over-current thresholds, their test and other bit rates are left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from bms_daemon.sim.taps import Taps

Wired = Literal["pack_v", "link_v", "stack_v"]
_Frames = list[tuple[int, bytes]]

STORE_S = 0.2
BOOT_S = 0.3
LONGEST_S = 1.0  # frames that an advance makes up for
NOISE_A = 0.02
TRIGGERED, CYCLIC = 1, 2  # mode nibble; 0: disabled
LITTLE_ENDIAN, NEGATIVE = 0x40, 0x80
OUT_OF_RANGE = 0x20
_HIGHEST = 2**31 - 1
_EDGE = 1e-9


@dataclass(slots=True)
class Faults:
    """The test's back door. Results are counted 0..7: I, U1, U2, U3, T, W, As, Wh; U channels 1..3."""

    silent: bool = False  # works and hears, says nothing
    stuck: bool = False  # frames go on with the values they had, counters rise
    frozen_counter: bool = False  # message counters stand, values go on
    ocs: bool = False
    out_of_range: bool = False
    any_error: bool = False
    system_error: bool = False
    offset_a: float = 0.0
    gain: float = 1.0
    inverted: bool = False  # mounted the other way round
    u_offset_v: dict[int, float] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)  # results that never reach the bus; their counters rise

    @property
    def status(self) -> int:
        """Bits 4..7 of every result's second byte."""
        return self.ocs << 4 | self.out_of_range << 5 | self.any_error << 6 | self.system_error << 7


@dataclass(frozen=True, slots=True)
class _Setup:
    """What STORE keeps."""

    results: tuple[tuple[int, int], ...]  # mode byte, cycle in ms
    runs: bool  # after a start


_SHIPPED = _Setup(tuple((CYCLIC, cycle_ms) for cycle_ms in (20, 60, 60, 60, 100, 30, 30, 30)), True)


class IvtS:
    """Implements ``sim.taps.CanTalker``. ``u1`` to ``u3`` say which voltage each input is wired to; power is U1's.

    Starts as shipped and running, at the first ``advance``. Values are sampled when a result's cycle ends. A command
    acts as of the last ``advance`` before it was heard. The counters see the faulty current, as a real one's would.
    """

    def __init__(
        self,
        taps: Taps,
        seed: int = 0,
        u1: Wired = "pack_v",
        u2: Wired = "link_v",
        u3: Wired = "stack_v",
        base_id: int = 0x521,
        command_id: int = 0x411,
        response_id: int = 0x511,
        noise_a: float = NOISE_A,
    ) -> None:
        self.faults = Faults()
        self._taps = taps
        self._random = random.Random(seed)
        self._wiring: tuple[Wired, ...] = (u1, u2, u3)
        self._base_id, self._command_id, self._response_id = base_id, command_id, response_id
        self._noise_a = noise_a
        self._stored = _SHIPPED
        self._now_s = self._counted_s = -inf
        self._heard: list[bytes] = []
        self._reset()
        self._occupy(0.0, self._boot)

    def power_on_reset(self) -> None:
        """Reset now: back to the stored configuration, counters zero, deaf and silent for ``BOOT_S``."""
        self._reset()
        self._occupy(BOOT_S, self._boot)

    # ------------------------------------------------------------------ CanTalker
    def advance(self, now_s: float) -> list[tuple[int, bytes]]:
        if self._now_s == -inf:
            self._now_s = now_s
            self._finish()
        frames = self._obey_all()
        self.count(now_s)
        if now_s + _EDGE >= self._busy_until_s:
            frames += self._finish()
        if now_s + _EDGE >= self._soonest_s:
            frames += self._results(now_s)
        self._now_s = max(now_s, self._now_s)
        return [] if self.faults.silent else frames

    @property
    def next_event_s(self) -> float:
        asked_s = self._now_s if self._heard else inf
        return max(0.0, min(asked_s, self._busy_until_s, self._soonest_s))

    def hear(self, frame_id: int, data: bytes) -> None:
        if frame_id == self._command_id and data:
            self._heard.append(data)

    # ------------------------------------------------------------------ start, stop, time
    def _reset(self) -> None:
        self._setup = self._stored
        self._counters = [0] * 8
        self._raw: list[int | None] = [None] * 8  # as sent last
        self._charge_as = self._energy_ws = self._last_a = self._last_w = 0.0
        self._stop()

    def _stop(self) -> None:
        self._running = False
        self._soonest_s = inf

    def _run(self, start_s: float) -> None:
        self._running = True
        self._start_s = start_s
        self._ends = [0] * 8  # cycles that have ended since the start
        self._last_a, self._last_w = self._measured_a(), self._power_w()
        self._soonest_s = min(map(self._next_end_s, range(8)))

    def _occupy(self, seconds: float, then: Callable[[], None]) -> None:
        """Deaf for so long; then act and answer if somebody asked."""
        self._busy_until_s = self._now_s + seconds
        self._then, self._answer = then, b""

    def _finish(self) -> _Frames:
        self._then()
        self._busy_until_s = inf
        return [(self._response_id, self._answer)] if self._answer else []

    def _boot(self) -> None:
        if self._setup.runs:
            self._run(max(self._busy_until_s, self._now_s))

    def _keep(self) -> None:
        self._stored = self._setup

    # ------------------------------------------------------------------ commands
    def _obey_all(self) -> _Frames:
        heard, self._heard = self._heard, []
        return [frame for data in heard if self._busy_until_s == inf for frame in self._obey(data)]

    def _obey(self, data: bytes) -> _Frames:
        """The answer, and what a trigger asks for. STORE and restarts answer when they are done."""
        command = _COMMANDS.get(data[0])
        if command is None or len(data) < command.needs or command.running not in (None, self._running):
            return []
        frames = command.act(self, data)
        answer = (bytes([data[0] | 0x80]) + data[1 : command.needs]).ljust(8, b"\0")
        if self._busy_until_s < inf:
            self._answer = answer
            return []
        return [] if frames is None else [(self._response_id, answer), *frames]

    def _configure(self, data: bytes) -> _Frames | None:
        number, mode, cycle_ms = data[0] & 7, data[1], int.from_bytes(data[2:4], "big")
        if mode & 0x3F > CYCLIC or (mode & 0x0F == CYCLIC and not cycle_ms):
            return None
        results = list(self._setup.results)
        results[number] = (mode, cycle_ms)
        self._setup = replace(self._setup, results=tuple(results))
        return []

    def _trigger(self, data: bytes) -> _Frames:
        return self._frames([k for k, (mode, _) in enumerate(self._setup.results) if mode & 0x0F == TRIGGERED])

    def _store(self, data: bytes) -> _Frames:
        self._occupy(STORE_S, self._keep)
        return []

    def _set_mode(self, data: bytes) -> _Frames | None:
        if max(data[1:3]) > 1:
            return None
        self._setup = replace(self._setup, runs=bool(data[2]))
        if not data[1]:
            self._stop()
        elif not self._running:
            self._run(self._now_s)
        return []

    def _restart(self, data: bytes) -> _Frames:
        if data[0] == 0x3D:
            self._stored = _SHIPPED
        self._reset()
        self._occupy(BOOT_S, self._boot)
        return []

    # ------------------------------------------------------------------ measurement
    def _measured_a(self) -> float:
        faults = self.faults
        side = -1.0 if faults.inverted else 1.0
        return side * faults.gain * self._taps.current_a + faults.offset_a

    def _measured_v(self, channel: int) -> float:
        volts: float = getattr(self._taps, self._wiring[channel - 1])
        return volts + self.faults.u_offset_v.get(channel, 0.0)

    def _power_w(self) -> float:
        return self._measured_v(1) * self._measured_a()

    def count(self, now_s: float) -> None:
        """See ``taps.Counts``."""
        counting = self._running and self._counted_s > -inf
        step_s = max(0.0, now_s - self._counted_s) if counting else 0.0
        current_a, power_w = self._measured_a(), self._power_w()
        self._charge_as += 0.5 * (current_a + self._last_a) * step_s
        self._energy_ws += 0.5 * (power_w + self._last_w) * step_s
        self._last_a, self._last_w, self._counted_s = current_a, power_w, max(self._counted_s, now_s)

    def _value(self, number: int) -> float:
        """A result in its own unit: mA, mV, 0.1 degC, W, As, Wh."""
        if number == 0:
            return 1000.0 * (self._measured_a() + self._random.gauss(0.0, self._noise_a))
        if number <= 3:
            return 1000.0 * self._measured_v(number)
        return (10.0 * self._taps.die_degc, self._power_w(), self._charge_as, self._energy_ws / 3600.0)[number - 4]

    # ------------------------------------------------------------------ results
    def _next_end_s(self, number: int) -> float:
        mode, cycle_ms = self._setup.results[number]
        return self._start_s + (self._ends[number] + 1) * cycle_ms / 1000.0 if mode & 0x0F == CYCLIC else inf

    def _results(self, now_s: float) -> _Frames:
        """Of every cycle that has ended since the last call, at most ``LONGEST_S`` back, oldest first."""
        ended = [(end_s, number) for number in range(8) for end_s in self._ended(number, now_s)]
        self._soonest_s = min(map(self._next_end_s, range(8)))
        return self._frames([number for _, number in sorted(ended)])

    def _ended(self, number: int, now_s: float) -> list[float]:
        if self._next_end_s(number) > now_s + _EDGE:
            return []
        too_old = int((now_s - LONGEST_S - self._start_s) * 1000.0 / self._setup.results[number][1])
        if too_old > self._ends[number]:
            self._raise_counter(number, too_old - self._ends[number])
            self._ends[number] = too_old
        ends_s = []
        while (end_s := self._next_end_s(number)) <= now_s + _EDGE:
            ends_s.append(end_s)
            self._ends[number] += 1
        return ends_s

    def _frames(self, numbers: list[int]) -> _Frames:
        frames = [(number, self._frame(number)) for number in numbers]
        return [(self._base_id + number, data) for number, data in frames if number not in self.faults.lost]

    def _frame(self, number: int) -> bytes:
        mode, _ = self._setup.results[number]
        value = -self._value(number) if mode & NEGATIVE else self._value(number)
        status = self.faults.status | (0 if abs(value) <= _HIGHEST else OUT_OF_RANGE)
        raw = self._raw[number]
        if raw is None or not self.faults.stuck:
            self._raw[number] = raw = round(min(_HIGHEST, max(-_HIGHEST, value)))
        head = bytes([number, status | self._counters[number]])
        self._raise_counter(number, 1)
        return head + raw.to_bytes(4, "little" if mode & LITTLE_ENDIAN else "big", signed=True)

    def _raise_counter(self, number: int, by: int) -> None:
        if not self.faults.frozen_counter:
            self._counters[number] = (self._counters[number] + by) & 0x0F


@dataclass(frozen=True, slots=True)
class _Command:
    act: Callable[[IvtS, bytes], _Frames | None]  # None: refused
    needs: int = 1  # bytes, and so many are echoed
    running: bool | None = None  # in RUN only, in STOP only, or in both


_COMMANDS: dict[int, _Command] = {
    **{0x20 + number: _Command(IvtS._configure, needs=4, running=False) for number in range(8)},
    0x30: _Command(lambda sensor, data: []),
    0x31: _Command(IvtS._trigger, running=True),
    0x32: _Command(IvtS._store, running=False),
    0x34: _Command(IvtS._set_mode, needs=3),
    0x3D: _Command(IvtS._restart, running=False),
    0x3F: _Command(IvtS._restart),
}
