"""Driver of Isabellenhütte's IVT-S and IVT-MOD: current, charge and up to three voltages in CAN frames of their own.

The sensor is configured once, at the start. A frame whose counter stands still is old, whatever it says.
"""

from __future__ import annotations

import asyncio
from math import inf, nan
from typing import Literal

from pydantic import Field, model_validator

from bms_daemon.config.driver_tables import Quantity, ShuntTable
from bms_daemon.config.section import Amps
from bms_daemon.drivers import ivts_codec as codec
from bms_daemon.drivers.ivts_codec import ByteOrder, Result
from bms_daemon.model import BusFault, ShuntReading
from bms_daemon.ports import CanPort

__all__ = ["Driver", "Settings"]

Channel = Literal["u1", "u2", "u3"]
_CHANNELS: dict[Channel, int] = {"u1": 1, "u2": 2, "u3": 3}
_ANSWER_S, _STORE_S, _UNANSWERED_S = 0.5, 0.5, 0.05
_OLD = 3.0  # periods after which what came before is no longer told
_HOUR_S = 3600.0


class Settings(ShuntTable):
    """Where its results come from and what they are wired to. Identifiers are those of delivery."""

    bitrate: Literal[250_000, 500_000, 1_000_000] = 500_000
    command_id: int = Field(ge=1, le=0x7FF, default=0x411)
    response_id: int = Field(ge=1, le=0x7FF, default=0x511)
    first_id: int = Field(ge=1, le=0x7F8, default=0x521, description="Of the current; the other results follow it.")
    pack: Channel | None = Field(default=None, description="Voltage input before the contactors.")
    link: Channel | None = Field(default=None, description="Voltage input behind them.")
    byte_order: ByteOrder = Field(default="big", description="Of values; the sensor is configured to it.")
    charge: bool = Field(default=True, description="It counts charge, which is sent beside the current and used.")
    inverted: bool = Field(default=False, description="Mounted so that it counts discharge as positive.")
    configure: bool = Field(default=True, description="Set periods, order and store them at the start.")
    answered: bool = Field(default=True, description="It repeats what it was commanded, which is compared.")
    current_ms: int = Field(ge=10, le=1000, default=50)
    voltage_ms: int = Field(ge=10, le=1000, default=100)
    max_current_a: Amps = Field(default=3000.0, description="More is not believed.")
    max_voltage_v: float = Field(gt=0.0, le=2000.0, default=1000.0)

    @model_validator(mode="after")
    def _distinct(self) -> Settings:
        if self.pack is not None and self.pack == self.link:
            raise ValueError(f"pack and link are both {self.pack}")
        return self

    @property
    def measures(self) -> frozenset[Quantity]:
        pack: set[Quantity] = {"pack_v"} if self.pack else set()
        link: set[Quantity] = {"link_v"} if self.link else set()
        return frozenset({"current_a", *pack, *link})

    @property
    def chip_s(self) -> float:
        """It averages over its period."""
        return self.current_ms * 1e-3

    @property
    def baud(self) -> int:
        return self.bitrate

    @property
    def listens(self) -> tuple[int, ...]:
        return (self.response_id, *(self.first_id + number for number in self.wired))

    @property
    def wired(self) -> tuple[int, ...]:
        """Results that are used, by number: the current, the voltages that something is wired to, the charge."""
        volts = tuple(_CHANNELS[channel] for channel in (self.pack, self.link) if channel)
        return (codec.CURRENT, *volts, *((codec.CHARGE,) if self.charge else ()))

    @property
    def periods_ms(self) -> dict[int, int]:
        """How often each of them is sent."""
        volts = _CHANNELS.values()
        return {number: self.voltage_ms if number in volts else self.current_ms for number in self.wired}


class Driver:
    """A sensor on its port. ``lost`` counts frames that counters miss, ``stale`` those whose counter stood still."""

    def __init__(self, port: CanPort, settings: Settings) -> None:
        self.lost = self.stale = 0
        self._port, self._settings, self._periods_ms = port, settings, settings.periods_ms
        self._counters: dict[int, int] = {}
        self._told: dict[int, tuple[Result, float]] = {}  # the newest and its time, by result

    async def setup(self) -> None:
        """Set every result while the sensor stands still; then it keeps them, and runs.

        Raises BusFault("refused") for a command that it does not take, and ("gone").
        """
        if not self._settings.configure:
            return
        await self._command(codec.STOP)
        for number in range(codec.RESULTS):
            await self._command(codec.configure(number, self._periods_ms.get(number, 0), self._settings.byte_order))
        await self._command(codec.KEEP)
        await asyncio.sleep(_STORE_S)
        await self._command(codec.RUN)

    async def read(self) -> ShuntReading:
        """The next current, with voltages and charge as they were last told. Raises BusFault("gone")."""
        while True:
            took = [self._take(*frame) for frame in await self._port.receive()]
            if codec.CURRENT in took:
                return self._reading()

    def _take(self, frame_id: int, data: bytes) -> int | None:
        """Keep a new result that is used; its number."""
        result = codec.decode(data, self._settings.byte_order)
        if result is None or frame_id != self._settings.first_id + result.number:
            return None
        if result.number not in self._periods_ms or not self._is_new(result):
            return None
        self._told[result.number] = result, asyncio.get_running_loop().time()
        return result.number

    def _is_new(self, result: Result) -> bool:
        last = self._counters.get(result.number)
        self._counters[result.number] = result.counter
        if last is None:
            return True
        self.stale += result.counter == last
        self.lost += (result.counter - last - 1) % 16 if result.counter != last else 0
        return result.counter != last

    def _reading(self) -> ShuntReading:
        """A current that is not to be believed is NaN: the message came, and nothing is known by it."""
        settings = self._settings
        side = -1.0 if settings.inverted else 1.0
        return ShuntReading(
            side * self._value(codec.CURRENT, 1e-3, settings.max_current_a),
            self._volt(settings.pack),
            self._volt(settings.link),
            charge_ah=side * self._value(codec.CHARGE, 1.0 / _HOUR_S, inf),
        )

    def _volt(self, channel: Channel | None) -> float:
        return self._value(_CHANNELS[channel], 1e-3, self._settings.max_voltage_v) if channel else nan

    def _value(self, number: int, unit: float, largest: float) -> float:
        """NaN for what was never told or not for long, what the sensor itself does not believe, and what cannot be."""
        if number not in self._told:
            return nan
        result, at_s = self._told[number]
        age_s = asyncio.get_running_loop().time() - at_s
        if result.invalid or result.failed or age_s > _OLD * self._periods_ms[number] * 1e-3:
            return nan
        value = result.value * unit
        return value if abs(value) <= largest else nan

    # -------------------------------------------------------------- configuration
    async def _command(self, command: bytes) -> None:
        await self._port.send(self._settings.command_id, command)
        if not self._settings.answered:
            await asyncio.sleep(_UNANSWERED_S)
            return
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._answer(command)
        except TimeoutError:
            raise BusFault("refused", f"command {command[:4].hex(' ')} is not answered") from None
        if not codec.accepts(command, answer):
            raise BusFault("refused", f"command {command[:4].hex(' ')} is answered {answer.hex(' ')}")

    async def _answer(self, command: bytes) -> bytes:
        while True:
            for frame_id, data in await self._port.receive():
                if frame_id == self._settings.response_id and codec.answers(command, data):
                    return data
