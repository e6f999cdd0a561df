"""The device inside the bq76952 emulator: modes, measurement schedule, FET logic, alarms, commands.

Knows nothing of I2C: it keeps ``registers``, the bytes of the direct commands, up to date. Simplifications: SLEEP
starts after ``SLEEP_AFTER_S`` below the sleep current and only sets its bit and, without SLEEPCHG, turns CHG off; no
precharge FETs, no sealing, and a shutdown needs no repetition and no delay.
"""

from __future__ import annotations

import math

from bms_daemon.sim.bq76952_adc import Adc
from bms_daemon.sim.bq76952_balance import Balancer
from bms_daemon.sim.bq76952_memory import DataMemory
from bms_daemon.sim.bq76952_protect import COV, CUV, A, B, C, Protections, Quantity
from bms_daemon.sim.taps import Taps

BOOT_S = 0.0043
SLOW_CHG_S = 0.25
SLEEP_AFTER_S = 10.0
TWICE_S = 4.0
IMMEDIATE_CHG = (0x98, 0x18)
SSBC, SSA, PF, SFALERT, INITSTART, INITCOMP = 0x8000, 0x4000, 0x2000, 0x1000, 0x0400, 0x0200
FULLSCAN, XCHG, XDSG, CB, ADSCAN = 0x0080, 0x0040, 0x0020, 0x0004, 0x0002
DSG_OFF, PDSG_OFF, CHG_OFF, PCHG_OFF = 1, 2, 4, 8
FET_EN, DSG_TEST, CHG_TEST, PF_EN = 0x10, 0x04, 0x02, 0x40
_EDGE = 1e-9


