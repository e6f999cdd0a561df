"""What a smart battery says to each command, in the standard's units, scaled as its SpecificationInfo tells.

Currents and capacities scale by IPScale, voltages by VScale, but never ChargingCurrent and ChargingVoltage (TI
SLUUBT5C). Times of 65535 minutes mean "not available".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bms_daemon.sim.sbs_gauge import Gauge, Reading
from bms_daemon.sim.sbs_protect import FULL_V, OVER_CURRENT, TERMINATE_CHARGE, TERMINATE_DISCHARGE

REMAINING_CAPACITY, REMAINING_TIME, INITIALIZED, DISCHARGING = 0x0200, 0x0100, 0x0080, 0x0040
CAPACITY_MODE, MODE_BITS, PASSING_BITS = 0x8000, 0xE000, 0x6000
PASSING_S = 60.0  # CHARGER_MODE and ALARM_MODE fall back so long after they were written
NOT_AVAILABLE = 0xFFFF
NOMINAL_V, CELLS_TOLD = 3.6, 4
CYCLES, DATE_2024_05_17, SERIAL = 12, 0x58B1, 4711
MAX_ERROR_PERCENT = 3
CHARGE_DEGC, CHARGE_RATE = (0.0, 45.0), 0.5
STILL_A = 0.01
RATE_S = 10.0  # AtRateOK: so long it must last


@dataclass(slots=True)
class Written:
    """What a host may write, in ampere-hours, amperes and minutes."""

    access: int = 0
    alarm_ah: float = 0.0
    alarm_minutes: int = 10
    mode: int = 0
    passing_until_s: float = 0.0
    at_rate_a: float = 0.0


class Words:
    """Commands 0x00 to 0x1C and 0x3C to 0x3F as words."""

    def __init__(self, gauge: Gauge, capacity_ah: float, series: int, told: int, pec: bool, mode: int) -> None:
        self._gauge, self._capacity_ah, self._told = gauge, capacity_ah, told
        self._design_v, self._full_v = series * NOMINAL_V, series * FULL_V
        self._v_scale = _scale(self._full_v * 1.1e3, 65535.0)
        self._ip_scale = _scale(capacity_ah * OVER_CURRENT * 1.1e3, 32767.0)
        self._specification = self._ip_scale << 12 | self._v_scale << 8 | (0x31 if pec else 0x21)
        self._first_mode = mode
        self.reset()

    def reset(self) -> None:
        """Everything written is lost."""
        self.written = Written(alarm_ah=0.1 * self._capacity_ah, mode=self._first_mode)

    def knows(self, command: int) -> bool:
        return command in _ANSWERS or 0x3F - self._told < command <= 0x3F

    def word(self, command: int) -> int:
        """Without the error code of BatteryStatus."""
        if command in _ANSWERS:
            return round(_ANSWERS[command](self)) & 0xFFFF
        cell_v = self._reading.cell_v
        return self._unsigned(cell_v[0x3F - command] * 1e3) if cell_v else 0

    def write(self, command: int, word: int) -> bool:
        """False: it cannot be written."""
        if command not in _WRITES:
            return False
        _WRITES[command](self, word)
        return True

    @property
    def _reading(self) -> Reading:
        return self._gauge.reading

    # ------------------------------------------------------------------ units
    @property
    def _a_unit(self) -> float:
        """Amperes in a count of current, or of power at the design voltage."""
        return 10.0**self._ip_scale * (1e-3 if not self.mode() & CAPACITY_MODE else 1e-2 / self._design_v)

    def _charge(self, charge_ah: float) -> int:
        return self._unsigned(charge_ah / self._a_unit)

    def _signed(self, current_a: float) -> int:
        return round(min(32767.0, max(-32767.0, current_a * 1e3 / 10.0**self._ip_scale)))

    def _voltage(self, volts: float) -> int:
        return self._unsigned(volts * 1e3 / 10.0**self._v_scale)

    @staticmethod
    def _unsigned(value: float) -> int:
        return round(min(65535.0, max(0.0, value)))

    @staticmethod
    def _minutes(charge_ah: float, current_a: float, least_a: float = STILL_A) -> int:
        """How long a charge lasts at a current; not available where none flows that way."""
        if current_a <= least_a:
            return NOT_AVAILABLE
        return round(min(NOT_AVAILABLE - 1, max(0.0, charge_ah) / current_a * 60.0))

    # ------------------------------------------------------------------ written by the host
    def mode(self) -> int:
        """BatteryMode: CAPACITY_MODE, CHARGER_MODE and ALARM_MODE can be set, the last two pass."""
        written = self.written
        return written.mode & ~(PASSING_BITS if self._gauge.now_s >= written.passing_until_s else 0)

    def set_mode(self, word: int) -> None:
        self.written.mode = word & MODE_BITS
        self.written.passing_until_s = self._gauge.now_s + PASSING_S

    def set_access(self, word: int) -> None:
        self.written.access = word

    def set_alarm_charge(self, word: int) -> None:
        self.written.alarm_ah = word * self._a_unit

    def set_alarm_minutes(self, word: int) -> None:
        self.written.alarm_minutes = word

    def set_at_rate(self, word: int) -> None:
        self.written.at_rate_a = ((word ^ 0x8000) - 0x8000) * self._a_unit

    # ------------------------------------------------------------------ read by the host
    def at_rate(self) -> float:
        return self.written.at_rate_a / self._a_unit

    def at_rate_to_full(self) -> int:
        return self._minutes(self._reading.full_ah - self._reading.left_ah, self.written.at_rate_a, 0.0)

    def at_rate_to_empty(self) -> int:
        return self._minutes(self._reading.left_ah, -self.written.at_rate_a, 0.0)

    def at_rate_ok(self) -> bool:
        """Whether it can give this much more for ten seconds. Without being asked for anything it can."""
        rate_a = self.written.at_rate_a
        drawn_ah = -rate_a * RATE_S / 3600.0
        return rate_a >= 0.0 or (not self.status() & TERMINATE_DISCHARGE and self._reading.left_ah >= drawn_ah)

    def temperature(self) -> int:
        return self._unsigned((self._reading.degc + 273.15) * 10.0)

    def percent(self) -> float:
        reading = self._reading
        return 100.0 * reading.left_ah / reading.full_ah if reading.full_ah else 0.0

    def absolute_percent(self) -> float:
        return 100.0 * self._reading.left_ah / self._capacity_ah

    def time_to_empty(self, current_a: float) -> int:
        return self._minutes(self._reading.left_ah, -current_a) if self._reading.done else 0

    def time_to_full(self) -> int:
        reading = self._reading
        return self._minutes(reading.full_ah - reading.left_ah, reading.average_a) if reading.done else 0

    def charging_current(self) -> int:
        """mA, whatever the scale; nothing where charging is not wanted."""
        coldest, hottest = CHARGE_DEGC
        wanted = coldest <= self._reading.degc <= hottest and not self.status() & TERMINATE_CHARGE
        return self._unsigned(CHARGE_RATE * self._capacity_ah * 1e3) if wanted else 0

    def charging_voltage(self) -> int:
        """mV, whatever the scale. 65535 is also what a higher voltage reads."""
        return self._unsigned(self._full_v * 1e3) if self._reading.done else 0

    def status(self) -> int:
        """BatteryStatus without its error code. Whatever does not charge counts as discharging."""
        reading, bits = self._reading, self._gauge.faults.alarms
        if not reading.done:
            return bits
        bits |= INITIALIZED | self._gauge.guards.bits
        return bits if self._signed(reading.current_a) > 0 else bits | DISCHARGING | self._remaining()

    def _remaining(self) -> int:
        written, minutes = self.written, self.time_to_empty(self._reading.average_a)
        low = REMAINING_CAPACITY if self._reading.left_ah < written.alarm_ah else 0
        return low | (REMAINING_TIME if minutes < written.alarm_minutes else 0)

    def cycles(self) -> int:
        return CYCLES + int(self._gauge.drawn_ah / self._capacity_ah)


def _scale(largest: float, limit: float) -> int:
    """The least power of ten, at most 3, by which the largest value fits its word."""
    return next((power for power in range(3) if largest / 10.0**power <= limit), 3)


_ANSWERS: dict[int, Callable[[Words], float]] = {
    0x00: lambda words: words.written.access,
    0x01: lambda words: words._charge(words.written.alarm_ah),
    0x02: lambda words: words.written.alarm_minutes,
    0x03: Words.mode,
    0x04: Words.at_rate,
    0x05: Words.at_rate_to_full,
    0x06: Words.at_rate_to_empty,
    0x07: Words.at_rate_ok,
    0x08: Words.temperature,
    0x09: lambda words: words._voltage(words._reading.voltage_v),
    0x0A: lambda words: words._signed(words._reading.current_a),
    0x0B: lambda words: words._signed(words._reading.average_a),
    0x0C: lambda words: MAX_ERROR_PERCENT if words._reading.done else 0,
    0x0D: Words.percent,
    0x0E: Words.absolute_percent,
    0x0F: lambda words: words._charge(words._reading.left_ah),
    0x10: lambda words: words._charge(words._reading.full_ah),
    0x11: lambda words: words.time_to_empty(words._reading.current_a),
    0x12: lambda words: words.time_to_empty(words._reading.average_a),
    0x13: Words.time_to_full,
    0x14: Words.charging_current,
    0x15: Words.charging_voltage,
    0x16: Words.status,
    0x17: Words.cycles,
    0x18: lambda words: words._charge(words._capacity_ah),
    0x19: lambda words: words._voltage(words._design_v),
    0x1A: lambda words: words._specification,
    0x1B: lambda words: DATE_2024_05_17,
    0x1C: lambda words: SERIAL,
}
_WRITES: dict[int, Callable[[Words, int], None]] = {
    0x00: Words.set_access,
    0x01: Words.set_alarm_charge,
    0x02: Words.set_alarm_minutes,
    0x03: Words.set_mode,
    0x04: Words.set_at_rate,
}
