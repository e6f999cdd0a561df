"""The cells' voltage as a witness of each current: what flows through a resistance moves the voltage with it.

Means over a beat are compared with those of the beat before. A change of voltage that stands out must come with a
change of the current that the cells' resistance explains, and a large change of a current with one of the voltage.
Offsets move nothing and are not seen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from math import inf, isfinite, nan

from bms_daemon.config.cellfile import CellFile
from bms_daemon.config.senses import Source
from bms_daemon.model import AfeScan, Channel, ShuntReading

BEAT_S, LONGEST_BEAT_S = 0.5, 2.5  # a sensor that speaks once a second is waited for
STIR_V = 0.003  # of a cell's mean voltage: less may be noise
PEAK_SHARE, PEAK_KEPT = 0.5, 0.95  # relaxation follows a step; it is smaller than half of it
KEPT = 0.8  # of a vote, with every newer one
CERTAIN, MANY = 2.4, 3.0  # three votes against in a row, and three times those in favour
ONE = 0.6  # vote, of the last three
FACTOR = 3.0  # by which resistances may differ from the cell file's: age and cold
DOUBTFUL = 2.0  # by how much more before it is no resistance of these cells


class Verdict(IntEnum):
    SILENT = 0  # too little has happened
    EXPLAINS = 1
    CONTRADICTS = 2


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes on a current, older ones count less: changes that it explained, and those that it did not.

    ``up`` and ``down``: those of the voltage through which the current stood still.
    """

    agree: float = 0.0
    against: float = 0.0
    up: float = 0.0
    down: float = 0.0

    def heard(self, vote: Verdict, stood_v: float = 0.0) -> Tally:
        """``stood_v``: how far the voltage moved while this current stood still."""
        if vote is Verdict.SILENT:
            return self
        new = (vote is Verdict.EXPLAINS, vote is Verdict.CONTRADICTS, stood_v > 0.0, stood_v < 0.0)
        old = (self.agree, self.against, self.up, self.down)
        return Tally(*(KEPT * before + now for before, now in zip(old, new, strict=True)))

    @property
    def contradicted(self) -> bool:
        return self.against > CERTAIN and self.against > MANY * self.agree

    @property
    def stuck(self) -> bool:
        """Contradicted by rises and by falls: what relaxes after a load goes one way only."""
        return self.contradicted and min(self.up, self.down) > ONE


@dataclass(frozen=True, slots=True)
class Mean:
    """Of what a beat brings."""

    total: float = 0.0
    count: int = 0

    def with_(self, value: float) -> Mean:
        return Mean(self.total + value, self.count + 1) if isfinite(value) else self

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else nan


@dataclass(frozen=True, slots=True)
class Beat:
    """Mean of the cells' voltages, the pack's voltage, and both currents."""

    begun_s: float = nan
    cell_v: Mean = Mean()
    pack_v: Mean = Mean()
    afe_a: Mean = Mean()
    shunt_a: Mean = Mean()


@dataclass(frozen=True, slots=True)
class Witness:
    """``last`` is the beat before; ``peak_v`` the largest recent change. ``ended``: this tick ended a beat.

    ``suspect``: of two currents the one that the newest change spoke against while it bore out the other.
    """

    beat: Beat = Beat()
    last: Beat = Beat()
    peak_v: float = 0.0
    afe: Tally = Tally()
    shunt: Tally = Tally()
    suspect: Source = Source.NONE
    ended: bool = False


def span_ohm(cell: CellFile) -> tuple[float, float]:
    """What a cell's voltage may change by, per ampere, within a beat."""
    resistance = cell.resistance
    series = [ohm for row in resistance.series_ohm for ohm in row]
    pairs = [max(ohm for row in table for ohm in row) for table in resistance.pair_ohm]
    return min(series) / FACTOR, (max(series) + sum(pairs)) * FACTOR


