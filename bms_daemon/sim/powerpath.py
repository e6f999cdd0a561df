"""The power path without cells: fuse, second disconnect, main and precharge contactors, DC link.

The outside world stops when its DC supply is lost: an external current flows only through a closed main contactor.
"""

from __future__ import annotations

from math import inf

from bms_daemon.sim.contactor import Contactor
from bms_daemon.sim.dclink import DcLink
from bms_daemon.sim.gate import RELEASED, Coils
from bms_daemon.sim.settings import ContactorData, LinkData, PathKind

FETS = ContactorData(close_s=0.0, open_s=0.0, bounce_s=0.0, weld_a=1e5)


class Fuse:
    """Melts when the square of the current above its rating, over time, exceeds I²t; cools at once below it."""

    def __init__(self, rated_a: float, i2t_a2s: float) -> None:
        self._rated_a2 = rated_a * rated_a
        self._i2t_a2s = i2t_a2s
        self._heat_a2s = 0.0
        self.melted = False

    def remaining_s(self, current_a: float) -> float:
        """How long it stands ``current_a`` from now on."""
        excess_a2 = current_a * current_a - self._rated_a2
        return (self._i2t_a2s - self._heat_a2s) / excess_a2 if excess_a2 > 0.0 else inf

    def carry(self, current_a: float, dt_s: float) -> None:
        """Carry a constant current for ``dt_s``."""
        excess_a2 = current_a * current_a - self._rated_a2
        self.strike(excess_a2 * dt_s if excess_a2 > 0.0 else -self._heat_a2s)

    def strike(self, i2t_a2s: float) -> None:
        """Take a pulse of this I²t."""
        self._heat_a2s = max(0.0, self._heat_a2s + i2t_a2s)
        self.melted = self.melted or self._heat_a2s >= self._i2t_a2s * (1.0 - 1e-9)


class PowerPath:
    """Contactors around a source of voltage. ``charge_as`` counts what has flowed into the pack, in ampere seconds.

    ``mains`` are the main contactors, the positive pole's first; FETs are one that moves at once and knows directions.
    """

    def __init__(self, contactor: ContactorData, link: LinkData, kind: PathKind = "one_main") -> None:
        self.main = Contactor(FETS if kind == "fets" else contactor)
        self.mains = [self.main, Contactor(contactor)] if kind == "two_mains" else [self.main]
        self.precharge = Contactor(contactor)
        self.link = DcLink(link)
        self.fuse = Fuse(link.fuse_rated_a, link.fuse_i2t_a2s)
        self.tripped = False
        self.charge_as = 0.0
        self.current_a = 0.0
        self._coils = RELEASED
        self._loop_ohm = link.loop_ohm
        self._now_s = -inf

    @property
    def link_v(self) -> float:
        return self.link.link_v

    @property
    def main_aux(self) -> bool:
        return self.main.aux

    @property
    def main_negative_aux(self) -> bool:
        """False where there is none."""
        return len(self.mains) > 1 and self.mains[1].aux

    @property
    def precharge_aux(self) -> bool:
        return self.precharge.aux

    @property
    def severed(self) -> bool:
        """The fuse or the second disconnect has cut the pack off for good."""
        return self.tripped or self.fuse.melted

    @property
    def joined(self) -> bool:
        """Every main contact is closed."""
        return all(contact.closed for contact in self.mains)

    @property
    def conducting(self) -> bool:
        """The pack and the link are one node."""
        return self.joined and not self.severed

    @property
    def next_event_s(self) -> float:
        """When a contact next moves."""
        return min(self.precharge.next_event_s, *(contact.next_event_s for contact in self.mains), inf)

    def trip(self, tripped: bool = True) -> None:
        """Fire the second disconnect. It does not come back by itself."""
        self.tripped = self.tripped or tripped

    def step(self, now_s: float, coils: Coils, pack_v: float, demand_a: float) -> float:
        """Advance to ``now_s`` with these coils since the last call; returns the pack's current, positive charging.

        ``pack_v`` and ``demand_a`` hold for the whole step; contacts and fuse act at their own instants within it.
        """
        if self._now_s == -inf:
            self._now_s = now_s
        self._command(coils, demand_a)
        while True:
            until_s = min(now_s, self.next_event_s)
            self._flow(until_s - self._now_s, pack_v, demand_a)
            self._now_s = until_s
            self._move_contacts(until_s, pack_v)
            if until_s >= now_s:
                break
        self.current_a = self.present_a(pack_v, demand_a)
        return self.current_a

    def present_a(self, pack_v: float, demand_a: float) -> float:
        """The pack's current at this instant, contacts and fuse as they are."""
        if self.severed:
            return 0.0
        if self.joined:
            return self._let_through_a(demand_a) - self.link.drawn_a(pack_v)
        return (self.link.link_v - pack_v) / self.link.precharge_ohm if self._fed else 0.0

    @property
    def _fed(self) -> bool:
        """The link hangs on the pack through the precharge resistor."""
        return self.precharge.closed and not self.severed and all(contact.closed for contact in self.mains[1:])

    def _command(self, coils: Coils, demand_a: float) -> None:
        """A charging FET alone conducts only while a charger pushes."""
        self._coils = coils
        main = coils.main and (coils.discharge or demand_a > 0.0)
        for contact, coil in zip(self.mains, (main, coils.negative), strict=False):
            contact.command(self._now_s, coil)
        self.precharge.command(self._now_s, coils.precharge)

    def _let_through_a(self, demand_a: float) -> float:
        """What FETs leave of the outside's current."""
        blocked = not (self._coils.charge if demand_a > 0.0 else self._coils.discharge)
        return 0.0 if blocked else demand_a

    def _move_contacts(self, now_s: float, pack_v: float) -> None:
        before_a, was_joined, were = self.current_a, self.joined, [contact.closed for contact in self.mains]
        for contact in (*self.mains, self.precharge):
            contact.advance(now_s)
        moved = [contact for contact, was in zip(self.mains, were, strict=True) if contact.closed is not was]
        if self.joined and not was_joined:
            self._make(pack_v, moved[-1])
        elif was_joined and not self.joined:
            for contact in moved:
                contact.breaking(before_a)

    def _make(self, pack_v: float, last: Contactor) -> None:
        """The last main contact closes onto the difference between pack and link."""
        step_v = pack_v - self.link.link_v
        last.making(0.0 if self.severed else step_v / self._loop_ohm)
        if not self.severed:
            self.fuse.strike(step_v * step_v * self.link.capacitance_f / (2.0 * self._loop_ohm))

    def _flow(self, dt_s: float, pack_v: float, demand_a: float) -> None:
        if dt_s <= 0.0:
            return
        if self.conducting:
            dt_s -= self._conduct(dt_s, pack_v, self._let_through_a(demand_a))
        if dt_s > 0.0:
            self._relax(dt_s, pack_v)

    def _conduct(self, dt_s: float, pack_v: float, demand_a: float) -> float:
        """Carry the outside's current until the step ends or the fuse melts; returns how long that was."""
        self.current_a = demand_a - self.link.drawn_a(pack_v)
        held_s = min(dt_s, self.fuse.remaining_s(self.current_a))
        self.fuse.carry(self.current_a, held_s)
        self.charge_as += self.current_a * held_s
        self.link.link_v = pack_v
        return held_s

    def _relax(self, dt_s: float, pack_v: float) -> None:
        """The link by itself, or fed through the precharge resistor."""
        drawn_a = self.link.step(dt_s, pack_v, self.link.precharge_ohm if self._fed else inf)
        self.charge_as -= drawn_a * dt_s