class Core:
    """``advance`` runs whatever is due; ``next_s`` is when that will next be."""

    def __init__(self, taps: Taps, adc: Adc) -> None:
        self._taps = taps
        self.adc = adc
        self.memory = DataMemory()
        self.guards = Protections()
        self.balancer = Balancer(self.memory, adc)
        self.registers = bytearray(256)
        self.now_s = 0.0
        self.held_off = False
        self._boot_end_s = 0.0
        self._last_sense_v = 0.0
        self._forced_pf = [0, 0, 0, 0]
        self._status_a = 0
        self._snapshots = {0x0080: bytes(32), 0x0081: bytes(32)}
        self.power_on_reset()
        self._boot_end_s = 0.0

    # ------------------------------------------------------------------ power and modes
    def power_on_reset(self, watchdog: bool = False) -> None:
        """RAM configuration lost, defaults at work. ``watchdog``: it was the internal watchdog."""
        self.powered, self.configuring, self.deep = True, False, False
        self._por, self._watchdog = True, watchdog
        self.memory.reset()
        self.adc.clear()
        self.registers[:] = bytes(256)
        self.mfg = self.memory.u16(0x9343)
        self.force = 0
        self.pf = [0, 0, 0, 0]
        self.alarm_status = self._raw = 0
        self._deep_asked_s = -math.inf
        self.charge_vs, self.charge_since_s = 0.0, self.now_s
        self.balancer.stop()
        self._boot_end_s = self.now_s + BOOT_S
        self.guards.clear()
        self._start()

    def power_down(self) -> None:
        self.powered = False
        self.balancer.stop()
        self._stop()

    def power_up(self) -> None:
        if not self.powered:
            self.power_on_reset()

    @property
    def answers(self) -> bool:
        return self.powered and not self.adc.faults.mute and self.now_s + _EDGE >= self._boot_end_s

    @property
    def measuring(self) -> bool:
        return self.powered and not self.configuring and not self.deep

    def _start(self) -> None:
        """Measure and protect from now on, with what the data memory says."""
        memory = self.memory
        self.guards.load(memory, self.now_s)
        self.adc.load(memory)
        self._fet_options = memory.u8(0x9308)
        if self._fet_options & 0x20:
            self.force = DSG_OFF | PDSG_OFF | CHG_OFF | PCHG_OFF
        self.mfg |= memory.u16(0x9343)
        self.sleep_enabled = bool(memory.u16(0x9234) & 0x0100)
        self._sleep_a = memory.i16(0x9248) / 1000.0
        self._sleeping, self._idle_since_s = False, math.inf
        self._chg_bits = [memory.u8(0x9265 + bank) for bank in (A, B, C)]
        self._dsg_bits = [memory.u8(0x9269 + bank) for bank in (A, B, C)]
        self._alert_bits = [memory.u8(0x926F + bank) for bank in (A, B, C)]
        self._slow_since_s = math.inf
        self.alarm_enable = memory.u16(0x926D)
        self._fetoff = [memory.u8(pin) & 3 == 2 for pin in (0x92FA, 0x92FB)]
        self._drives = [memory.u8(pin) & 3 == 2 for pin in (0x92FC, 0x9301, 0x9302)]
        self._loops, self._loop_end_s = 0, self.now_s + self.adc.build.loop_s
        self._settle(pulses=INITSTART)

    def _stop(self) -> None:
        self._loop_end_s = math.inf
        self._settle()

    def enter_config(self) -> None:
        self.configuring = True
        self.balancer.stop()
        self._stop()

    def exit_config(self) -> None:
        if self.configuring:
            self.configuring = self._por = self._watchdog = False
            self._start()

    def enter_deepsleep(self) -> None:
        """Takes the command twice within four seconds."""
        if self.now_s - self._deep_asked_s <= TWICE_S:
            self.deep = True
            self._stop()
        self._deep_asked_s = self.now_s

    def exit_deepsleep(self) -> None:
        if self.deep:
            self.deep = False
            self._start()

    # ------------------------------------------------------------------ time
    def advance(self, now_s: float) -> None:
        if now_s <= self.now_s:
            return
        sense_v = self.adc.sense()
        live = self._loop_end_s < math.inf and not self.adc.faults.frozen
        if live:
            self.charge_vs += 0.5 * (sense_v + self._last_sense_v) * (now_s - self.now_s)
        self._last_sense_v = sense_v
        self.now_s = now_s
        low_v, high_v = self.guards.sense_quiet_v
        if live and not low_v < sense_v < high_v and self.guards.see({Quantity.SENSE: sense_v}, now_s):
            self._settle()
        if now_s + _EDGE >= self.next_s:
            self._run_due()

    def _run_due(self) -> None:
        now_s = self.now_s
        if now_s + _EDGE >= self._loop_end_s:
            self._end_loops(1 + int((now_s - self._loop_end_s) / self.adc.build.loop_s + _EDGE))
        if now_s + _EDGE >= self.balancer.end_s:
            self.balancer.stop()
        if self.measuring:
            self.guards.run(now_s)
        self._settle()

    def _end_loops(self, count: int) -> None:
        """``count`` loops have ended; those that nobody watched are made up by the last one."""
        self._loop_end_s += count * self.adc.build.loop_s
        if self.adc.faults.frozen:
            return
        self.adc.convert()
        self.registers[0x14:0x34] = self.adc.cell_raw.tobytes()
        for register, value in zip((0x34, 0x36, 0x38), self.adc.rails_raw, strict=True):
            self._word(register, value)
        for register, value in self.adc.probe_dk.items():
            self._word(register, value)
        self._word(0x68, self.adc.die_dk)
        self._judge()
        self._doze()
        pulses = ADSCAN | (INITCOMP if self._loops == 0 else 0)
        before, self._loops = self._loops // 3, self._loops + count
        self._settle(pulses=pulses | (FULLSCAN if self._loops // 3 > before else 0))

    def _judge(self) -> None:
        cells = self.adc.cell_v[self.adc.fitted]
        values = {Quantity.LOW_CELL: float(cells.min()), Quantity.HIGH_CELL: float(cells.max())}
        temps = self.adc.cell_temps_degc
        if temps:
            values |= {Quantity.HOT_CELL: max(temps), Quantity.COLD_CELL: min(temps)}
        values[Quantity.DIE] = self._taps.die_degc
        self.guards.see(values, self.now_s)

    def _doze(self) -> None:
        idle = self.sleep_enabled and abs(self._taps.current_a) < self._sleep_a
        self._idle_since_s = min(self._idle_since_s, self.now_s) if idle else math.inf
        self._sleeping = self.now_s - self._idle_since_s >= SLEEP_AFTER_S

    def _schedule(self) -> None:
        guard_s = self.guards.due_s if self.measuring else math.inf
        slow_s = math.inf if self._slow_chg_over else self._slow_since_s + SLOW_CHG_S
        self.next_s = min(self._loop_end_s, guard_s, self.balancer.end_s, slow_s)

    # ------------------------------------------------------------------ FETs, alarms, status registers
    def _settle(self, pulses: int = 0) -> None:
        """Work out everything that follows from the state. ``pulses``: alarms that are events, not levels."""
        self._remember()
        self._switch()
        self._raise_alarms(pulses)
        self._publish()
        self._schedule()

    def _remember(self) -> None:
        new, self._status_a = self.guards.status[A] & ~self._status_a, self.guards.status[A]
        for bit, snapshot in ((CUV, 0x0080), (COV, 0x0081)):
            if new & bit:
                self._snapshots[snapshot] = self.adc.cell_raw.tobytes()

    @property
    def _slow_chg_over(self) -> bool:
        return self.now_s + _EDGE >= self._slow_since_s + SLOW_CHG_S

    def _switch(self) -> None:
        ready = self.measuring and not any(self.pf) and bool(self._fet_options & 0x08)
        normal = bool(self.mfg & FET_EN)
        charge = ready and not self.force & CHG_OFF and (normal or bool(self.mfg & CHG_TEST))
        discharge = ready and not self.force & DSG_OFF and (normal or bool(self.mfg & DSG_TEST))
        asleep = self._sleeping and not self._fet_options & 0x02
        held_off = [self.held_off and pin for pin in self._fetoff]
        blocked = any(s & m for s, m in zip(self.guards.status, self._dsg_bits, strict=True))
        self.chg_on = charge and not self._chg_blocked() and not asleep and not held_off[0]
        self.dsg_on = discharge and not blocked and not held_off[1]

    def _chg_blocked(self) -> bool:
        """Protections that turn CHG off; those of bank A are 250 ms slow under an unusual mask (TI SLUUBY2B)."""
        blocked = [bool(s & m) for s, m in zip(self.guards.status, self._chg_bits, strict=True)]
        if not blocked[A]:
            self._slow_since_s = math.inf
        elif self._chg_bits[A] not in IMMEDIATE_CHG:
            self._slow_since_s = min(self._slow_since_s, self.now_s)
            blocked[A] = self._slow_chg_over
        return any(blocked)

    def _raise_alarms(self, pulses: int) -> None:
        status, alert = self.guards.status, self.guards.alert
        levels = (
            (SSBC, status[B] or status[C]),
            (SSA, status[A]),
            (PF, any(self.pf)),
            (SFALERT, any(a & m for a, m in zip(alert, self._alert_bits, strict=True))),
            (XCHG, not self.chg_on),
            (XDSG, not self.dsg_on),
            (CB, self.balancer.mask),
        )
        raw = sum(bit for bit, level in levels if level)
        self.alarm_status |= (raw & ~self._raw | pulses) & self.alarm_enable
        self._raw = raw
        self._word(0x62, self.alarm_status)
        self._word(0x64, raw | pulses)
        self._word(0x66, self.alarm_enable)

    def _publish(self) -> None:
        registers = self.registers
        for bank in (A, B, C):
            registers[0x02 + 2 * bank] = self.guards.alert[bank]
            registers[0x03 + 2 * bank] = self.guards.status[bank]
        for bank, bits in enumerate(self.pf):
            registers[0x0B + 2 * bank] = bits
        registers[0x00] = 0x04 if self.deep else 0
        self._word(0x12, self._battery_status())
        pins = self.alert << 6 | self.discharge_allowed << 5 | self.charge_allowed << 4
        registers[0x7F] = pins | self.dsg_on << 2 | self.chg_on

    def _battery_status(self) -> int:
        flags = self._sleeping << 15 | any(self.pf) << 12 | any(self.guards.status) << 11 | 1 << 8
        return flags | self._watchdog << 4 | self._por << 3 | self.sleep_enabled << 2 | int(self.configuring)

    def _word(self, register: int, value: int) -> None:
        self.registers[register] = value & 0xFF
        self.registers[register + 1] = value >> 8 & 0xFF

    @property
    def alert(self) -> bool:
        return self.powered and self._drives[0] and bool(self.alarm_status & self.alarm_enable)

    @property
    def charge_allowed(self) -> bool:
        return self.chg_on and (self.adc.fets or self._drives[1])

    @property
    def discharge_allowed(self) -> bool:
        return self.dsg_on and (self.adc.fets or self._drives[2])

    # ------------------------------------------------------------------ what a host does
    def heard(self) -> None:
        """A valid transfer: feeds the host watchdog."""
        if self.guards.heard(self.now_s):
            self._settle()

    def refresh_current(self) -> None:
        if self.measuring:
            self._word(0x3A, self.adc.current_raw(self.now_s))

    def clear_alarms(self, bits: int) -> None:
        self.alarm_status &= ~bits
        self._settle()

    def enable_alarms(self, bits: int) -> None:
        self.alarm_enable = bits
        self._settle()

    def hold_off(self, off: bool) -> None:
        """The level of the CFETOFF and DFETOFF pins."""
        if off is not self.held_off:
            self.held_off = off
            self._settle()

    def host_fets(self, set_off: int, keep: int = 0) -> None:
        """Force FETs off, in FET_CONTROL's bits; ``keep``: bits that stay as they are. Needs HOST_FET_EN."""
        if self._fet_options & 0x04:
            self.force = self.force & keep | set_off & 0x0F
            self._settle()

    def toggle_mfg(self, bit: int) -> None:
        self.mfg ^= bit
        self._settle()

    def set_sleep(self, enabled: bool) -> None:
        self.sleep_enabled = enabled
        self._sleeping, self._idle_since_s = False, math.inf
        self._settle()

    def recover(self, latch: int) -> None:
        self.guards.recover(latch)
        self._settle()

    def reset_charge(self) -> None:
        self.charge_vs, self.charge_since_s = 0.0, self.now_s

    def trip(self, banks: tuple[int, int, int], pf: tuple[int, int, int, int]) -> None:
        """Back door: hold these Safety Status and set these PF Status bits."""
        self.pf = list(pf)
        self.guards.force(banks)
        self._settle()

    def snapshot(self, subcommand: int) -> bytes:
        """Cell readings at the last CUV (0x0080) or COV (0x0081) event."""
        return self._snapshots[subcommand]

    def balance(self, mask: int) -> None:
        """CB_ACTIVE_CELLS."""
        self.balancer.command(mask if self.measuring else 0, self.now_s, self._sleeping)
        self._settle()

    def balance_above(self, millivolts: int) -> None:
        """CB_SET_LVL."""
        self.balance(self.balancer.above(millivolts))
