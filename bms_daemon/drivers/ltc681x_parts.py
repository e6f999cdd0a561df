"""What tells the parts of the LTC681x family apart, and the commands that they share (ADI data sheets)."""

from __future__ import annotations

from dataclasses import dataclass

WRCFGA, RDCFGA = 0x0001, 0x0002
RDCV = (0x0004, 0x0006, 0x0008, 0x000A, 0x0009, 0x000B)  # three cells each, from the lowest
RDAUX = (0x000C, 0x000E)
RDSTATA, RDSTATB = 0x0010, 0x0012
CLRCELL, CLRAUX, CLRSTAT = 0x0711, 0x0712, 0x0713
ADCV, ADAX, ADSTAT = 0x0260, 0x0460, 0x0468
ADAXD, ADSTATD = 0x0400, 0x0408
CVST, AXST, STATST = 0x0207, 0x0407, 0x040F
ADOW, ADOL, DIAGN = 0x0228, 0x0201, 0x0715
NORMAL = 2 << 7  # MD: the 7 kHz filter
PULL_UP = 1 << 6
PATTERN_1, PATTERN_2 = 1 << 5, 2 << 5
PATTERNS = ((PATTERN_1, 0x9555), (PATTERN_2, 0x6AAA))
EMPTY = 0xFFFF  # a register that was cleared, or has never been written


@dataclass(frozen=True, slots=True)
class Part:
    """``sum_v``: what one count of the sum of cells is; ``die_degc``: V/K and the offset of its temperature."""

    cells: int
    gpios: int
    sum_v: float
    die_v_per_k: float
    die_zero_degc: float
    cell_time_s: float  # of a conversion of all cells
    aux_time_s: float
    stat_time_s: float
    reference_s: float = 0.0044  # of its reference to settle when it was off
    diagnose_s: float = 0.0004

    @property
    def groups(self) -> tuple[int, ...]:
        """Commands that read all cells."""
        return RDCV[: self.cells // 3]

    @property
    def foreign(self) -> int | None:
        """A command that reads cells which this part does not have; None where there is none."""
        return RDCV[self.cells // 3] if self.cells // 3 < len(RDCV) else None


PARTS = {
    "ltc6811": Part(12, 5, 20 * 100e-6, 7.5e-3, -273.0, 0.0023, 0.0023, 0.0016),
}
