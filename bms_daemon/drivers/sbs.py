"""Driver of smart batteries on SMBus (SBS 1.1): what the pack's own gauge measures, and what it asks of its charger.

Its values are measurements like any others: its state of charge is not used. SBS knows no proof of a measurement, so
that values that do not change at all for longer than ``unchanged_s`` count as old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf, nan
from typing import Any, Literal

import numpy as np
from pydantic import Field

from bms_daemon.config.driver_tables import AfeTable, Quantity, ScanTime, i2c_s
from bms_daemon.config.section import Seconds
from bms_daemon.drivers import sbs_codec as codec
from bms_daemon.drivers.bq76952_codec import crc8
from bms_daemon.drivers.sbs_codec import Scale, Status
from bms_daemon.model import AfeScan, BusFault, FloatArray, TempScan, Trip
from bms_daemon.ports import ByteBus

__all__ = ["Driver", "Settings"]

_NOISE = frozenset({"nack", "crc", "framing"})
_BATTERY_MODE, _QUIET = 0x03, 0x6000  # no broadcasts to a charger or a host; capacities in mAh
_QUIET_S = 30.0  # it forgets the mode after a minute
_MOST_CELLS = 4
_SETTLE_POLLS, _POLL_S = 30, 0.05


class Settings(AfeTable):
    """How the battery speaks, and what it can tell."""

    address: int = Field(ge=0x08, le=0x77, default=0x0B)
    pec: bool = Field(default=True, description="It ends each word with a packet error code (SpecificationInfo 3).")
    cells: Literal["told", "shared"] = Field(
        default="told", description="told: commands 0x3F to 0x3C; shared: its voltage over its cells, which hides one."
    )
    renewed_s: Seconds = Field(default=0.5, description="How often the gauge measures its voltages; bounds rest on it.")
    unchanged_s: Seconds = Field(default=60.0, description="Values that do not change for longer are old.")

    @property
    def measures(self) -> frozenset[Quantity]:
        return frozenset({"current_a", "pack_v"})

    @property
    def chip_s(self) -> tuple[float, float]:
        return self.renewed_s, min(self.renewed_s, 0.25)

    @property
    def addresses(self) -> tuple[int, ...]:
        return (self.address,)

    @property
    def probe_count(self) -> int:
        return 1

    def scan_time(self, series: int) -> ScanTime:
        """It measures by itself: a word for each of status, voltage, current, request and cell at 100 kHz."""
        words = 4 + (series if self.cells == "told" else 0)
        return ScanTime(0.0, i2c_s(100e3, [5 + self.pec] * words))

    def alternatives(self) -> tuple[dict[str, Any], ...]:
        return ({"pec": not self.pec},)

    def fit(self, series: int) -> None:
        if self.cells == "told" and series > _MOST_CELLS:
            raise ValueError(f"a smart battery tells at most {_MOST_CELLS} cells, not {series}")


class Driver:
    """One battery on its bus. Raises ValueError if ``series`` cells do not fit."""

    def __init__(self, bus: ByteBus, settings: Settings, series: int) -> None:
        settings.fit(series)
        self._bus, self._settings, self._series = bus, settings, series
        self._scale = Scale(1.0, 1.0, settings.pec)
        self._conversions = 0
        self._retries = 0
        self._last: tuple[int, ...] = ()
        self._changed_s = self._quiet_s = -inf

    async def setup(self) -> Mapping[str, float]:
        """Recognise a battery and keep it from speaking by itself; it keeps no limits that a host could set.

        Raises BusFault("refused") for what is none, and for one that does without the packet error codes wanted.
        """
        self._scale = codec.scale_of(await self._word(codec.SPECIFICATION))
        if self._settings.pec and not self._scale.pec:
            raise BusFault("refused", "the battery knows no packet error codes: afe.settings.pec = false")
        await self._be_quiet()
        for _ in range(_SETTLE_POLLS):
            if codec.decode_status(await self._word(codec.STATUS)).settled:
                return {}
            await asyncio.sleep(_POLL_S)
        raise BusFault("refused", "the battery has measured nothing since its start")

    async def scan(self) -> AfeScan:
        """Everything that changes fast, a word at a time."""
        status = codec.decode_status(await self._word(codec.STATUS))
        words = [await self._word(command) for command in (codec.VOLTAGE, codec.CURRENT, *self._cell_commands())]
        request = await self._word(codec.CHARGING_CURRENT)
        self._prove(tuple(words))
        pack_v = words[0] * 1e-3 * self._scale.volts
        retries, self._retries = self._retries, 0
        return AfeScan(
            cell_v=self._cells_v(words[2:], pack_v),
            stack_v=pack_v,
            conversions=self._conversions,
            pack_v=pack_v,
            current_a=codec.signed(words[1]) * 1e-3 * self._scale.amps,
            trips=status.trips,
            was_reset=not status.settled,
            retries=retries,
            note="the battery reports over-temperature" if status.trips & Trip.OVER_TEMPERATURE else "",
            charge_max_a=self._request_a(request, status),
            discharge_max_a=0.0 if status.discharge_ends else inf,
        )

    async def scan_temps(self) -> TempScan:
        """Its one temperature."""
        if asyncio.get_running_loop().time() - self._quiet_s > _QUIET_S:
            await self._be_quiet()
        return TempScan(np.array([await self._word(codec.TEMPERATURE) * 0.1 - codec.KELVIN]), nan)

    async def switch(self, charge: bool, discharge: bool) -> None:
        """Its own switches are its own."""

    # -------------------------------------------------------------- values
    def _cell_commands(self) -> list[int]:
        told = self._settings.cells == "told"
        return [codec.CELL_1 - cell for cell in range(self._series)] if told else []

    def _cells_v(self, words: list[int], pack_v: float) -> FloatArray:
        if self._settings.cells == "shared":
            return np.full(self._series, pack_v / self._series)
        return np.array(words) * 1e-3

    def _prove(self, words: tuple[int, ...]) -> None:
        now_s = asyncio.get_running_loop().time()
        if words != self._last:
            self._last, self._changed_s = words, now_s
        self._conversions += now_s - self._changed_s <= self._settings.unchanged_s

    def _request_a(self, word: int, status: Status) -> float:
        if status.charge_ends:
            return 0.0
        return inf if word == codec.ANY_CURRENT else word * 1e-3  # IPScale does not count for what it asks

    # -------------------------------------------------------------- words
    async def _be_quiet(self) -> None:
        message = bytes((_BATTERY_MODE,)) + _QUIET.to_bytes(2, "little")
        code = bytes((crc8(bytes((self._settings.address << 1,)) + message),)) if self._settings.pec else b""
        await self._bus.transfer(self._settings.address, message + code)
        self._quiet_s = asyncio.get_running_loop().time()

    async def _word(self, command: int) -> int:
        """Raises BusFault; what noise spoilt is asked for once more."""
        try:
            return await self._once(command)
        except BusFault as fault:
            if fault.kind not in _NOISE:
                raise
        self._retries += 1
        return await self._once(command)

    async def _once(self, command: int) -> int:
        address, pec = self._settings.address, self._settings.pec
        raw = await self._bus.transfer(address, bytes((command,)), 3 if pec else 2)
        return codec.word_of(address, command, raw, pec)
