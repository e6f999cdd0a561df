"""Driver of Victron's battery monitors (BMV, SmartShunt), which send VE.Direct text once a second by themselves.

The Ah that a monitor says it has consumed (CE) is no charge counter here: it jumps to zero whenever the monitor takes
the pack for full, and nothing in a message tells such a jump from charge that flowed unseen.
"""

from __future__ import annotations

import asyncio
import math
import re

from pydantic import Field

from bms_daemon.config.driver_tables import ShuntTable
from bms_daemon.config.section import Amps
from bms_daemon.drivers.vedirect_codec import Decoder, HexFrame, encode_hex
from bms_daemon.model import BusFault, ShuntReading
from bms_daemon.ports import SerialPort

__all__ = ["Decoder", "Driver", "Settings"]

_POWER_W, _POWER_RATIO = 5.0, 0.1
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_ANSWER_S, _TRIES = 0.7, 2
_UNKNOWN, _ERROR = 0x3, 0x4
_QUESTIONS = (  # what it is, the question, how an answer begins
    ("ping", HexFrame(0x1), HexFrame(0x5)),
    ("product id", HexFrame(0x4), HexFrame(0x1)),
    ("capacity", HexFrame(0x7, b"\x00\x10\x00"), HexFrame(0x7, b"\x00\x10\x00")),  # register 0x1000, no flags
)


class Settings(ShuntTable):
    """What readings are possible; anything beyond is not believed."""

    max_current_a: Amps = 2000.0
    max_voltage_v: float = Field(gt=0.0, le=2000.0, default=1000.0)
    hex: bool = Field(default=False, description="Ask it who it is at the start; its text pauses for some seconds.")
    max_block_bytes: int = Field(ge=128, le=4096, default=512, description="A longer block is noise.")

    @property
    def baud(self) -> int:
        return 19200


class Driver:
    """A monitor on its port. ``decoder`` counts what was rejected."""

    def __init__(self, port: SerialPort, settings: Settings) -> None:
        self._port = port
        self._settings = settings
        self._proven = not settings.hex
        self.decoder = Decoder(settings.max_block_bytes)

    async def setup(self) -> None:
        """Where that is wanted, prove by HEX that the wire towards it works, and wait for its text to come back.

        It is asked once only: every question stops its text anew. Raises BusFault("refused") in words, and ("gone").
        """
        if self._proven:
            return
        for name, question, answer in _QUESTIONS:
            found = await self._asked(name, question, answer.command)
            if found.command != answer.command or not found.payload.startswith(answer.payload):
                said = encode_hex(found).decode("ascii").strip()
                raise BusFault("refused", f"the monitor answers {said} when asked for its {name}")
        self._proven = True
        await self.read()

    async def _asked(self, name: str, question: HexFrame, answer: int) -> HexFrame:
        """Its answer, whatever it says. Asked twice, since noise may spoil either way."""
        for _ in range(_TRIES):
            self.decoder.heard.clear()
            await self._port.write(encode_hex(question))
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await self._heard((answer, _UNKNOWN, _ERROR))
            except TimeoutError:
                continue
        raise BusFault("refused", f"no answer when asked for its {name}: is the wire to the monitor's RX connected?")

    async def _heard(self, answers: tuple[int, ...]) -> HexFrame:
        """The next frame of these kinds; text and what the monitor says by itself pass by."""
        while True:
            while self.decoder.heard:
                frame = self.decoder.heard.popleft()
                if frame.command in answers:
                    return frame
            self.decoder.feed(await self._port.read())

    async def read(self) -> ShuntReading:
        """The next block with a current in it, or the newest if several came at once. Raises BusFault("gone")."""
        while True:
            blocks = self.decoder.feed(await self._port.read())
            for block in reversed(blocks):
                reading = reading_of(block, self._settings)
                if reading is not None:
                    return reading


def reading_of(block: dict[str, str], settings: Settings) -> ShuntReading | None:
    """V in mV, I in mA (positive when charging, as here), SOC in thousandths.

    None without a usable current, and for a block whose power is not its voltage times its current: the sum over the
    block has only 8 bits, and noise passes it once in 256.
    """
    current_a = _scaled(block, "I", 1e-3, settings.max_current_a)
    voltage_v = _scaled(block, "V", 1e-3, settings.max_voltage_v)
    power_w = _scaled(block, "P", 1.0, math.inf)
    if math.isnan(current_a) or abs(voltage_v * current_a - power_w) > _POWER_W + _POWER_RATIO * abs(power_w):
        return None
    soc = _scaled(block, "SOC", 1e-3, 1.0)
    return ShuntReading(current_a, voltage_v if voltage_v >= 0.0 else math.nan, soc=soc if soc >= 0.0 else math.nan)


def _scaled(block: dict[str, str], label: str, unit: float, largest: float) -> float:
    """NaN for what is missing, not a number or beyond ``largest`` in magnitude."""
    text = block.get(label, "")
    if not _INTEGER.fullmatch(text):
        return math.nan
    value = int(text) * unit
    return value if abs(value) <= largest else math.nan
