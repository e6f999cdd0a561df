"""Driver of ADI's ADES1830 stack monitors in a daisy chain on SPI.

A scan clears the cells' registers, converts each cell by two converters, and reads both: only a device that has counted
every command is believed, and only a cell on which its converters agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import numpy as np

from bms_daemon.drivers import ades1830_codec as codec
from bms_daemon.drivers.ades1830_settings import AUX_S, CELL_S, Settings
from bms_daemon.drivers.isospi_chain import Chain
from bms_daemon.drivers.isospi_codec import Answer, data_of, words_of
from bms_daemon.drivers.isospi_configuration import Configuration
from bms_daemon.drivers.isospi_notes import Notes, first, fitted, outside, stray
from bms_daemon.model import AfeScan, BoolArray, BusFault, FloatArray, TempScan, Trip
from bms_daemon.ports import SpiBus

__all__ = ["Driver", "Settings"]

Result = TypeVar("Result")
WAKE_S, REFERENCE_S, MARGIN_S = 0.0005, 0.005, 0.0002
_SUPPLIES = (("reference", (2.985, 3.015)), ("digital supply", (2.754, 3.528)), ("analog supply", (4.512, 5.486)))


class Driver:
    """A chain of devices. Raises ValueError if ``series`` cells do not fit what the settings say is wired."""

    def __init__(self, bus: SpiBus, settings: Settings, series: int) -> None:
        settings.fit(series)
        self._settings, self._framing = settings, codec.Counted()
        self._chain = Chain(bus, len(settings.cells), settings.spi_hz, self._framing, WAKE_S)
        self._codes = codec.limit_codes(settings.under_voltage_v, settings.over_voltage_v)
        self._wired = fitted(settings.cells, codec.CELLS)
        self._probes = fitted(settings.probes, codec.GPIOS)
        self._configuration = Configuration(self._chain, codec.Layout(*self._codes), self._wired)
        self._notes = Notes()
        self._conversions = 0

    async def setup(self) -> Mapping[str, float]:
        """Wake, count and configure the chain, take back what it has flagged, and look at everything once.

        Returns the limits that every device holds. Raises BusFault("refused") naming the device and what is wrong.
        """
        self._notes.clear()
        await self._chain.wake()
        await self._chain.send(codec.RSTCC)
        await self._chain.count(codec.RDCFGA)
        await self._configuration.set_up()
        await asyncio.sleep(REFERENCE_S)
        await self._chain.write([codec.CLRFLAG], np.tile(codec.ALL_FLAGS, (self._chain.devices, 1)))
        await self.scan_temps()
        await self.scan()
        if self._notes:
            raise BusFault("refused", str(self._notes))
        under_v, over_v = codec.limits_v(*self._codes)
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}

    async def scan(self) -> AfeScan:
        """Convert every cell twice, and read what the devices hold, found and flagged."""
        self._chain.retries = 0
        return await self._in_step(self._scan)

    async def scan_temps(self) -> TempScan:
        """Thermistors device by device, and the hottest die.

        Raises BusFault("refused") for devices that do not convert.
        """
        return await self._in_step(self._scan_temps)

    async def balance(self, cells: BoolArray) -> BoolArray:
        """See ``ports.Balancer``; the chips refuse nothing, but who was reset is left so until the next set-up."""
        return await self._in_step(lambda: self._configuration.ask(cells))

    async def switch(self, charge: bool, discharge: bool) -> None:
        """The chips have no outputs that gate coils."""

    async def _in_step(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Once more, from 0, where a device has counted otherwise: it has missed a command, or was reset."""
        try:
            return await self._attempt(attempt)
        except BusFault:
            if self._framing.in_step:
                raise
        self._chain.retries += 1
        return await self._attempt(attempt)

    async def _attempt(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        if not self._framing.in_step:
            await self._chain.send(codec.RSTCC)
        return await attempt()

    async def _scan(self) -> AfeScan:
        await self._configuration.expire()
        await self._chain.send(codec.CLRCELL, codec.ADCV | codec.BOTH)
        await asyncio.sleep(CELL_S + MARGIN_S)
        found = await self._chain.read(
            codec.RDCFGA, codec.RDCFGB, *codec.RDCV, *codec.RDSV, codec.RDSTATC, codec.RDSTATD
        )
        by_first, by_second = self._cells(found[2:8]), self._cells(found[8:14])
        self._conversions += not np.isnan(by_first[self._wired]).any()
        apart = self._compare(by_first, by_second)
        flags = codec.flags(found[14].data)
        self._notes.put("flags", _flagged(flags))
        held = data_of(found[:2])
        return AfeScan(
            cell_v=np.where(apart, np.nan, by_first)[self._wired],
            stack_v=float(by_second[self._wired].sum()),
            conversions=self._conversions,
            trips=self._trips(flags, *codec.under_over(found[15].data)),
            was_reset=bool(flags[:, codec.SLEPT].any()) or not self._configuration.same(held).all(),
            retries=self._chain.retries,
            note=str(self._notes),
            balancing=self._configuration.discharged(held),
        )

    async def _scan_temps(self) -> TempScan:
        await self._chain.send(codec.CLRAUX, codec.ADAX)
        await asyncio.sleep(AUX_S + MARGIN_S)
        found = await self._chain.read(*codec.RDAUX, codec.RDSTATA, codec.RDSTATB)
        pins = _volts(found[:4])[:, : codec.GPIOS]
        reference, die = _volts(found[4:5])[:, :2].T
        digital, analog = _volts(found[5:])[:, :2].T
        idle = np.asarray(np.isnan(pins).any(axis=1))
        if idle.any():
            raise BusFault("refused", first("converts no pins", idle))
        for (what, span_v), volts in zip(_SUPPLIES, (reference, digital, analog), strict=True):
            self._notes.put(what, outside(what, volts, span_v))
        return TempScan(self._probe_degc(pins, reference), float(codec.die_degc(die).max()))

    # -------------------------------------------------------------- values
    def _cells(self, found: list[Answer]) -> FloatArray:
        return _volts(found)[:, : codec.CELLS]

    def _compare(self, by_first: FloatArray, by_second: FloatArray) -> np.ndarray:
        """bool (devices, cells): where the converters do not agree; which of them is wrong nobody knows."""
        close = np.abs(by_first - by_second) <= self._settings.converter_v
        apart: np.ndarray = self._wired & ~close & ~np.isnan(by_first)
        places = np.argwhere(apart).tolist()
        where = "; ".join(f"device {device + 1}: converters of C{cell + 1} disagree" for device, cell in places)
        self._notes.put("converters", where)
        self._notes.put("wiring", stray(by_first, self._wired))
        return apart

    def _trips(self, flags: np.ndarray, under: np.ndarray, over: np.ndarray) -> Trip:
        """Flags of inputs without a cell mean nothing."""
        trips = Trip.INTERNAL if self._notes else Trip.NONE
        if (over & self._wired).any():
            trips |= Trip.OVER_VOLTAGE
        if (under & self._wired).any():
            trips |= Trip.UNDER_VOLTAGE
        return trips | Trip.OVER_TEMPERATURE if flags[:, codec.HOT].any() else trips

    def _probe_degc(self, pins: FloatArray, reference: FloatArray) -> FloatArray:
        """Of thermistors (probes,); NaN for those whose reference is wrong."""
        low_v, high_v = _SUPPLIES[0][1]
        sane = np.where((reference >= low_v) & (reference <= high_v), reference, np.nan)
        degc: FloatArray = self._settings.probe_degc(pins, sane[:, None])[self._probes]
        return degc


def _volts(found: list[Answer]) -> FloatArray:
    return codec.volts(words_of(found).view("<i2"))


def _flagged(flags: np.ndarray) -> str:
    """By the chips' own names of what is wrong with them."""
    wrong = np.argwhere(flags & codec.BROKEN).tolist()
    return "; ".join(f"device {device + 1}: {codec.FLAGS[bit]}" for device, bit in wrong)
