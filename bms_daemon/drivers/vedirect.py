"""Driver of Victron's battery monitors (BMV, SmartShunt), which send VE.Direct text once a second by themselves."""

from __future__ import annotations

import math
import re

from pydantic import Field

from bms_daemon.config.driver_tables import ShuntTable
from bms_daemon.config.section import Amps
from bms_daemon.drivers.vedirect_codec import Decoder
from bms_daemon.model import ShuntReading
from bms_daemon.ports import SerialPort

__all__ = ["Decoder", "Driver", "Settings"]

_POWER_W, _POWER_RATIO = 5.0, 0.1
_INTEGER = re.compile(r"-?[0-9]{1,9}")


class Settings(ShuntTable):
    """What readings are possible; anything beyond is not believed."""

    max_current_a: Amps = 2000.0
    max_voltage_v: float = Field(gt=0.0, le=2000.0, default=1000.0)
    max_block_bytes: int = Field(ge=128, le=4096, default=512, description="A longer block is noise.")

    @property
    def baud(self) -> int:
        return 19200


class Driver:
    """A monitor on its port. ``decoder`` counts what was rejected."""

    def __init__(self, port: SerialPort, settings: Settings) -> None:
        self._port = port
        self._settings = settings
        self.decoder = Decoder(settings.max_block_bytes)

    async def setup(self) -> None:
        """It speaks as it does."""

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
