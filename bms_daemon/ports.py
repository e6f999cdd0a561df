"""What the core needs of the world, as small protocols. Behaviour that types cannot say is said here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bms_daemon.model import Actuated, AfeScan, BoolArray, Command, Raw, ShuntReading, TempScan


class ByteBus(Protocol):
    """A register bus (I2C). One transfer at a time; raises BusFault within its time-out, never blocks the loop."""

    async def transfer(self, address: int, write: bytes, read_len: int = 0) -> bytes:
        """Write, then read ``read_len`` bytes after a repeated start. Either part may be empty."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SpiFrame:
    """One period of chip select low. ``low_s``: it lasts at least this long; ``gap_s``: a pause behind it."""

    data: bytes
    low_s: float = 0.0
    gap_s: float = 0.0


class SpiBus(Protocol):
    """A chip select on SPI. Raises BusFault within its time-out, never blocks the loop."""

    async def transfer(self, frames: Sequence[SpiFrame]) -> list[bytes]:
        """Send frames one behind the other; of each, as many bytes as were sent."""
        ...

    def close(self) -> None: ...


class CanPort(Protocol):
    """Frames of a sensor's bus, 11-bit identifiers. Both raise BusFault("gone") when the interface is lost."""

    async def receive(self) -> list[tuple[int, bytes]]:
        """Wait for at least one frame; all that have come, oldest first."""
        ...

    async def send(self, frame_id: int, data: bytes) -> None: ...

    def close(self) -> None: ...


class SerialPort(Protocol):
    """A byte stream. ``read`` waits for at least one byte and raises BusFault("gone") when the device is lost."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Lines(Protocol):
    """GPIO lines by role name, in their logical sense. Requested once, inactive until written, never re-requested."""

    def write(self, values: Mapping[str, bool]) -> None:
        """Set outputs now. Synchronous, microseconds. Raises BusFault when the kernel refuses."""
        ...

    def read(self) -> dict[str, bool]:
        """Levels of every line, inputs and outputs alike."""
        ...

    def on_edge(self, callback: Callable[[str, bool], None]) -> None:
        """Call back in the loop for every edge of an input: role, new level."""
        ...

    def close(self) -> None: ...


class Afe(Protocol):
    """An analog front end. Its hardware limits are programmed by ``setup`` and returned as the chip accepted them."""

    async def setup(self) -> Mapping[str, float]:
        """Reset configuration to ours, read back, leave every switch off. Only called while the pack is open."""
        ...

    async def scan(self) -> AfeScan: ...

    async def scan_temps(self) -> TempScan: ...

    async def switch(self, charge: bool, discharge: bool) -> None:
        """Set the chip's switch outputs. Returns when the chip has confirmed."""
        ...


@runtime_checkable
class Balancer(Protocol):
    """An AFE that can discharge single cells. Its scans go on, with the discharge paused while it measures."""

    async def balance(self, cells: BoolArray) -> BoolArray:
        """Discharge these, bool (series,), and no others; returns those that the chip then says it discharges.

        Chips refuse neighbours, too many at once, or when they are hot. What is not asked for again within some
        seconds ends by itself.
        """
        ...


class CurrentSensor(Protocol):
    """A sensor that speaks by itself: ``read`` waits for its next complete, checked message."""

    async def setup(self) -> None:
        """Have it speak as its settings say; returns when it has confirmed. Before that its messages mean nothing."""
        ...

    async def read(self) -> ShuntReading: ...


class Rig(Protocol):
    """The world as one tick sees it."""

    def newest(self, now_s: float) -> Raw:
        """Newest sample of every source and the orders since the last call. Never waits."""
        ...

    def actuate(self, command: Command) -> Actuated:
        """GPIO now, bus writes queued with the newest winning; returns what the lines read back."""
        ...
