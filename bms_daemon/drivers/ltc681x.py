"""Driver of ADI's LTC681x stack monitors in a daisy chain on SPI (ADI LTC6811 data sheet).

A scan clears the cells' registers, converts, and reads: what is still empty then was not converted. Discharge
pauses for it. Once a temperature scan one of the chips' checks of themselves is run; what fails stands until it passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from bms_daemon.drivers import ltc681x_codec as codec
from bms_daemon.drivers import ltc681x_parts as parts
from bms_daemon.drivers.isospi_chain import Chain
from bms_daemon.drivers.isospi_codec import data_of, words_of
from bms_daemon.drivers.isospi_configuration import Configuration
from bms_daemon.drivers.isospi_notes import Notes, fitted, outside, stray
from bms_daemon.drivers.ltc681x_checks import CHECKS, MARGIN_S, loose_wires
from bms_daemon.drivers.ltc681x_codec import COUNT_V, Status
from bms_daemon.drivers.ltc681x_parts import EMPTY, NORMAL, REFERENCE
from bms_daemon.drivers.ltc681x_settings import Settings
from bms_daemon.model import AfeScan, BoolArray, BusFault, FloatArray, TempScan, Trip
from bms_daemon.ports import SpiBus

__all__ = ["Driver", "Settings"]

SETTLE_S = 0.002  # of the filters at the inputs when a discharge has ended
_SUPPLY_V, _DIGITAL_V, _REFERENCE_V = (4.5, 5.5), (2.7, 3.6), (2.985, 3.015)


class Driver:
    """A chain of devices. Raises ValueError if ``series`` cells do not fit what the settings say is wired."""

    def __init__(self, bus: SpiBus, settings: Settings, series: int) -> None:
        settings.fit(series)
        self._settings, self._part = settings, settings.chip
        self._chain = Chain(bus, len(settings.cells), settings.spi_hz, codec.Framing())
        self._codes = codec.limit_codes(settings.under_voltage_v, settings.over_voltage_v)
        self._wired = fitted(settings.cells, self._part.cells)
        layout = codec.Layout(self._part, *self._codes)
        self._configuration = Configuration(self._chain, layout, self._wired)
        self._probes = fitted(settings.probes, self._part.gpios)
        self._loose = np.zeros(self._wired.shape, dtype=bool)  # cells with a loose wire at either end
        self._notes = Notes()
        self._checked = 0
        self._conversions = 0

    async def setup(self) -> Mapping[str, float]:
        """Wake, count and configure the chain, and let it check itself.

        Returns the limits that every device holds. Raises BusFault("refused") naming the device and what is wrong.
        """
        self._notes.clear()
        await self._chain.wake()
        await self._count()
        await self._configuration.set_up()
        await asyncio.sleep(self._part.reference_s)
        for _ in range(len(CHECKS) + 1):
            await self._check()
        await self.scan()
        if self._notes:
            raise BusFault("refused", str(self._notes))
        under_v, over_v = codec.limits_v(*self._codes)
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}

    async def scan(self) -> AfeScan:
        """Convert every cell, then the sum of each device while the cells are read."""
        self._chain.retries = 0
        chain, part = self._chain, self._part
        await self._configuration.expire()
        await chain.send(parts.CLRCELL, parts.ADCV | NORMAL)
        await asyncio.sleep(part.cell_time_s + MARGIN_S)
        await chain.send(parts.ADSTAT | NORMAL)
        begun_s = asyncio.get_running_loop().time()
        found = await chain.read(*part.configuration, *part.groups)
        held = data_of(found[: len(part.configuration)])
        words = words_of(found[len(part.configuration) :])
        await asyncio.sleep(max(0.0, begun_s + part.stat_time_s + MARGIN_S - asyncio.get_running_loop().time()))
        sums, *flags = await chain.read(*part.status)
        status = codec.decode_status(part.cells, *(each.data for each in flags))
        return self._scan_of(words, sums.words, status, held)

    async def scan_temps(self) -> TempScan:
        """Thermistors device by device, and the hottest die; then one of the chips' own checks.

        Raises BusFault("refused") for devices that were reset or do not convert.
        """
        chain, part = self._chain, self._part
        await chain.send(parts.CLRAUX, parts.ADAX | NORMAL)
        await asyncio.sleep(part.aux_time_s + MARGIN_S)
        sums, *found = await chain.read(parts.RDSTATA, *part.configuration, *part.aux)
        words = words_of(found[len(part.configuration) :])[:, : part.gpios + 1]
        self._require_pins(data_of(found[: len(part.configuration)]), words)
        scan = TempScan(self._probe_degc(words), self._die_degc(sums.words))
        await self._check()
        return scan

    async def balance(self, cells: BoolArray) -> BoolArray:
        """See ``ports.Balancer``; the chips refuse nothing, but who was reset is left so until the next set-up."""
        return await self._configuration.ask(cells)

    async def switch(self, charge: bool, discharge: bool) -> None:
        """The chips have no outputs that gate coils."""

    def _require_pins(self, held: np.ndarray, words: np.ndarray) -> None:
        """What a device says that has lost its settings, or has not converted, is no temperature."""
        good = self._configuration.same(held) & (words != EMPTY).all(axis=1)
        if not good.all():
            raise BusFault("refused", f"device {int(np.argmin(good)) + 1} was reset, or converts no pins")

    # -------------------------------------------------------------- setup
    async def _count(self) -> None:
        """As many devices as are configured must answer, of this kind, and none behind them."""
        devices = self._chain.devices
        await self._chain.count(parts.RDCFGA)
        (highest,) = await self._chain.try_read([self._part.groups[-1]], devices)
        self._refuse(highest.silent, "has fewer cells than")
        if self._part.foreign is not None:
            (foreign,) = await self._chain.try_read([self._part.foreign], devices)
            self._refuse(foreign.good, "has more cells than")

    def _refuse(self, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise BusFault("refused", f"device {int(np.argmax(wrong)) + 1} {what} an {self._settings.part}")

    # -------------------------------------------------------------- checks
    async def _check(self) -> None:
        """The next of the checks in turn; what it finds stands until it finds nothing."""
        at, self._checked = self._checked, (self._checked + 1) % (len(CHECKS) + 1)
        if at == len(CHECKS):
            await self._look_for_loose_wires()
            return
        check = CHECKS[at]
        self._notes.put(check.__name__, await check(self._chain, self._part))

    async def _look_for_loose_wires(self) -> None:
        """With nothing discharged: that would move cells as a loose wire does."""
        told = self._configuration.told
        if told.any():
            await self._configuration.change(np.zeros_like(told))
            await asyncio.sleep(SETTLE_S)
        loose = await loose_wires(self._chain, self._part, self._settings.cells, self._settings.open_wire_v)
        self._loose = (loose[:, :-1] | loose[:, 1:]) & self._wired
        places = [f"device {device + 1}: wire C{wire} is open" for device, wire in np.argwhere(loose).tolist()]
        self._notes.put("wires", "; ".join(places))
        if told.any():
            await self._configuration.change(told)

    # -------------------------------------------------------------- values
    def _scan_of(self, words: np.ndarray, sums: np.ndarray, status: Status, held: np.ndarray) -> AfeScan:
        converted = words[self._wired] != EMPTY
        self._conversions += bool(converted.all())
        cell_v = np.where(words == EMPTY, 0, words) * COUNT_V
        cell_v[self._loose] = np.nan
        self._judge_supplies(sums[:, 2] * COUNT_V, status)
        self._notes.put("wiring", stray(cell_v, self._wired))
        return AfeScan(
            cell_v=np.where(converted, cell_v[self._wired], np.nan),
            stack_v=float(sums[:, 0].sum() * self._part.sum_v),
            conversions=self._conversions,
            trips=self._trips(status),
            was_reset=not self._configuration.same(held).all(),
            retries=self._chain.retries,
            note=str(self._notes),
            balancing=self._configuration.discharged(held),
        )

    def _trips(self, status: Status) -> Trip:
        """Flags of cells are worked out with each conversion of them; those of inputs without a cell mean nothing."""
        trips = Trip.INTERNAL if self._notes else Trip.NONE
        if (status.over & self._wired).any():
            trips |= Trip.OVER_VOLTAGE
        if (status.under & self._wired).any():
            trips |= Trip.UNDER_VOLTAGE
        return trips | Trip.OVER_TEMPERATURE if status.hot.any() else trips

    def _judge_supplies(self, analog_v: FloatArray, status: Status) -> None:
        self._notes.put("analog supply", outside("analog supply", analog_v, _SUPPLY_V))
        self._notes.put("digital supply", outside("digital supply", status.digital_v, _DIGITAL_V))

    def _probe_degc(self, words: np.ndarray) -> FloatArray:
        """Of thermistors (probes,); NaN for those whose reference is wrong or that were not converted."""
        reference_v = words[:, REFERENCE] * COUNT_V
        self._notes.put("reference", outside("reference", reference_v, _REFERENCE_V))
        sane = (reference_v >= _REFERENCE_V[0]) & (reference_v <= _REFERENCE_V[1])
        pins, reference = np.delete(words, REFERENCE, axis=1).astype(float), np.where(sane, words[:, REFERENCE], np.nan)
        degc: FloatArray = self._settings.probe_degc(pins, reference[:, None])[self._probes]
        return degc

    def _die_degc(self, words: np.ndarray) -> float:
        part = self._part
        return float(words[:, 1].max()) * COUNT_V / part.die_v_per_k + part.die_zero_degc
