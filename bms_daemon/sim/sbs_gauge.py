"""A smart battery's gauge: what it measures and when, its coulomb counter, and ways to spoil them.

Current is measured every 0.25 s, voltages and temperature on a slower beat. The counter sees the faulty current, as a
real one would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, floor, inf, isnan

import numpy as np

from bms_daemon.sim.sbs_protect import Guards
from bms_daemon.sim.taps import Taps

FAST_S, SLOW_S, AVERAGE_S = 0.25, 1.0, 60.0
START_S = 0.25  # from a reset to the first measurement
NOISE_V, NOISE_A = 0.0004, 0.001
LARGEST_A = 1e6  # its amplifier shows no more
OPEN_NTC_DEGC = -40.0
_EDGE = 1e-7


@dataclass(slots=True)
class Faults:
    """The test's back door. Counts go down with every use; cells count from 0 in the pack's order."""

    mute: bool = False  # works, but acknowledges nothing
    wrong_address: bool = False  # works at another address: nobody is at its own
    frozen: bool = False  # answers; measures, counts and protects no more
    pec_errors: int = 0  # answers with a wrong PEC
    busy: int = 0  # answers of BatteryStatus with the error code for busy
    voltage_offset_v: float = 0.0  # on Voltage() alone
    cell_offset_v: dict[int, float] = field(default_factory=dict)
    current_gain: float = 1.0
    current_inverted: bool = False
    soc_offset: float = 0.0
    raw: dict[int, int] = field(default_factory=dict)  # words by command
    missing: set[int] = field(default_factory=set)  # commands that are not acknowledged
    alarms: int = 0  # bits of BatteryStatus that stand whatever is measured


@dataclass(slots=True)
class Reading:
    """What was measured last; all zero before anything was."""

    done: bool = False
    voltage_v: float = 0.0
    cell_v: list[float] = field(default_factory=list)
    degc: float = -273.15
    current_a: float = 0.0
    average_a: float = 0.0
    left_ah: float = 0.0
    full_ah: float = 0.0


class Beat:
    """What comes at regular instants."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.start(0.0)

    def start(self, first_s: float) -> None:
        self._first_s, self._done = first_s, -1

    @property
    def next_s(self) -> float:
        return self._first_s + (self._done + 1) * self.period_s

    def passed(self, now_s: float) -> int:
        """How many instants have come since it was asked last."""
        done, self._done = self._done, max(self._done, floor((now_s + _EDGE - self._first_s) / self.period_s))
        return self._done - done


class Gauge:
    """``renewed_s``: how often voltages are measured; ``phase_s``: when, counted from the first ``advance``."""

    def __init__(
        self, taps: Taps, seed: int, capacity_ah: float, soc: float, renewed_s: float, phase_s: float = 0.0
    ) -> None:
        self.faults = Faults()
        self.guards = Guards()
        self.reading = Reading()
        self.now_s = -inf
        self.drawn_ah = 0.0
        self._taps, self._capacity_ah = taps, capacity_ah
        self._charge_ah = soc * capacity_ah
        self._noise = np.random.default_rng(seed)
        self._phase_s = phase_s
        self._fast, self._slow = Beat(FAST_S), Beat(renewed_s)
        self._last_a = 0.0

    def reset(self) -> None:
        """Readings are lost, the next comes START_S from now; what it has counted stays."""
        self.reading = Reading()
        self.guards.reset()
        if self.now_s > -inf:
            self._fast.start(self.now_s + START_S)
            self._slow.start(self.now_s + START_S)

    @property
    def next_s(self) -> float:
        """When it measures next, at once if that is overdue."""
        if self.faults.frozen:
            return inf
        return max(self.now_s, min(self._fast.next_s, self._slow.next_s))

    # ------------------------------------------------------------------ time
    def advance(self, now_s: float) -> None:
        if self.now_s == -inf:
            self._begin(now_s)
        if now_s > self.now_s:
            self._count(now_s - self.now_s)
            self.now_s = now_s
        if not self.faults.frozen:
            self._convert()

    def _begin(self, now_s: float) -> None:
        """It has been awake for long: one measurement at once, the others on their beats."""
        self.now_s, self._last_a = now_s, self._current_a()
        self._measure_fast(0.0)
        self._measure_slow()
        self.guards.judge(now_s, self._seen())
        for beat in (self._fast, self._slow):
            beat.start(now_s + (self._phase_s % beat.period_s or beat.period_s))

    def _count(self, step_s: float) -> None:
        """Trapezium over the step; nothing while it stands still."""
        current_a, last_a = self._current_a(), self._last_a
        self._last_a = current_a
        if self.faults.frozen:
            return
        moved_ah = 0.5 * (current_a + last_a) * step_s / 3600.0
        self._charge_ah = min(max(self._charge_ah + moved_ah, 0.0), self._capacity_ah)
        self.drawn_ah += max(0.0, -moved_ah)

    def _convert(self) -> None:
        """The measurements that are due; after a jump only the last of them."""
        fast, slow = self._fast.passed(self.now_s), self._slow.passed(self.now_s)
        if fast:
            self._measure_fast(fast * FAST_S)
        if slow:
            self._measure_slow()
        if fast or slow:
            self.guards.judge(self.now_s, self._seen())

    # ------------------------------------------------------------------ measurement
    def _current_a(self) -> float:
        side, current_a = -1.0 if self.faults.current_inverted else 1.0, float(self._taps.current_a)
        seen_a = min(LARGEST_A, max(-LARGEST_A, side * self.faults.current_gain * current_a))
        return 0.0 if isnan(current_a) else seen_a

    def _measure_fast(self, since_s: float) -> None:
        reading = self.reading
        reading.current_a = self._current_a() + NOISE_A * float(self._noise.standard_normal())
        weight = 1.0 - exp(-since_s / AVERAGE_S) if reading.done else 1.0
        reading.average_a += (reading.current_a - reading.average_a) * weight

    def _measure_slow(self) -> None:
        reading, taps = self.reading, self._taps
        cell_v = np.array(taps.cell_v, dtype=float)
        cell_v += NOISE_V * self._noise.standard_normal(cell_v.size)
        for cell, offset_v in self.faults.cell_offset_v.items():
            cell_v[cell] += offset_v
        reading.cell_v = cell_v.tolist()
        reading.voltage_v = float(taps.stack_v) + self.faults.voltage_offset_v
        reading.degc = self._hottest_degc()
        reading.left_ah = min(max(self._charge_ah + self.faults.soc_offset * self._capacity_ah, 0.0), self._capacity_ah)
        reading.full_ah = self._capacity_ah
        reading.done = True

    def _hottest_degc(self) -> float:
        """Of its probes, an open one reading cold; of the chip itself where there is none."""
        probes = [float(degc) for degc in self._taps.probe_degc] or [float(self._taps.die_degc)]
        return max(OPEN_NTC_DEGC if isnan(degc) else degc for degc in probes)

    def _seen(self) -> dict[str, float]:
        reading = self.reading
        rate = reading.current_a / self._capacity_ah
        return {
            "high_v": max(reading.cell_v),
            "minus_low_v": -min(reading.cell_v),
            "degc": reading.degc,
            "charging": rate,
            "discharging": -rate,
        }
