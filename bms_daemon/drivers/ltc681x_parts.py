"""What tells the parts of the LTC681x family apart, and the commands that they share (ADI data sheets)."""

from __future__ import annotations

from dataclasses import dataclass

WRCFGA, RDCFGA = 0x0001, 0x0002
WRCFGB, RDCFGB = 0x0024, 0x0026
RDCV = (0x0004, 0x0006, 0x0008, 0x000A, 0x0009, 0x000B)  # three cells each, from the lowest
RDAUX = (0x000C, 0x000E, 0x000D, 0x000F)  # GPIO1 to 5, the reference, GPIO6 to 9
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
REFERENCE = 5  # place of the reference among the pins' words


@dataclass(frozen=True, slots=True)
class Part:
    """``sum_v``: what one count of the sum of cells is; ``die_v_per_k`` and the offset are of its temperature.

    ``overlap``: whether ADOL leaves cell 7, by both converters, in the registers of cells 7 and 8.
    """

    cells: int
    gpios: int
    sum_v: float
    die_v_per_k: float
    die_zero_degc: float
    aux_time_s: float  # of a conversion of all pins
    overlap: bool = False
    cell_time_s: float = 0.0023
    stat_time_s: float = 0.0016
    reference_s: float = 0.0044  # of its reference to settle when it was off
    diagnose_s: float = 0.0004

    @property
    def extended(self) -> bool:
        """With more than 12 cells come a second group of configuration, more pins, and flags behind those."""
        return self.cells > 12

    @property
    def configure(self) -> tuple[int, ...]:
        """Commands that write its configuration."""
        return (WRCFGA, WRCFGB) if self.extended else (WRCFGA,)

    @property
    def configuration(self) -> tuple[int, ...]:
        """Commands that read it."""
        return (RDCFGA, RDCFGB) if self.extended else (RDCFGA,)

    @property
    def groups(self) -> tuple[int, ...]:
        """Commands that read all cells."""
        return RDCV[: self.cells // 3]

    @property
    def aux(self) -> tuple[int, ...]:
        """Commands that read all pins: words of ``gpios`` + 1, the reference in its place, and what means nothing."""
        return RDAUX if self.extended else RDAUX[:2]

    @property
    def status(self) -> tuple[int, ...]:
        """Commands that read supplies and flags; those of cell 13 and up stand behind the pins."""
        return (RDSTATA, RDSTATB, RDAUX[3]) if self.extended else (RDSTATA, RDSTATB)

    @property
    def foreign(self) -> int | None:
        """A command that reads cells which this part does not have; None where there is none."""
        return RDCV[self.cells // 3] if self.cells // 3 < len(RDCV) else None


_OF_12 = Part(12, 5, 20 * 100e-6, 7.5e-3, -273.0, 0.0023, overlap=True)
_OF_15 = Part(15, 9, 30 * 100e-6, 7.6e-3, -276.0, 0.004)
_OF_18 = Part(18, 9, 30 * 100e-6, 7.6e-3, -276.0, 0.004)
PARTS = {"ltc6811": _OF_12, "ltc6812": _OF_15, "ltc6813": _OF_18, "adbms1818": _OF_18}
