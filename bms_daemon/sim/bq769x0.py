"""Emulator of TI's bq76920, bq76930 and bq76940 at register level: I2C target, schedule, switches, ship mode.

Written from public register descriptions alone and shared with no driver. Not confirmed by a source at hand: that
current is positive when charging, the die's temperature scale, that temperatures are renewed every 2 s, reset values
(all 0 but the two trip thresholds), that reserved bits read 0, that DELAY_DIS leaves no delay, that the pointer stands
behind the last byte written, which inputs are shorted with few cells, below which voltage a cell is taken for a shorted
input, and by how much a cell that is bled reads low. Stricter than the chip perhaps is: without 0x19 in CC_CFG
the coulomb counter is never ready.
Not modelled: LOAD_PRESENT, CC_ONESHOT, the pauses of balancing (the mask shows what the registers ask for).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

import numpy as np

from bms_daemon.sim import bq769x0_protocol as reg
from bms_daemon.sim.bq769x0_adc import GROUPS, Adc, Build, Faults, Part
from bms_daemon.sim.bq769x0_protect import Protections
from bms_daemon.sim.taps import Taps

PERIOD_S, WARM_S, BOOT_S = 0.25, 2.0, 0.01
SHIP_SEQUENCE = b"\x00\x01\x02"
# Bits of SYS_STAT, and the switches that stay off while one of them stands.
OPENED = (
    (reg.OV, reg.CHG_ON),
    (reg.UV | reg.OCD | reg.SCD, reg.DSG_ON),
    (reg.OVERRIDE | reg.XREADY, reg.CHG_ON | reg.DSG_ON),
)
RESETS = {reg.OV_TRIP: 0xAC, reg.UV_TRIP: 0x97}
_EDGE = 1e-9


class Bq769x0:
    """Implements ``sim.taps.Chip`` and ``I2cTarget``.

    ``inputs`` carry the cells, from 1, lowest first; empty: as TI wires them. ``gain_uv`` and ``offset_mv`` are the
    chip's own calibration, drawn from the seed unless given. A chip is constructed powered and awake.
    """

    def __init__(
        self,
        taps: Taps,
        part: Part = "bq76940",
        seed: int = 0,
        *,
        crc: bool = True,
        address: int = 0x08,
        shunt_mohm: float = 1.0,
        inputs: Sequence[int] = (),
        gain_uv: int | None = None,
        offset_mv: int | None = None,
        r25_ohm: float = 10_000.0,
        beta_k: float = 3435.0,
        noise_v: float = 0.0004,
        noise_sense_v: float = 4e-6,
    ) -> None:
        rng = random.Random(seed)
        drawn_uv, drawn_mv = rng.randint(365, 396), rng.randint(-30, 30)
        gain_uv = drawn_uv if gain_uv is None else gain_uv
        offset_mv = drawn_mv if offset_mv is None else offset_mv
        self._build = Build(gain_uv, offset_mv, shunt_mohm * 1e-3, r25_ohm, beta_k, noise_v, noise_sense_v)
        self._adc = Adc(taps, part, self._build, inputs, seed)
        self.faults: Faults = self._adc.faults
        self._guards = Protections(self._build)
        self._taps, self._crc, self._address, self._groups = taps, crc, address, GROUPS[part]
        self._now_s = 0.0
        self.power_on_reset()
        self._up_s = -inf

    # ------------------------------------------------------------------ supply
    def power_on_reset(self) -> None:
        """Registers as delivered, switches off, silent for the boot time. Nothing converts until the host asks."""
        self._supplied = self._awake = True
        self._registers = bytearray(256)
        for register, value in (RESETS | self._calibration()).items():
            self._registers[register] = value
        self._pointer, self._shipping = 0, b""
        self._scan_s = self._count_s = self._warm_s = inf
        self._bled = np.zeros(self._adc.inputs.size, dtype=bool)
        self._up_s = self._now_s + BOOT_S
        self._guards.clear()
        self._guards.load(self._registers)
        self._schedule()

    def power_down(self) -> None:
        """No supply: no answer, nothing driven, until ``power_up``."""
        self._supplied = self._awake = False
        self._schedule()

    def power_up(self) -> None:
        """The supply is there and TS1 gets its pulse."""
        if not self._awake:
            self.power_on_reset()

    def ship(self) -> None:
        """Ship mode, as by the host's sequence: only ``boot`` ends it, or the supply's return."""
        self._awake = False
        self._schedule()

    def boot(self) -> None:
        """A pulse on TS1: wakes from ship mode, and does nothing else."""
        if self._supplied:
            self.power_up()

    def _calibration(self) -> dict[int, int]:
        code = self._build.gain_uv - 365
        return {
            reg.GAIN_1: code >> 1 & 0x0C,
            reg.GAIN_2: (code & 0x07) << 5,
            reg.OFFSET: self._build.offset_mv & 0xFF,
        }

    # ------------------------------------------------------------------ Chip
    def advance(self, now_s: float) -> None:
        self._now_s = now_s = max(self._now_s, now_s)
        due = now_s + _EDGE >= self._due_s or self._taps.current_a < self._guards.quiet_a or self.faults.xready
        if due and self._awake:
            self._run(now_s)

    @property
    def next_event_s(self) -> float:
        return self._due_s

    @property
    def alert(self) -> bool:
        return self._awake and self._registers[reg.STAT] != 0

    @property
    def charge_allowed(self) -> bool:
        return self._awake and bool(self._registers[reg.CTRL_2] & reg.CHG_ON)

    @property
    def discharge_allowed(self) -> bool:
        return self._awake and bool(self._registers[reg.CTRL_2] & reg.DSG_ON)

    @property
    def balancing_mask(self) -> np.ndarray:
        """Neighbours are not refused: that is the host's duty."""
        first, second, third = self._registers[reg.BAL_1 : reg.BAL_3 + 1] if self._awake else bytes(3)
        asked = (first | second << 5 | third << 10) >> self._adc.inputs & 1
        stuck = [self.faults.stuck_balance >> cell & 1 for cell in range(asked.size)]
        mask: np.ndarray = (asked | np.array(stuck, dtype=int)).astype(bool)
        return mask

    def disturb(self) -> None:
        """Transfers between its parts failed: DEVICE_XREADY."""
        self._bleed_anew(reg.BAL_1, bytes(3))
        self._trip(reg.XREADY)

    def override(self) -> None:
        """Somebody else drives ALERT high."""
        self._trip(reg.OVERRIDE)

    # ------------------------------------------------------------------ I2C
    def i2c_write(self, data: bytes) -> bool:
        """The register, then data, each byte with its code where the part has one; what has a wrong one is ignored."""
        if not self._listens:
            return False
        if not data:
            return True
        self._pointer = data[0]
        for value in _taken(self._crc, self._address, data):
            self._put(self._pointer, value)
            self._pointer = self._pointer + 1 & 0xFF
        return True

    def i2c_read(self, count: int) -> bytes | None:
        if not self._listens:
            return None
        length = -(-count // 2) if self._crc else count
        data = bytes(self._registers[self._pointer + at & 0xFF] for at in range(length))
        self._pointer = self._pointer + length & 0xFF
        return self._coded(data)[:count] if self._crc else data

    @property
    def _listens(self) -> bool:
        return self._awake and not self.faults.mute and self._now_s + _EDGE >= self._up_s

    def _coded(self, data: bytes) -> bytes:
        wire = reg.coded(self._address, data)
        if self.faults.wrong_crc > 0 and data:
            self.faults.wrong_crc -= 1
            wire[1] ^= 0x01
        return bytes(wire)

    def _put(self, register: int, value: int) -> None:
        if register != reg.CTRL_1:
            self._shipping = b""
        if register == reg.STAT:
            self._registers[reg.STAT] &= ~value & 0xFF
        elif register == reg.CTRL_1:
            self._control(value)
        elif register == reg.CTRL_2:
            self._switch(value)
        elif reg.BAL_1 <= register <= reg.BAL_3:
            self._bleed_anew(register, bytes([value & 0x1F if register <= self._groups else 0]))
        elif register in reg.WRITABLE:
            self._registers[register] = value & reg.WRITABLE[register]
            self._guards.load(self._registers)
        self._schedule()

    def _control(self, value: int) -> None:
        self._shipping = (self._shipping + bytes([value & reg.SHUT]))[-len(SHIP_SEQUENCE) :]
        if self._shipping == SHIP_SEQUENCE:
            self.ship()
            return
        converted = self._registers[reg.CTRL_1] & reg.ADC_EN
        self._registers[reg.CTRL_1] = value & reg.WRITABLE[reg.CTRL_1]
        if not value & reg.ADC_EN:
            self._scan_s = inf
            self._guards.forget_cells()
        elif not converted:
            self._scan_s = self._warm_s = self._now_s + PERIOD_S

    def _switch(self, value: int) -> None:
        counted = self._registers[reg.CTRL_2] & reg.CC_EN
        self._registers[reg.CTRL_2] = self._permitted(value & reg.WRITABLE[reg.CTRL_2])
        self._guards.load(self._registers)
        if not value & reg.CC_EN:
            self._count_s = inf
        elif not counted:
            self._count_s = self._now_s + PERIOD_S

    def _bleed_anew(self, register: int, values: bytes) -> None:
        """Whoever has been bled since the last conversion is remembered for the next one."""
        self._bled |= self.balancing_mask
        self._registers[register : register + len(values)] = values
        self._bled |= self.balancing_mask

    # ------------------------------------------------------------------ what runs by itself
    def _schedule(self) -> None:
        self._due_s = min(self._scan_s, self._count_s, self._guards.due_s) if self._awake else inf

    def _run(self, now_s: float) -> None:
        if self.faults.xready and not self._registers[reg.STAT] & reg.XREADY:
            self.disturb()
        if self._scan_s <= now_s + _EDGE:
            ended_s, self._scan_s = _grid(self._scan_s, now_s)
            self._scan(ended_s)
        if self._count_s <= now_s + _EDGE:
            _, self._count_s = _grid(self._count_s, now_s)
            self._count()
        if self.faults.frozen:
            self._guards.clear()
        else:
            self._trip(self._guards.see_current(self._taps.current_a, self._registers[reg.STAT], now_s))
        self._schedule()

    def _scan(self, ended_s: float) -> None:
        """All cells, the stack and, every 2 s, temperatures."""
        if self.faults.frozen:
            return
        bled = self._bled | self.balancing_mask
        self._bled = self.balancing_mask
        self._words(reg.VC_1, self._adc.cells(bled))
        self._words(reg.BAT, self._adc.stack())
        if ended_s + _EDGE >= self._warm_s:
            self._warm_s = ended_s + WARM_S
            self._words(reg.TS_1, self._adc.temperatures(bool(self._registers[reg.CTRL_1] & reg.TEMP_SEL)))
        self._trip(self._guards.see_cells(np.asarray(self._taps.cell_v), ended_s))

    def _count(self) -> None:
        if not self.faults.frozen and self._registers[reg.CC_CFG] == reg.CC_CONFIGURED:
            self._words(reg.CC, self._adc.charge())
            self._registers[reg.STAT] |= reg.READY

    def _words(self, register: int, codes: np.ndarray) -> None:
        data = codes.astype(">u2").tobytes()
        self._registers[register : register + len(data)] = data

    def _trip(self, bits: int) -> None:
        """Report, and turn off what must not stay on; only the host turns on again."""
        self._registers[reg.STAT] |= bits
        self._registers[reg.CTRL_2] = self._permitted(self._registers[reg.CTRL_2])

    def _permitted(self, switches: int) -> int:
        for bits, opened in OPENED:
            if self._registers[reg.STAT] & bits:
                switches &= ~opened
        return switches


def _taken(crc: bool, address: int, data: bytes) -> bytes:
    """The bytes behind the register that a part with or without codes takes from a write."""
    return reg.taken(address, data[0], data[1:]) if crc else data[1:]


def _grid(due_s: float, now_s: float) -> tuple[float, float]:
    """When the last conversion ended, and the next will; those that nobody watched are made up by the last one."""
    ended_s = due_s + PERIOD_S * int((now_s - due_s) / PERIOD_S + _EDGE)
    return ended_s, ended_s + PERIOD_S
