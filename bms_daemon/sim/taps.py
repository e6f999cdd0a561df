"""The seams inside the simulator: what a pack shows to chips and sensors, and what those show to the wires.

Nothing here moves by itself. ``World.sync(now_s)`` advances everything to one instant; access to any wire syncs first.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from bms_daemon.model import FloatArray
from bms_daemon.sim.gate import Coils


class Taps(Protocol):
    """What pins and terminals see at the instant of the last sync. Current is positive when charging."""

    cell_v: FloatArray
    stack_v: float
    pack_v: float  # behind the fuse, before the contactors
    link_v: float  # behind the contactors, at the DC link
    current_a: float
    probe_degc: FloatArray
    die_degc: float


class Chip(Protocol):
    """An AFE at register level."""

    def advance(self, now_s: float) -> None:
        """Run every conversion and timer that is due up to ``now_s``."""
        ...

    @property
    def next_event_s(self) -> float:
        """When it next does something by itself; infinity if never."""
        ...

    @property
    def alert(self) -> bool: ...

    @property
    def charge_allowed(self) -> bool:
        """Its charge output (DCHG) lets the coil supply through; True for a chip without one."""
        ...

    @property
    def discharge_allowed(self) -> bool: ...

    @property
    def balancing_mask(self) -> np.ndarray:
        """Which cells it discharges now, bool (n,)."""
        ...


class I2cTarget(Protocol):
    """What answers to an address: the two halves of a transfer."""

    def i2c_write(self, data: bytes) -> bool:
        """Bytes after the address. False: not acknowledged."""
        ...

    def i2c_read(self, count: int) -> bytes | None:
        """``count`` bytes from where the last write left the pointer; None: not acknowledged."""
        ...


class SpiTarget(Protocol):
    """What hangs on a chip select."""

    def frame(self, now_s: float, data: bytes, low_s: float) -> bytes:
        """A period of chip select low of ``low_s`` that ends at ``now_s``, to which it brings itself.

        Answers as many bytes as ``data`` has.
        """
        ...


class CanTalker(Protocol):
    """A sensor on CAN that speaks by itself. Frames are (identifier, data)."""

    def advance(self, now_s: float) -> list[tuple[int, bytes]]:
        """Frames that it has put on the bus since the last call, oldest first."""
        ...

    @property
    def next_event_s(self) -> float: ...

    def hear(self, frame_id: int, data: bytes) -> None: ...


@runtime_checkable
class Counts(Protocol):
    """A sensor that counts what flows, whether anybody listens or not."""

    def count(self, now_s: float) -> None:
        """Count up to ``now_s``, straight from the last call's current to the present one."""
        ...


class Talker(Protocol):
    """A serial sensor that speaks by itself."""

    def advance(self, now_s: float) -> bytes:
        """Bytes that it has put on the wire since the last call."""
        ...

    @property
    def next_event_s(self) -> float: ...

    def hear(self, data: bytes) -> None: ...


class Pack(Protocol):
    """What produces the taps: a physical model, or a recording being played."""

    taps: Taps

    def step(self, now_s: float, coils: Coils) -> None:
        """Advance to ``now_s`` with these coils energised since the last call."""
        ...

    @property
    def main_aux(self) -> bool:
        """The main contactor's auxiliary contact."""
        ...

    @property
    def main_negative_aux(self) -> bool: ...

    @property
    def precharge_aux(self) -> bool: ...
