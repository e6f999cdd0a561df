"""What the emulated parts of the LTC681x family have, and where their groups of registers are read.

The die's temperature of the parts with more than 12 cells, and that an ADBMS1818 is an LTC6813, are not published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELL_S, STAT_S = (0.0128, 0.0011, 0.0023, 0.201), (0.0085, 0.000748, 0.0016, 0.134)
"""By MD. Of MD 0, 422 Hz, no time is published here; it is taken from the filter's bandwidth."""
SMALL_AUX_S, LARGE_AUX_S = CELL_S, (0.0213, 0.002, 0.004, 0.336)


@dataclass(frozen=True, slots=True)
class PartData:
    """``sum_cells``: what one count of the sum stands for, in counts; ``die``: V/K, and the kelvins of 0 degC."""

    cells: int
    gpios: int
    sum_cells: float
    die: tuple[float, float]
    aux_s: tuple[float, ...]

    @property
    def large(self) -> bool:
        return self.cells > 12

    @property
    def pin_words(self) -> int:
        return 12 if self.large else 6

    @property
    def pin_places(self) -> list[int]:
        """Words of the GPIOs; between the fifth and the sixth lies the reference."""
        return [word for word in range(self.gpios + 1) if word != REFERENCE_WORD]

    @property
    def delivered(self) -> np.ndarray:
        """CFGA, and CFGB where there is one, uint8."""
        groups = "f80000000000" + ("0f0000000000" if self.large else "")
        return np.frombuffer(bytes.fromhex(groups), dtype=np.uint8)

    @property
    def reads(self) -> dict[int, tuple[str, int]]:
        """Registers and their first word by command."""
        widths = {"cells": self.cells, "pins": self.pin_words, "status": 6, "configuration": 3 * (1 + self.large)}
        return {command: place for command, place in READS.items() if place[1] + 3 <= widths[place[0]]}


REFERENCE_WORD = 5
READS = {
    0x0002: ("configuration", 0), 0x0026: ("configuration", 3),
    0x0004: ("cells", 0), 0x0006: ("cells", 3), 0x0008: ("cells", 6), 0x000A: ("cells", 9), 0x0009: ("cells", 12),
    0x000B: ("cells", 15),
    0x000C: ("pins", 0), 0x000E: ("pins", 3), 0x000D: ("pins", 6), 0x000F: ("pins", 9),
    0x0010: ("status", 0), 0x0012: ("status", 3),
}  # fmt: skip
PARTS = {
    "ltc6811": PartData(12, 5, 20.0, (7.5e-3, 273.0), SMALL_AUX_S),
    "ltc6812": PartData(15, 9, 30.0, (7.6e-3, 276.0), LARGE_AUX_S),
    "ltc6813": PartData(18, 9, 30.0, (7.6e-3, 276.0), LARGE_AUX_S),
    "adbms1818": PartData(18, 9, 30.0, (7.6e-3, 276.0), LARGE_AUX_S),
}