def hear(
    witness: Witness,
    cells: Channel[AfeScan],
    shunt: Channel[ShuntReading],
    pack_v: float,
    span: tuple[float, float],
    now_s: float,
) -> Witness:
    """Take in what this tick brought; at the end of a beat, compare it with the last one."""
    if not (cells.fresh or shunt.fresh):
        return replace(witness, ended=False) if witness.ended else witness
    beat = _taken(witness.beat, cells, shunt, pack_v, now_s)
    span_s = now_s - beat.begun_s
    heard = shunt.value is None or beat.shunt_a.count > 0 or span_s >= LONGEST_BEAT_S
    if span_s < BEAT_S or not beat.cell_v.count or not heard:
        return replace(witness, beat=beat, ended=False)
    return _judged(witness, beat, span, now_s)


def _taken(beat: Beat, cells: Channel[AfeScan], shunt: Channel[ShuntReading], pack_v: float, now_s: float) -> Beat:
    if not isfinite(beat.begun_s):
        beat = replace(beat, begun_s=now_s)
    if cells.fresh and cells.value is not None:
        scan = cells.value
        beat = replace(
            beat,
            cell_v=beat.cell_v.with_(float(scan.cell_v.mean())),
            pack_v=beat.pack_v.with_(pack_v),
            afe_a=beat.afe_a.with_(scan.current_a),
        )
    if shunt.fresh and shunt.value is not None:
        beat = replace(beat, shunt_a=beat.shunt_a.with_(shunt.value.current_a))
    return beat


def _judged(witness: Witness, beat: Beat, span: tuple[float, float], now_s: float) -> Witness:
    last, changed_v = witness.last, beat.cell_v.value - witness.last.cell_v.value
    after = replace(witness, beat=Beat(now_s), last=beat, ended=True)
    if not isfinite(changed_v):
        return after
    stands_out = abs(changed_v) >= max(STIR_V, PEAK_SHARE * witness.peak_v)
    afe_a, shunt_a = beat.afe_a.value - last.afe_a.value, beat.shunt_a.value - last.shunt_a.value
    afe, shunt = vote(changed_v, afe_a, stands_out, span), vote(changed_v, shunt_a, stands_out, span)
    return replace(
        after,
        peak_v=max(abs(changed_v), PEAK_KEPT * witness.peak_v),
        afe=witness.afe.heard(afe, _stood_v(changed_v, afe_a, span)),
        shunt=witness.shunt.heard(shunt, _stood_v(changed_v, shunt_a, span)),
        suspect=_suspect(afe, shunt, stands_out, witness.suspect),
    )


def vote(changed_v: float, changed_a: float, stands_out: bool, span: tuple[float, float]) -> Verdict:
    """On one change: of the voltage, where that ``stands_out``, or of a current that should have moved it."""
    low_ohm, high_ohm = span
    if not stands_out:
        still = abs(changed_v) < STIR_V < low_ohm / DOUBTFUL * abs(changed_a)
        return Verdict.CONTRADICTS if still else Verdict.SILENT
    ratio_ohm = changed_v / changed_a if changed_a else inf
    if low_ohm <= ratio_ohm <= high_ohm:
        return Verdict.EXPLAINS
    near = ratio_ohm != ratio_ohm or low_ohm / DOUBTFUL <= ratio_ohm <= high_ohm * DOUBTFUL
    return Verdict.SILENT if near else Verdict.CONTRADICTS


def _stood_v(changed_v: float, changed_a: float, span: tuple[float, float]) -> float:
    """The change of the voltage, where that of the current could not even have moved it by half of what stands out."""
    return changed_v if abs(changed_a) * span[1] < STIR_V / 2.0 else 0.0


def _suspect(afe: Verdict, shunt: Verdict, stands_out: bool, before: Source) -> Source:
    """One that is spoken against while the other is not; a still voltage bears out a current that stands still."""
    fine = (Verdict.EXPLAINS,) if stands_out else (Verdict.SILENT,)
    if afe is Verdict.CONTRADICTS and shunt in fine:
        return Source.AFE
    if shunt is Verdict.CONTRADICTS and afe in fine:
        return Source.SHUNT
    return Source.NONE if afe is shunt is Verdict.EXPLAINS else before
