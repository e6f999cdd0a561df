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
from bms_daemon.drivers import ntc
from bms_daemon.drivers.ltc681x_chain import Chain
from bms_daemon.drivers.ltc681x_checks import CHECKS, MARGIN_S, loose_wires
from bms_daemon.drivers.ltc681x_codec import COUNT_V, Status
from bms_daemon.drivers.ltc681x_configuration import Configuration
from bms_daemon.drivers.ltc681x_parts import EMPTY, NORMAL, REFERENCE
from bms_daemon.drivers.ltc681x_settings import Settings
from bms_daemon.model import AfeScan, BoolArray, BusFault, FloatArray, TempScan, Trip
from bms_daemon.ports import SpiBus

__all__ = ["Driver", "Settings"]

STRAY_CODE = 5000  # 0.5 V: more than inputs show that are tied together
BALANCE_S = 5.0  # a discharge that is not asked for again ends
SETTLE_S = 0.002  # of the filters at the inputs when a discharge has ended
_SUPPLY_V, _DIGITAL_V, _REFERENCE_V = (4.5, 5.5), (2.7, 3.6), (2.985, 3.015)


class Driver:
    """A chain of devices. Raises ValueError if ``series`` cells do not fit what the settings say is wired."""

    def __init__(self, bus: SpiBus, settings: Settings, series: int) -> None:
        settings.fit(series)
        self._settings, self._part = settings, settings.chip
        self._chain = Chain(bus, len(settings.cells), settings.spi_hz)
        self._codes = codec.limit_codes(settings.under_voltage_v, settings.over_voltage_v)
        self._wired = _fitted(settings.cells, self._part.cells)
        self._configuration = Configuration(self._chain, self._part, self._codes, self._wired)
        self._asked_s = 0.0
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
        await self.scan()
        if self._wrong:
            raise BusFault("refused", "; ".join(self._wrong.values()))
        under_v, over_v = codec.limits_v(*self._codes)
        return {"under_voltage_v": under_v, "over_voltage_v": over_v}

    async def scan(self) -> AfeScan:
        """Convert every cell, then the sum of each device while the cells are read."""
        self._chain.retries = 0
        chain, part = self._chain, self._part
        await self._end_what_nobody_asks_for()
        await chain.send(codec.command(parts.CLRCELL), codec.command(parts.ADCV | NORMAL))
        await asyncio.sleep(part.cell_time_s + MARGIN_S)
        await chain.send(codec.command(parts.ADSTAT | NORMAL))
        begun_s = asyncio.get_running_loop().time()
        found = await chain.read(*part.configuration, *part.groups)
        held = codec.data_of(found[: len(part.configuration)])
        words = codec.words_of(found[len(part.configuration) :])
        await asyncio.sleep(max(0.0, begun_s + part.stat_time_s + MARGIN_S - asyncio.get_running_loop().time()))
        sums, *flags = await chain.read(*part.status)
        status = codec.decode_status(part.cells, *(each.data for each in flags))
        return self._scan_of(words, sums.words, status, held)

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

    async def balance(self, cells: BoolArray) -> BoolArray:
        """See ``ports.Balancer``; the chips refuse nothing, but who was reset is left so until the next set-up."""
        discharge = np.zeros_like(self._wired)
        discharge[self._wired] = cells
        self._asked_s = asyncio.get_running_loop().time()
        return self._configuration.discharged(await self._configuration.change(discharge))

    async def switch(self, charge: bool, discharge: bool) -> None:
        """The chips have no outputs that gate coils."""

    async def _end_what_nobody_asks_for(self) -> None:
        overdue = asyncio.get_running_loop().time() - self._asked_s > BALANCE_S
        if overdue and not self._configuration.resting:
            await self._configuration.change(np.zeros_like(self._wired))

    def _require_pins(self, held: np.ndarray, words: np.ndarray) -> None:
        """What a device says that has lost its settings, or has not converted, is no temperature."""
        good = self._configuration.same(held) & (words != EMPTY).all(axis=1)
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
        held = await self._configuration.write(np.zeros_like(self._wired))
        await asyncio.sleep(self._part.reference_s)
        same = self._configuration.exact(held)
        if not same.all():
            device = int(np.argmin(same))
            found = held[device].tobytes().hex(" ")
            raise BusFault("refused", f"device {device + 1} holds {found} as configuration")

    # -------------------------------------------------------------- checks
    async def _check(self) -> None:
        """The next of the checks in turn; what it finds stands until it finds nothing."""
        at, self._checked = self._checked, (self._checked + 1) % (len(CHECKS) + 1)
        if at == len(CHECKS):
            await self._look_for_loose_wires()
            return
        check = CHECKS[at]
        self._note(check.__name__, await check(self._chain, self._part))

    async def _look_for_loose_wires(self) -> None:
        """With nothing discharged: that would move cells as a loose wire does."""
        told = self._configuration.told
        if told.any():
            await self._configuration.change(np.zeros_like(told))
            await asyncio.sleep(SETTLE_S)
        loose = await loose_wires(self._chain, self._part, self._settings.cells, self._settings.open_wire_v)
        self._loose = (loose[:, :-1] | loose[:, 1:]) & self._wired
        places = [f"device {device + 1}: wire C{wire} is open" for device, wire in np.argwhere(loose).tolist()]
        self._note("wires", "; ".join(places))
        if told.any():
            await self._configuration.change(told)

    def _note(self, what: str, wrong: str) -> None:
        self._wrong.pop(what, None)
        if wrong:
            self._wrong[what] = wrong

    # -------------------------------------------------------------- values
    def _scan_of(self, words: np.ndarray, sums: np.ndarray, status: Status, held: np.ndarray) -> AfeScan:
        converted = words[self._wired] != EMPTY
        self._conversions += bool(converted.all())
        cell_v = np.where(words == EMPTY, 0, words) * COUNT_V
        cell_v[self._loose] = np.nan
        self._judge_supplies(sums[:, 2] * COUNT_V, status)
        self._judge_wiring(words)
        return AfeScan(
            cell_v=np.where(converted, cell_v[self._wired], np.nan),
            stack_v=float(sums[:, 0].sum() * self._part.sum_v),
            conversions=self._conversions,
            trips=self._trips(status),
            was_reset=not self._configuration.same(held).all(),
            retries=self._chain.retries,
            note="; ".join(self._wrong.values()),
            balancing=self._configuration.discharged(held),
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

    def _judge_wiring(self, words: np.ndarray) -> None:
        """Inputs without a cell are tied together: a voltage there is another device's, or a wrong ``cells``."""
        stray = np.argwhere((words > STRAY_CODE) & (words != EMPTY) & ~self._wired).tolist()
        where = [f"device {device + 1}: a cell on input C{cell + 1}, where none is wired" for device, cell in stray[:1]]
        self._note("wiring", "".join(where))

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
