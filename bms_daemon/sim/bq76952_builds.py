"""The parts of the bq76952's family: what an emulator of one has of its own."""

from __future__ import annotations

from dataclasses import dataclass

SLOT_S = 0.003  # of a conversion


@dataclass(frozen=True, slots=True)
class Build:
    """One part of the family. The number of a bq769142 is not published: here it is one that no other part has."""

    device_number: int
    inputs: int  # that carry cells, bit 0: VC1
    loop_slots: int

    def lowest(self, cells: int) -> int:
        """Mask of the inputs that so many cells are soldered to. Raises ValueError where there are not so many."""
        pins = [pin for pin in range(16) if self.inputs >> pin & 1][:cells]
        if len(pins) < cells:
            raise ValueError(f"{cells} cells on {len(pins)} inputs")
        return sum(1 << pin for pin in pins)

    @property
    def loop_s(self) -> float:
        return self.loop_slots * SLOT_S


BUILDS = {
    "bq76952": Build(0x7695, 0xFFFF, 23),
    "bq76942": Build(0x7694, 0x03FF, 15),
    "bq769142": Build(0x76AE, 0xAFFF, 21),
}
