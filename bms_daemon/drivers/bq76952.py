"""Driver of the TI bq76952, bq76942 and bq769142, analog front ends for up to 16, 10 and 14 cells on I2C (TI SLUUBY2B).

Direct registers are read in blocks; subcommands and data memory go through the chip's transfer buffer, one at a time.
A transfer that fails by noise is tried once more; what fails twice is the caller's BusFault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from bms_daemon.drivers import bq76952_codec as codec
from bms_daemon.drivers import bq76952_memory as memory
from bms_daemon.drivers.bq76952_limits import decode_limits
from bms_daemon.drivers.bq76952_parts import other
from bms_daemon.drivers.bq76952_settings import Family, Settings
from bms_daemon.drivers.bq76952_wire import I2cWire, Wire
from bms_daemon.model import AfeScan, BoolArray, BusFault, TempScan
from bms_daemon.ports import ByteBus, SpiBus

__all__ = ["Driver", "Settings"]

T = TypeVar("T")

_DEVICE_NUMBER, _MFG_STATUS, _FET_ENABLE = 0x0001, 0x0057, 0x0022
_SET_CFGUPDATE, _EXIT_CFGUPDATE, _ALL_FETS_OFF, _FET_CONTROL = 0x0090, 0x0092, 0x0095, 0x0097
_CB_ACTIVE_CELLS, _CB_INTERVAL_S = 0x0083, 20.0  # the chip ends by itself what is not asked for again
_FET_EN = 0x10
_NOISE = frozenset({"nack", "crc", "framing"})
_SETTLE_S = 0.001  # after a write to data memory or the buffer: 200 us at least
_POLL_S = 0.002
_BUFFER_POLLS = 10
_MODE_POLLS = 50
_SWITCH_POLLS = 9
_FIRST_CONTACT_TRIES = 5
_FIRST_CONTACT_S = 0.01


class Driver:
    """One chip on its bus. ``series`` cells hang on ``settings.inputs``. Raises ValueError if they do not fit."""

    def __init__(self, bus: ByteBus | SpiBus, settings: Family, series: int) -> None:
        self._wire = self._wire_of(bus, settings)
        self._settings = settings
        self._memory = settings.memory(series)
        self._inputs = np.array(settings.cell_inputs(series)) - 1
        self._user_a = settings.user_a
        self._buffer = asyncio.Lock()
        self._conversions = 0
        self._retries = 0
        self._bled: BoolArray = np.zeros(series, dtype=bool)  # cells that it discharges
        self._bled_until_s = float("-inf")

    @staticmethod
    def _wire_of(bus: Any, settings: Any) -> Wire:
        return I2cWire(bus, settings.address, settings.crc)

    async def setup(self) -> Mapping[str, float]:
        """Configure, compare with what the chip then holds, leave both switches off.

        Returns the limits that the chip accepted. Raises BusFault("refused") naming what it did not take.
        """
        await self._identify()
        self._bled[:] = False  # which CONFIG_UPDATE ends
        await self._command(_SET_CFGUPDATE)
        await self._await_mode(codec.STATUS_CFGUPDATE)
        for name, value in self._memory.items():
            item = memory.ITEMS[name]
            await self._write_buffer(item.address, item.pack(value))
        accepted = await self._read_back()
        await self._command(_ALL_FETS_OFF)
        await self._command(_EXIT_CFGUPDATE)
        await self._await_mode(0)
        await self._enable_alarms()
        await self._enable_fets()
        await self.switch(False, False)
        return decode_limits(accepted, self._settings.shunt_mohm)

    async def scan(self) -> AfeScan:
        """Alarms first: what proves a conversion is read and cleared before the values that it proves."""
        alarms = await self._take_alarms()
        self._conversions += bool(alarms & codec.FULLSCAN)
        status = codec.decode_status(await self._read(codec.SAFETY_BLOCK, codec.SAFETY_BLOCK_LEN), alarms)
        raw = await self._read(codec.MEASURE_BLOCK, codec.MEASURE_BLOCK_LEN, words=True)
        fets = (await self._read(codec.FET_STATUS, 1))[0]
        values = codec.decode_measurement(raw, self._user_a)
        retries, self._retries = self._retries, 0
        if status.was_reset or asyncio.get_running_loop().time() > self._bled_until_s:
            self._bled = np.zeros_like(self._bled)
        return AfeScan(
            cell_v=values.inputs_v[self._inputs],
            stack_v=values.stack_v,
            pack_v=values.stack_v if self._settings.fets else values.pack_v,
            link_v=values.load_v,
            current_a=values.current_a,
            conversions=self._conversions,
            trips=status.trips,
            charge_on=bool(fets & codec.FET_CHG),
            discharge_on=bool(fets & codec.FET_DSG),
            was_reset=status.was_reset,
            retries=retries,
            balancing=self._bled,
        )

    async def balance(self, cells: BoolArray) -> BoolArray:
        """Discharge these for the chip's 20 s. It refuses all of them for neighbours, and while it is hot or cold."""
        mask = sum(1 << int(at) for at in self._inputs[cells])
        await self._write_buffer(_CB_ACTIVE_CELLS, mask.to_bytes(2, "little"))
        held = int.from_bytes((await self._query(_CB_ACTIVE_CELLS))[:2], "little")
        self._bled = (held >> self._inputs & 1).astype(bool)
        self._bled_until_s = asyncio.get_running_loop().time() + _CB_INTERVAL_S
        return self._bled

    async def scan_temps(self) -> TempScan:
        """Probes in the order of ``settings.probes``."""
        raw = await self._read(codec.TEMPERATURE_BLOCK, codec.TEMPERATURE_BLOCK_LEN, words=True)
        degc = codec.decode_temperatures(raw)
        return TempScan(np.array([degc[pin] for pin in self._settings.probes]), degc["die"])

    async def switch(self, charge: bool, discharge: bool) -> None:
        """Set both switch outputs. Raises BusFault("refused") when the chip does not follow within 20 ms."""
        await self._write_buffer(_FET_CONTROL, bytes((codec.fet_control(charge, discharge),)))
        wanted = (codec.FET_CHG if charge else 0) | (codec.FET_DSG if discharge else 0)
        for _ in range(_SWITCH_POLLS):
            fets = (await self._read(codec.FET_STATUS, 1))[0]
            if fets & (codec.FET_CHG | codec.FET_DSG) == wanted:
                return
            await asyncio.sleep(_POLL_S)
        raise BusFault("refused", f"switches stay at FET status 0x{fets:02X}, wanted 0x{wanted:02X}")

    # -------------------------------------------------------------- steps of setup
    async def _identify(self) -> None:
        """The first words after a start may be garbled: several tries, then the last fault stands."""
        for attempt in range(_FIRST_CONTACT_TRIES):
            try:
                number = int.from_bytes((await self._query(_DEVICE_NUMBER))[:2], "little")
                wrong = other(self._settings.part, number)
                if not wrong:
                    return
                fault = BusFault("refused", wrong)
            except BusFault as error:
                fault = error
            if attempt + 1 < _FIRST_CONTACT_TRIES:
                await asyncio.sleep(_FIRST_CONTACT_S)
        raise fault

    async def _await_mode(self, wanted: int) -> None:
        for _ in range(_MODE_POLLS):
            await asyncio.sleep(_POLL_S)
            status = int.from_bytes(await self._read(codec.BATTERY_STATUS, 2), "little")
            if status & codec.STATUS_CFGUPDATE == wanted:
                return
        verb = "enter" if wanted else "leave"
        raise BusFault("refused", f"the chip does not {verb} CONFIG_UPDATE, battery status 0x{status:04X}")

    async def _read_back(self) -> dict[str, float]:
        accepted: dict[str, float] = {}
        for address, names in memory.blocks(self._memory):
            block = await self._query(address)
            for name in names:
                item = memory.ITEMS[name]
                accepted[name] = item.unpack(block.ljust(memory.BLOCK_LEN, b"\0"), address)
                if item.pack(accepted[name]) != item.pack(self._memory[name]):
                    detail = f"{name} reads {accepted[name]:g}, written was {self._memory[name]:g}"
                    raise BusFault("refused", detail)
        return accepted

    async def _enable_alarms(self) -> None:
        """Enable ours, and forget what was latched before this setup."""
        wanted = codec.ALARMS.to_bytes(2, "little")
        await self._write(codec.ALARM_ENABLE, wanted)
        held = await self._read(codec.ALARM_ENABLE, 2)
        if held != wanted:
            raise BusFault("refused", f"alarm enable reads {held[::-1].hex()}, written was {wanted[::-1].hex()}")
        await self._write(codec.ALARM_STATUS, b"\xff\xff")

    async def _enable_fets(self) -> None:
        """FET_ENABLE toggles: it is sent only if FETs are not enabled, and then the chip must say that they are."""
        if await self._fets_enabled():
            return
        await self._command(_FET_ENABLE)
        if not await self._fets_enabled():
            raise BusFault("refused", "FET_EN stays 0")

    async def _fets_enabled(self) -> bool:
        return bool((await self._query(_MFG_STATUS))[0] & _FET_EN)

    async def _take_alarms(self) -> int:
        raw = await self._read(codec.ALARM_STATUS, 2)
        if any(raw):
            await self._write(codec.ALARM_STATUS, raw)
        return int.from_bytes(raw, "little")

    # -------------------------------------------------------------- subcommands and data memory
    async def _command(self, code: int) -> None:
        async with self._buffer:
            await self._write(codec.SUBCOMMAND, code.to_bytes(2, "little"))
            await asyncio.sleep(_SETTLE_S)

    async def _query(self, code: int) -> bytes:
        """Data of a subcommand, or 32 bytes of data memory. Raises BusFault("timeout") if the chip does not answer."""
        echo = code.to_bytes(2, "little")
        async with self._buffer:
            await self._write(codec.SUBCOMMAND, echo)
            for _ in range(_BUFFER_POLLS):
                await asyncio.sleep(_SETTLE_S)
                if await self._read(codec.SUBCOMMAND, 2) == echo:
                    return codec.check_buffer(code, await self._read(codec.BUFFER, codec.BUFFER_LEN + 2))
        raise BusFault("timeout", f"subcommand 0x{code:04X} is not answered")

    async def _write_buffer(self, code: int, data: bytes) -> None:
        async with self._buffer:
            await self._write(codec.SUBCOMMAND, code.to_bytes(2, "little") + data)
            await self._write(codec.CHECKSUM, bytes((codec.checksum(code, data), len(data) + 4)))
            await asyncio.sleep(_SETTLE_S)

    # -------------------------------------------------------------- registers
    async def _write(self, register: int, data: bytes) -> None:
        await self._twice(lambda: self._wire.write(register, data))

    async def _read(self, register: int, length: int, words: bool = False) -> bytes:
        return await self._twice(lambda: self._wire.read(register, length, words))

    async def _twice(self, call: Callable[[], Awaitable[T]]) -> T:
        """What noise spoilt is tried once more."""
        try:
            return await call()
        except BusFault as fault:
            if fault.kind not in _NOISE:
                raise
        self._retries += 1
        return await call()
