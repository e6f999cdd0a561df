"""The world as one tick sees it: newest samples in, GPIO at once, bus writes queued."""

from __future__ import annotations

import contextlib

from bms_daemon.app.afe_source import AfeSource
from bms_daemon.app.orders import OrderBook
from bms_daemon.app.sources import PinSource, ShuntSource
from bms_daemon.buses.can import CanBus
from bms_daemon.can.receive import Receiver
from bms_daemon.config.topology import COILS
from bms_daemon.model import Actuated, BusFault, CanHealth, Command, Health, Raw
from bms_daemon.ports import Lines


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
        self.lateness_s, self.edge = 0.0, False
        self.journal_ok = True
        self.commissioned = False
        self.approved = False
        self._lines = lines
        self._fitted = fitted
        self._written: dict[str, bool] = {}
        self._pulse = False
        self._ended = False
        self._refusal = ""  # why a write was refused over energised coils

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
            edge=self.edge,
            health=Health(self.journal_ok, self.commissioned, self.approved, self.afe.accepted is not None),
        )

    def actuate(self, command: Command) -> Actuated:
        """Write what changed and the dead-man's edge, read the coils' lines back, queue the chip's switches.

        A write that is refused releases the coils line by line, and they stay released until they are commanded off.
        After ``safe_state`` nothing is written any more.
        """
        if self._ended:
            return Actuated(ok=False, reason="the coils were released for good")
        self.afe.switch(command.charge, command.discharge)
        energise = command.main or command.precharge
        self._refusal = self._refusal if energise else ""
        if self._refusal:
            return Actuated(ok=False, reason=self._refusal, stuck=self._stuck(), fan_ok=self._fan(command.fan > 0.0))
        wanted = {
            "main": command.main,
            "main_negative": command.negative,
            "precharge": command.precharge,
            "second_disconnect": command.second,
        }
        changed = {role: on for role, on in wanted.items() if role in self._fitted and self._written.get(role) != on}
        if command.alive:
            self._pulse = changed["dead_man"] = not self._pulse
        try:
            wrong = self._write(changed)
        except BusFault as fault:
            wrong = self._refusal = str(fault)
            self._release()
        return Actuated(*self._levels(), not wrong, wrong, self._stuck(), self._fan(command.fan > 0.0))

    def _write(self, changed: dict[str, bool]) -> str:
        """What reads back other than written, in words; empty when all is well."""
        if changed:
            self._lines.write(changed)
            self._written.update(changed)
            self.pins.written = self._written
        if not changed.keys() - {"dead_man"}:
            return ""
        self.pins.levels = self._lines.read()
        wrong = [role for role, on in changed.items() if self.pins.levels.get(role) != on]
        return f"{', '.join(wrong)} reads back other than written" if wrong else ""

    def _levels(self) -> tuple[bool, bool]:
        """Main and precharge as their lines were last read."""
        return self.pins.levels.get("main", False), self.pins.levels.get("precharge", False)

    def _stuck(self) -> bool:
        return any(self._written.get(role) is False and self.pins.levels.get(role) for role in COILS)

    def _fan(self, on: bool) -> bool:
        """The fan by itself: its line must not take the coils with it."""
        if "fan" not in self._fitted or self._written.get("fan") == on:
            return True
        try:
            self._lines.write({"fan": on})
        except BusFault:
            return False
        self._written["fan"] = on
        return True

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
