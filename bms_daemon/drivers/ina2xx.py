"""Driver of TI's INA226, INA228 and INA238: current by a sense resistor, and the voltage of one terminal, on I2C.

Current is worked out from the voltage across the resistor, so that a chip that has lost its calibration does not read
as one without current; that it has lost it is found with every reading.
"""

from __future__ import annotations

import asyncio
from math import inf, nan
from typing import Literal

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import Quantity, ShuntTable
from bms_daemon.drivers import ina2xx_codec as codec
from bms_daemon.drivers.ina2xx_codec import PARTS, Part, PartName, Register
from bms_daemon.model import BusFault, ShuntReading
from bms_daemon.ports import ByteBus

__all__ = ["Driver", "Settings"]

_NOISE = frozenset({"nack", "framing"})
_POLL_S = 0.005
_SOONEST = 0.9  # of a period, until the next conversion may be ready
_IDENTITY_MASK = 0xFFF0  # the last digit is the revision


class Settings(ShuntTable):
    """The chip, its resistor, and what its bus pin sits on."""

    part: PartName = "ina228"
    address: int = Field(ge=0x40, le=0x4F, default=0x40)
    shunt_mohm: float = Field(gt=0.0, le=1000.0)
    bus: Literal["pack", "link"] | None = Field(default=None, description="What the VBUS pin is wired to.")
    max_current_a: float = Field(gt=0.0, le=5000.0, description="The largest current that it must measure.")
    inverted: bool = Field(default=False, description="IN+ and IN- swapped: it counts discharge as positive.")

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        most_a = self.chip.full_v / (self.shunt_mohm * 1e-3)
        if self.max_current_a > most_a:
            text = f"an {self.part} measures up to {most_a:.4g} A across {self.shunt_mohm:g} mOhm"
            raise ValueError(f"max_current_a: {text}")
        return self

    @property
    def chip(self) -> Part:
        return PARTS[self.part]

    @property
    def measures(self) -> frozenset[Quantity]:
        terminal: set[Quantity] = {"pack_v"} if self.bus == "pack" else {"link_v"} if self.bus == "link" else set()
        return frozenset({"current_a", *terminal})

    @property
    def chip_s(self) -> float:
        """It averages over its conversions."""
        return self.chip.period_s

    @property
    def addresses(self) -> tuple[int, ...]:
        return (self.address,)


class Driver:
    """One chip on its bus."""

    def __init__(self, bus: ByteBus, settings: Settings) -> None:
        self._bus, self._settings, self._part = bus, settings, settings.chip
        self._shunt_ohm = settings.shunt_mohm * 1e-3
        register, _ = self._part.calibration
        self._calibrated = codec.calibration(self._part, settings.max_current_a, self._shunt_ohm)
        self._wanted = (*self._part.setup, (register, self._calibrated))
        self._due_s = -inf

    async def setup(self) -> None:
        """Recognise the chip, configure and calibrate it, and compare. Raises BusFault("refused")."""
        for register, wanted in self._part.identity:
            found = await self._word(register)
            if (found ^ wanted) & _IDENTITY_MASK:
                raise BusFault("refused", f"register 0x{register:02X} reads 0x{found:04X}: no {self._settings.part}")
        await self._program()
        lost = await self._lost()
        if lost:
            raise BusFault("refused", lost)

    async def read(self) -> ShuntReading:
        """The next conversion. Raises BusFault, also for a chip that has lost its settings; they are written again."""
        flags = await self._converted()
        lost = await self._lost()
        if lost:
            await self._program()
            raise BusFault("refused", f"{lost}; written again")
        shunt_v, bus_v = await self._volts(self._part.shunt), await self._volts(self._part.bus)
        charge_ah = await self._charge_ah(flags)
        sound = flags & self._part.memory == self._part.memory
        side = -1.0 if self._settings.inverted else 1.0
        current_a = side * shunt_v / self._shunt_ohm if sound else nan
        wired = self._settings.bus
        return ShuntReading(
            current_a,
            bus_v if wired == "pack" else nan,
            bus_v if wired == "link" else nan,
            charge_ah=side * charge_ah,
        )

    async def _charge_ah(self, flags: int) -> float:
        """As the chip has counted, between its IN+ and IN-. NaN once where it says that it miscounted."""
        if self._part.counter is None:
            return nan
        raw = await self._exchange(bytes((self._part.counter,)), codec.COUNTER_BYTES)  # which clears its flag
        miscounted = flags & codec.MISCOUNTED
        return nan if miscounted else codec.charge_ah(self._part, raw, self._calibrated, self._shunt_ohm)

    async def _converted(self) -> int:
        """Wait for a new conversion; what the chip says beside it."""
        register, bit = self._part.ready
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._due_s - loop.time()))
        while True:
            flags = await self._word(register)
            if flags & bit:
                self._due_s = loop.time() + _SOONEST * self._part.period_s
                return flags
            await asyncio.sleep(_POLL_S)

    async def _program(self) -> None:
        for register, value in self._wanted:
            await self._exchange(bytes((register,)) + value.to_bytes(2, "big"), 0)

    async def _lost(self) -> str:
        for register, wanted in self._wanted:
            held = await self._word(register)
            if held != wanted:
                return f"register 0x{register:02X} holds 0x{held:04X}, written was 0x{wanted:04X}"
        return ""

    async def _volts(self, register: Register) -> float:
        return register.volts(await self._exchange(bytes((register.at,)), register.length))

    async def _word(self, register: int) -> int:
        return int.from_bytes(await self._exchange(bytes((register,)), 2), "big")

    async def _exchange(self, message: bytes, length: int) -> bytes:
        """What noise spoilt is sent once more; the chip has no code that would tell of a flipped bit."""
        try:
            return await self._once(message, length)
        except BusFault as fault:
            if fault.kind not in _NOISE:
                raise
        return await self._once(message, length)

    async def _once(self, message: bytes, length: int) -> bytes:
        raw = await self._bus.transfer(self._settings.address, message, length)
        if len(raw) != length:
            raise BusFault("framing", f"{len(raw)} bytes came, {length} were asked for")
        return raw
