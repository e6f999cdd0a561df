"""Driver of ADI's LTC681x stack monitors in a daisy chain on SPI (ADI LTC6811 data sheet).

A scan clears the cells' registers, converts, and reads: what is still empty then was not converted. Nothing is
discharged. Once a temperature scan one of the chips' checks of themselves is run; what fails stands until it passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from bms_daemon.drivers import ltc681x_codec as codec
from bms_daemon.drivers import ltc681x_parts as parts
from bms_daemon.drivers import ntc
from bms_daemon.drivers.ltc681x_chain import Chain
from bms_daemon.drivers.ltc681x_checks import CHECKS, MARGIN_S, loose_wires
from bms_daemon.drivers.ltc681x_codec import COUNT_V, Status
from bms_daemon.drivers.ltc681x_parts import EMPTY, NORMAL, REFERENCE
from bms_daemon.drivers.ltc681x_settings import Settings
from bms_daemon.model import AfeScan, BusFault, FloatArray, TempScan, Trip
from bms_daemon.ports import SpiBus

__all__ = ["Driver", "Settings"]

_SUPPLY_V, _DIGITAL_V, _REFERENCE_V = (4.5, 5.5), (2.7, 3.6), (2.985, 3.015)


class Driver:
    """A chain of devices. Raises ValueError if ``series`` cells do not fit what the settings say is wired."""

    def __init__(self, bus: SpiBus, settings: Settings, series: int) -> None:
        settings.fit(series)
        self._settings, self._part = settings, settings.chip
        self._chain = Chain(bus, len(settings.cells), settings.spi_hz)
        self._codes = codec.limit_codes(settings.under_voltage_v, settings.over_voltage_v)
        self._wired = _fitted(settings.cells, self._part.cells)
        self._configuration = codec.configuration(*self._codes, np.zeros_like(self._wired))
        self._probes = _fitted(settings.probes, self._part.gpios)
        self._loose = np.zeros(self._wired.shape, dtype=bool)  # cells with a loose wire at either end
        self._wrong: dict[str, str] = {}  # what is wrong by the check that found it
        self._checked = 0
        self._conversions = 0

    async def setup(self) -> Mapping[str, float]:
        """Wake, count and configure the chain, and let it check itself.

        Returns the limits that every device holds. Raises BusFault("refused") naming the device and what is wrong.
        """
        self._wrong.clear()
        await self._chain.wake()
        await self._count()
        await self._configure()
        for _ in range(len(CHECKS) + 1):
            await self._check()
        if self._wrong:
            raise BusFault("refused", "; ".join(self._wrong.values()))
        under_v, over_v = codec.limits_v(*self._codes)
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}

    async def scan(self) -> AfeScan:
        """Convert every cell, then the sum of each device while the cells are read."""
        self._chain.retries = 0
        chain, part = self._chain, self._part
        await chain.send(codec.command(parts.CLRCELL), codec.command(parts.ADCV | NORMAL))
        await asyncio.sleep(part.cell_time_s + MARGIN_S)
        await chain.send(codec.command(parts.ADSTAT | NORMAL))
        begun_s = asyncio.get_running_loop().time()
        found = await chain.read(*part.configuration, *part.groups)
        held, cells = found[: len(part.configuration)], found[len(part.configuration) :]
        await asyncio.sleep(max(0.0, begun_s + part.stat_time_s + MARGIN_S - asyncio.get_running_loop().time()))
        sums, *flags = await chain.read(*part.status)
        was_reset = not codec.same_configuration(codec.data_of(held), self._configuration).all()
        status = codec.decode_status(part.cells, *(each.data for each in flags))
        return self._scan_of(codec.words_of(cells), sums.words, status, was_reset)

    async def scan_temps(self) -> TempScan:
        """Thermistors device by device, and the hottest die; then one of the chips' own checks.

        Raises BusFault("refused") for devices that were reset or do not convert.
        """
        chain, part = self._chain, self._part
        await chain.send(codec.command(parts.CLRAUX), codec.command(parts.ADAX | NORMAL))
        await asyncio.sleep(part.aux_time_s + MARGIN_S)
        sums, *found = await chain.read(parts.RDSTATA, *part.configuration, *part.aux)
        words = codec.words_of(found[len(part.configuration) :])[:, : part.gpios + 1]
        self._require_pins(codec.data_of(found[: len(part.configuration)]), words)
        scan = TempScan(self._probe_degc(words), self._die_degc(sums.words))
        await self._check()
        return scan

    async def switch(self, charge: bool, discharge: bool) -> None:
        """The chips have no outputs that gate coils."""

    def _require_pins(self, held: np.ndarray, words: np.ndarray) -> None:
        """What a device says that has lost its settings, or has not converted, is no temperature."""
        good = codec.same_configuration(held, self._configuration) & (words != EMPTY).all(axis=1)
        if not good.all():
            raise BusFault("refused", f"device {int(np.argmin(good)) + 1} was reset, or converts no pins")

    # -------------------------------------------------------------- setup
    async def _count(self) -> None:
        """As many devices as are configured must answer, of this kind, and none behind them."""
        await self._chain.read(parts.RDCFGA)
        devices = self._chain.devices
        (further,) = await self._chain.try_read([parts.RDCFGA], devices + 1)
        if further.good[devices]:
            raise BusFault("refused", f"the chain has more than the {devices} devices that are configured")
        (highest,) = await self._chain.try_read([self._part.groups[-1]], devices)
        self._refuse(highest.silent, "has fewer cells than")
        if self._part.foreign is not None:
            (foreign,) = await self._chain.try_read([self._part.foreign], devices)
            self._refuse(foreign.good, "has more cells than")

    def _refuse(self, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            raise BusFault("refused", f"device {int(np.argmax(wrong)) + 1} {what} an {self._settings.part}")

    async def _configure(self) -> None:
        """Write, let the reference settle, and compare with what every device then holds."""
        await self._write()
        await asyncio.sleep(self._part.reference_s)
        held = codec.data_of(await self._chain.read(*self._part.configuration))
        same = codec.same_configuration(held, self._configuration)
        if not same.all():
            device = int(np.argmin(same))
            found = held[device].tobytes().hex(" ")
            raise BusFault("refused", f"device {device + 1} holds {found} as configuration")

    async def _write(self) -> None:
        groups = np.split(self._configuration, len(self._part.configure), axis=1)
        await self._chain.send(*map(codec.write, self._part.configure, groups))

    async def _check(self) -> None:
        """The next of the checks in turn; what it finds stands until it finds nothing."""
        at, self._checked = self._checked, (self._checked + 1) % (len(CHECKS) + 1)
        if at == len(CHECKS):
            await self._look_for_loose_wires()
            return
        check = CHECKS[at]
        self._note(check.__name__, await check(self._chain, self._part))

    async def _look_for_loose_wires(self) -> None:
        loose = await loose_wires(self._chain, self._part, self._settings.cells, self._settings.open_wire_v)
        self._loose = (loose[:, :-1] | loose[:, 1:]) & self._wired
        places = [f"device {device + 1}: wire C{wire} is open" for device, wire in np.argwhere(loose).tolist()]
        self._note("wires", "; ".join(places))

    def _note(self, what: str, wrong: str) -> None:
        self._wrong.pop(what, None)
        if wrong:
            self._wrong[what] = wrong

    # -------------------------------------------------------------- values
    def _scan_of(self, words: np.ndarray, sums: np.ndarray, status: Status, was_reset: bool) -> AfeScan:
        converted = words[self._wired] != EMPTY
        self._conversions += bool(converted.all())
        cell_v = np.where(words == EMPTY, 0, words) * COUNT_V
        cell_v[self._loose] = np.nan
        self._judge_supplies(sums[:, 2] * COUNT_V, status)
        return AfeScan(
            cell_v=np.where(converted, cell_v[self._wired], np.nan),
            stack_v=float(sums[:, 0].sum() * self._part.sum_v),
            conversions=self._conversions,
            trips=self._trips(status),
            was_reset=was_reset,
            retries=self._chain.retries,
            note="; ".join(self._wrong.values()),
        )

    def _trips(self, status: Status) -> Trip:
        """Flags of cells are worked out with each conversion of them; those of inputs without a cell mean nothing."""
        trips = Trip.INTERNAL if self._wrong else Trip.NONE
        if (status.over & self._wired).any():
            trips |= Trip.OVER_VOLTAGE
        if (status.under & self._wired).any():
            trips |= Trip.UNDER_VOLTAGE
        return trips | Trip.OVER_TEMPERATURE if status.hot.any() else trips

    def _judge_supplies(self, analog_v: FloatArray, status: Status) -> None:
        self._note("analog supply", _outside("analog supply", analog_v, _SUPPLY_V))
        self._note("digital supply", _outside("digital supply", status.digital_v, _DIGITAL_V))

    def _probe_degc(self, words: np.ndarray) -> FloatArray:
        """Of thermistors (probes,); NaN for those whose reference is wrong or that were not converted."""
        settings = self._settings
        reference_v = words[:, REFERENCE] * COUNT_V
        self._note("reference", _outside("reference", reference_v, _REFERENCE_V))
        sane = (reference_v >= _REFERENCE_V[0]) & (reference_v <= _REFERENCE_V[1])
        pins, reference = np.delete(words, REFERENCE, axis=1).astype(float), words[:, [REFERENCE]].astype(float)
        ohm = settings.thermistor_series_ohm * pins / np.maximum(reference - pins, 1.0)
        degc = ntc.degc(ohm, settings.thermistor_r25_ohm, settings.thermistor_beta_k)
        found: FloatArray = np.where(sane[:, None], degc, np.nan)[self._probes]
        return found

    def _die_degc(self, words: np.ndarray) -> float:
        part = self._part
        return float(words[:, 1].max()) * COUNT_V / part.die_v_per_k + part.die_zero_degc


def _fitted(counts: tuple[int, ...], most: int) -> np.ndarray:
    """bool (devices, most): the lowest inputs of each device."""
    return np.arange(most) < np.array(counts)[:, None]


def _outside(what: str, volts: FloatArray, span_v: tuple[float, float]) -> str:
    wrong = ~((volts >= span_v[0]) & (volts <= span_v[1]))
    device = int(np.argmax(wrong))
    return f"device {device + 1}: {what} is {volts[device]:.3f} V" if wrong.any() else ""
