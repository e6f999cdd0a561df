"""What can be wrong with a chain on isoSPI: the test's back door. Devices and cells count from 0, wires C0 is 0."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Each is as long true as it stands here; ``spoilt`` counts down."""

    mute: int | None = None  # from this device on the chain is broken
    frozen: bool = False  # commands are taken and nothing converts
    open_wires: set[tuple[int, int]] = field(default_factory=set)  # device, wire
    cell_offset_v: dict[int, float] = field(default_factory=dict)  # by cell of the pack
    raw_cells: dict[int, int] = field(default_factory=dict)  # by cell of the pack: its register's code
    reference_v: dict[int, float] = field(default_factory=dict)
    analog_v: dict[int, float] = field(default_factory=dict)
    swapped: tuple[int, int] | None = None  # two devices in each other's place
    spoilt: dict[int, int] = field(default_factory=dict)  # answers of a device with a wrong code
    probe_degc: dict[int, float] = field(default_factory=dict)  # by probe of the pack
    die_degc: float | None = None
