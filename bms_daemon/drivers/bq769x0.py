"""Driver of TI's bq76920, bq76930 and bq76940, analog front ends for 3 to 15 cells on I2C (TI SLUSBK2I).

They convert every 250 ms and say so by CC_READY; they have no watchdog of their own, and measure nothing behind the
contactors. After a trip they let go of their outputs until the host has cleared it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from bms_daemon.drivers import bq769x0_codec as codec
from bms_daemon.drivers import ntc
from bms_daemon.drivers.bq769x0_codec import Calibration, Measurement
from bms_daemon.drivers.bq769x0_settings import Settings
from bms_daemon.model import AfeScan, BoolArray, BusFault, FloatArray, TempScan
from bms_daemon.ports import ByteBus

__all__ = ["Driver", "Settings"]

_NOISE = frozenset({"nack", "crc", "framing"})
_CTRL1_MASK = 0x18  # the other bits are the load's and nobody's
_NEVER_S = float("-inf")
_LOW_S = 0.75  # until two conversions after a discharge has ended
_BLED_S = 20.0  # the chip goes on for ever: what is not asked for again in this time is ended here


class Driver:
    """One chip on its bus. ``series`` cells hang on ``settings.inputs``. Raises ValueError if they do not fit."""

    def __init__(self, bus: ByteBus, settings: Settings, series: int) -> None:
        self._bus, self._settings, self._series = bus, settings, series
        self._address = settings.address
        self._inputs = np.array(settings.cell_inputs(series)) - 1
        self._pins = np.array([int(pin[2:]) - 1 for pin in settings.probes])
        self._own = Calibration(0.0, 0.0)
        self._held = b""  # SYS_CTRL1 to CC_CFG as set up
        self._conversions = 0
        self._retries = 0
        self._tripped_s = _NEVER_S
        self._bled: BoolArray = np.zeros(series, dtype=bool)  # cells that it discharges
        self._low = self._bled  # those before, which the conversions that run still show
        self._bled_until_s = self._low_until_s = _NEVER_S

    async def setup(self) -> Mapping[str, float]:
        """Configure, compare with what the chip then holds, leave both switches off, forget earlier trips.

        Returns the limits as this chip applies them. Raises BusFault("refused") naming what it did not take.
        """
        await self._write(codec.CC_CFG, bytes((codec.CC_CFG_VALUE,)))
        await self.balance(np.zeros(self._series, dtype=bool))
        self._own = await self._calibration()
        try:
            over, under = self._settings.trip_codes(self._own)
        except ValueError as error:
            raise BusFault("refused", str(error)) from error
        wanted = bytes((codec.ADC_EN | codec.TEMP_SEL, codec.CC_EN, *self._settings.protect(), over, under))
        self._held = wanted + bytes((codec.CC_CFG_VALUE,))
        await self._write(codec.SYS_CTRL1, self._held)
        held = await self._read(codec.SYS_CTRL1, len(self._held))
        if _masked(held) != _masked(self._held):
            raise BusFault("refused", f"settings read {held.hex(' ')}, written was {self._held.hex(' ')}")
        await self._clear(0xFF)
        limits = {"over_voltage_v": self._own.trip_v(over, False), "under_voltage_v": self._own.trip_v(under, True)}
        return {**self._settings.current_limits(), **limits}

    async def scan(self) -> AfeScan:
        """The proof of a conversion is read and cleared before the values that it proves, then everything at once."""
        status = (await self._read(codec.SYS_STAT, 1))[0]
        if status & codec.CC_READY:
            self._conversions += 1
            await self._write(codec.SYS_STAT, bytes((codec.CC_READY,)))
        block = await self._read(codec.BLOCK, codec.BLOCK_LEN)
        found = codec.decode_block(block, self._own, self._series, self._settings.shunt_mohm)
        cell_v = found.inputs_v[self._inputs]
        await self._forgive(status & ~codec.CC_READY, cell_v)
        await self._end_discharge(status, self._was_reset(found))
        retries, self._retries = self._retries, 0
        return AfeScan(
            cell_v=cell_v,
            stack_v=found.stack_v,
            conversions=self._conversions,
            pack_v=found.stack_v,
            current_a=found.current_a,
            trips=codec.trips(status),
            charge_on=found.charge_on,
            discharge_on=found.discharge_on,
            was_reset=self._was_reset(found),
            retries=retries,
            note=_note(status),
            balancing=self._read_low(),
        )

    async def balance(self, cells: BoolArray) -> BoolArray:
        """Discharge these, unless neighbours of a group of five are among them, which the chip would not bear."""
        wanted = codec.balancing(np.isin(np.arange(codec.MOST_CELLS), self._inputs[cells]))
        await self._write(codec.CELLBAL, wanted)
        held = codec.balanced(await self._read(codec.CELLBAL, len(wanted)))
        now_s = asyncio.get_running_loop().time()
        self._low = self._bled | (self._low if now_s < self._low_until_s else False)
        self._bled = held[self._inputs]
        self._bled_until_s, self._low_until_s = now_s + _BLED_S, now_s + _LOW_S
        return self._bled

    async def scan_temps(self) -> TempScan:
        """Probes in the order of ``settings.probes``; the die is not measured beside them."""
        raw = await self._read(codec.THERMISTORS, 6)
        ohm = codec.decode_thermistors(raw, 3)[self._pins]
        degc = ntc.degc(ohm, self._settings.thermistor_r25_ohm, self._settings.thermistor_beta_k)
        return TempScan(degc, float("nan"))

    async def switch(self, charge: bool, discharge: bool) -> None:
        """Set both switch outputs. Raises BusFault("refused") when the chip does not take them."""
        wanted = codec.CC_EN | (codec.CHG_ON if charge else 0) | (codec.DSG_ON if discharge else 0)
        await self._write(codec.SYS_CTRL2, bytes((wanted,)))
        held = (await self._read(codec.SYS_CTRL2, 1))[0]
        if held != wanted:
            raise BusFault("refused", f"SYS_CTRL2 stays 0x{held:02X}, wanted 0x{wanted:02X}")

    # -------------------------------------------------------------- parts
    async def _calibration(self) -> Calibration:
        first = await self._read(codec.GAIN_1, 2)
        second = await self._read(codec.GAIN_2, 1)
        return codec.calibration(first[0], first[1], second[0])

    def _was_reset(self, found: Measurement) -> bool:
        """Whether the chip holds other settings than were written, the switches left out."""
        return not self._held or _unswitched(found.held) != _unswitched(self._held)

    async def _forgive(self, trips: int, cell_v: FloatArray) -> None:
        """Clear a trip whose cause is gone; the switches stay off all the same."""
        now_s = asyncio.get_running_loop().time()
        if not trips:
            self._tripped_s = _NEVER_S
            return
        self._tripped_s = now_s if self._tripped_s == _NEVER_S else self._tripped_s
        settings, gone = self._settings, 0
        if float(cell_v.max()) < settings.over_voltage_v - settings.recovery_v:
            gone |= codec.OVER
        if float(cell_v.min()) > settings.under_voltage_v + settings.recovery_v:
            gone |= codec.UNDER
        if now_s - self._tripped_s >= settings.recovery_s:
            gone |= codec.SHORT | codec.OVER_CURRENT | codec.XREADY | codec.OVERRIDE
        if trips & gone:
            await self._clear(trips & gone)

    def _read_low(self) -> BoolArray:
        """Cells that are discharged, or were so lately that a conversion may hold it."""
        late = asyncio.get_running_loop().time() >= self._low_until_s
        return self._bled if late else self._bled | self._low

    async def _end_discharge(self, status: int, was_reset: bool) -> None:
        """A chip whose supplies are disturbed, or that was reset, has ended it; one that is not asked again must."""
        if not self._bled.any():
            return
        if was_reset or status & codec.XREADY:
            self._bled = np.zeros_like(self._bled)
        elif asyncio.get_running_loop().time() > self._bled_until_s:
            await self.balance(np.zeros_like(self._bled))

    async def _clear(self, bits: int) -> None:
        await self._write(codec.SYS_STAT, bytes((bits,)))

    # -------------------------------------------------------------- registers
    async def _write(self, register: int, data: bytes) -> None:
        message = codec.protect_write(self._address, register, data) if self._settings.crc else data
        await self._again(bytes((register,)) + message, 0)

    async def _read(self, register: int, length: int) -> bytes:
        return await self._again(bytes((register,)), length)

    async def _again(self, message: bytes, length: int) -> bytes:
        """A transfer that noise spoilt is repeated whole, its register included: the chip has counted on."""
        try:
            return await self._once(message, length)
        except BusFault as fault:
            if fault.kind not in _NOISE:
                raise
        self._retries += 1
        return await self._once(message, length)

    async def _once(self, message: bytes, length: int) -> bytes:
        raw = await self._bus.transfer(self._address, message, 2 * length if self._settings.crc else length)
        if length and self._settings.crc:
            return codec.check_read(self._address, raw, length)
        if len(raw) != length:
            raise BusFault("framing", f"{len(raw)} bytes came, {length} were asked for")
        return raw


def _masked(held: bytes) -> bytes:
    return bytes((held[0] & _CTRL1_MASK,)) + held[1:]


def _unswitched(held: bytes) -> bytes:
    """SYS_CTRL1 to CC_CFG without what the host switches and the load shows."""
    return bytes((held[0] & _CTRL1_MASK, held[1] & codec.CC_EN)) + held[2:]


def _note(status: int) -> str:
    if status & codec.XREADY:
        return "the chip's supplies or transfers inside it are disturbed (DEVICE_XREADY)"
    return "somebody else drives the ALERT pin" if status & codec.OVERRIDE else ""
