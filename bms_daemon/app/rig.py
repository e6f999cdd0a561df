"""The world as one tick sees it: newest samples in, GPIO at once, bus writes queued."""

from __future__ import annotations

import contextlib

from bms_daemon.app.afe_source import AfeSource
from bms_daemon.app.orders import OrderBook
from bms_daemon.app.sources import PinSource, ShuntSource
from bms_daemon.buses.can import CanBus
from bms_daemon.can.receive import Receiver
from bms_daemon.model import Actuated, BusFault, CanHealth, Command, Health, Raw
from bms_daemon.ports import Lines

COILS = ("main", "precharge")


class LiveRig:
    """Implements ``ports.Rig`` on the daemon's sources and outputs."""

    def __init__(
        self,
        afe: AfeSource,
        shunt: ShuntSource | None,
        pins: PinSource,
        lines: Lines,
        orders: OrderBook,
        bus: CanBus | None,
        receiver: Receiver,
        fitted: frozenset[str],
    ) -> None:
        self.afe, self.shunt, self.pins, self.orders = afe, shunt, pins, orders
        self.bus, self.receiver = bus, receiver
        self.lateness_s = 0.0
        self.journal_ok = True
        self.commissioned = False
        self.approved = False
        self._lines = lines
        self._fitted = fitted
        self._written: dict[str, bool] = {}
        self._pulse = False
        self._ended = False

    def newest(self, now_s: float) -> Raw:
        self.pins.refresh(now_s)
        vcu = self.receiver.newest(now_s)
        self.orders.hear_vcu(vcu)
        return Raw(
            cells=self.afe.cells.newest,
            temps=self.afe.temps.newest,
            shunt=self.shunt.slot.newest if self.shunt else None,
            pins=self.pins.slot.newest,
            vcu=vcu,
            can=self.bus.health(now_s, self.receiver.rejected) if self.bus else CanHealth(),
            orders=self.orders.take(now_s),
            lateness_s=self.lateness_s,
            health=Health(self.journal_ok, self.commissioned, self.approved, self.afe.accepted is not None),
        )

    def actuate(self, command: Command) -> Actuated:
        """Write what changed and the dead-man's edge, read the coils' lines back, queue the chip's switches.

        A write that is refused releases the coils line by line. After ``safe_state`` nothing is written any more.
        """
        if self._ended:
            return Actuated(ok=False, reason="the coils were released for good")
        self.afe.switch(command.charge, command.discharge)
        wanted = {
            "main": command.main,
            "precharge": command.precharge,
            "fan": command.fan > 0.0,
            "second_disconnect": command.second,
        }
        changed = {role: on for role, on in wanted.items() if role in self._fitted and self._written.get(role) != on}
        if command.alive:
            self._pulse = changed["dead_man"] = not self._pulse
        try:
            return self._write(changed, command)
        except BusFault as fault:
            self._release()
            return Actuated(ok=False, reason=str(fault))

    def _write(self, changed: dict[str, bool], command: Command) -> Actuated:
        if changed:
            self._lines.write(changed)
            self._written.update(changed)
            self.pins.written = self._written
        if not changed.keys() - {"dead_man"}:
            return Actuated(command.main, command.precharge)
        levels = self._lines.read()
        wrong = [role for role, on in changed.items() if levels.get(role) != on]
        reason = f"{', '.join(wrong)} reads back other than written" if wrong else ""
        return Actuated(levels["main"], levels.get("precharge", False), not wrong, reason)

    def safe_state(self) -> None:
        """Release the coils now and for good: only lines requested at start, no bus, no wait. Any number of times.

        Never raises: where a line is refused, the dead-man, which is toggled no more, lets the coils go.
        """
        self._ended = True
        self._release()

    def _release(self) -> None:
        """Each coil by itself, so that one line that is refused does not hold the other."""
        for role in COILS:
            if role in self._fitted:
                with contextlib.suppress(Exception):
                    self._lines.write({role: False})
                    self._written[role] = False
