"""What a driver's own table tells the rest of the configuration about its part. All drivers' Settings derive from it.

Quantities go by their names in the model: ``current_a``, ``pack_v``, ``link_v``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bms_daemon.config.section import Section

Quantity = Literal["current_a", "pack_v", "link_v"]
NONE: frozenset[Quantity] = frozenset()


I2C_BITS, I2C_FRAMING_BITS = 9, 2  # of a byte, of a transfer


@dataclass(frozen=True, slots=True)
class ScanTime:
    """The least that a scan of all cells takes, s: conversions that it waits for, and bytes at the bus's speed."""

    convert_s: float
    wire_s: float

    @property
    def whole_s(self) -> float:
        return self.convert_s + self.wire_s


def i2c_s(hz: float, transfers: Iterable[int]) -> float:
    """How long transfers of so many bytes each, addresses included, occupy a bus."""
    return sum(count * I2C_BITS + I2C_FRAMING_BITS for count in transfers) / hz


class AfeTable(Section):
    """An analog front end's."""

    @property
    def measures(self) -> frozenset[Quantity]:
        """Of the terminals' quantities, those that every scan brings."""
        return NONE

    @property
    def switches_current(self) -> bool:
        """Whether the pack's current flows through FETs that its switch outputs drive."""
        return False

    @property
    def chip_s(self) -> tuple[float, float]:
        """How old what it answers may be, s: cells and probes, and current."""
        return 0.0, 0.0

    @property
    def addresses(self) -> tuple[int, ...]:
        """That it answers to, where its bus has addresses."""
        return ()

    @property
    def clock_hz(self) -> int:
        """Of its bus, where the host sets it."""
        return 0

    @property
    def spi_mode(self) -> int:
        """Of its bus, where that is SPI: polarity and phase of the clock."""
        return 3

    @property
    def probe_count(self) -> int:
        return 0

    def scan_time(self, series: int) -> ScanTime:
        """At the fastest that its bus goes."""
        return ScanTime(0.0, 0.0)

    def hardware_limits(self) -> dict[str, float]:
        """The limits that the chip keeps by itself, as it will round them, by field name."""
        return {}

    def alternatives(self) -> tuple[dict[str, Any], ...]:
        """Changes of this table with which a part of the same family might answer instead, likeliest first."""
        return ()

    def fit(self, series: int) -> None:
        """Raises ValueError, saying why, when it cannot measure so many cells."""


class ShuntTable(Section):
    """A current sensor's."""

    @property
    def measures(self) -> frozenset[Quantity]:
        """What its readings hold and the daemon may rely on."""
        return NONE

    @property
    def chip_s(self) -> float:
        """How old what it says may be when it has said it, s."""
        return 0.0

    @property
    def addresses(self) -> tuple[int, ...]:
        """That it answers to, where it hangs on I2C."""
        return ()

    @property
    def baud(self) -> int:
        """Of its serial line, or of its CAN bus."""
        return 0

    @property
    def listens(self) -> tuple[int, ...]:
        """Identifiers of the frames that it sends, where it hangs on CAN."""
        return ()
