"""Random measurements, faults and orders against the contactor machine: what must hold in every run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from stages.stage_builders import CLOSED_PINS, OPEN_PINS, SETTINGS, channel, measured, scan, settings

from bms_daemon import model as m
from bms_daemon.config.schema import Settings
from bms_daemon.stages.contactors import ENERGISED, contactors
from bms_daemon.stages.guards import ContactorState

S, Q = m.PackState, m.Quality
CONFIGS = (
    SETTINGS,
    settings(node={"profile": "vehicle"}),
    settings(contactor={"topology": "main"}, gpio={"precharge": None}),
)
GRACE_S = 8.0 + 0.021
FUSE_S = 0.5 + 0.021
FLAGS = st.booleans()
RARELY = st.sampled_from([False] * 5 + [True])
ORDERS = st.builds(m.Orders, FLAGS, FLAGS, FLAGS, st.sampled_from([(), ("all",)]), RARELY)


class Contactors(RuleBasedStateMachine):
    """Holds the world still between rules, and watches the coil tick by tick."""

    @initialize(config=st.sampled_from(CONFIGS))
    def boot(self, config: Settings) -> None:
        self.config, self.now_s = config, 1000.0
        self.state, self.command = ContactorState(m.Control(since_s=1000.0)), m.Command()
        self.faults, self.orders = m.Faults(), m.Orders()
        self.cell_v, self.link_v, self.current_a = 3.3, 0.0, 0.0
        self.lost, self.aux_stuck = False, False
        self.open_seen = False
        self.closed_at: list[float] = []

    # -------------------------------------------------------------- the world
    @rule(link_v=st.sampled_from([0.0, 6.0, 12.0, 13.0, -13.0, 20.0]), cell_v=st.sampled_from([1.9, 2.5, 3.3]))
    def volts(self, link_v: float, cell_v: float) -> None:
        self.link_v, self.cell_v = link_v, cell_v

    @rule(current_a=st.sampled_from([0.0, 4.0, -50.0, 250.0, -900.0, float("nan")]))
    def flow(self, current_a: float) -> None:
        self.current_a = current_a

    @rule(lost=RARELY, aux_stuck=RARELY)
    def inputs(self, lost: bool, aux_stuck: bool) -> None:
        self.lost, self.aux_stuck = lost, aux_stuck

    @rule(kind=st.sampled_from(["none", "none", "inhibit", "stop", "open", "at_once", "latch", "low", "block"]))
    def fault(self, kind: str) -> None:
        opened = m.Faults(inhibit=True, open=True)
        self.faults = {
            "none": m.Faults(),
            "inhibit": m.Faults(inhibit=True),
            "stop": m.Faults(inhibit=True, stop=True),
            "open": opened,
            "at_once": replace(opened, at_once=True, latched=("emergency_stop",)),
            "latch": m.Faults(inhibit=True, latched=("deep_discharge",)),
            "low": replace(opened, latched=("cell_under_voltage_critical",), but_low=m.Faults()),
            "block": m.Faults(block_charge=True, block_discharge=True),
        }[kind]

    # -------------------------------------------------------------- time
    @rule(orders=ORDERS, dt_s=st.sampled_from([0.0, 0.02, 0.06, 0.5, 11.0, 61.0]))
    def order(self, orders: m.Orders, dt_s: float) -> None:
        self.run(dt_s, orders)

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.2]))
    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.run(0.02, m.Orders())

    @rule()
    def close_by_the_book(self) -> None:
        self.link_v, self.lost, self.aux_stuck, self.cell_v = 0.0, False, False, 3.3
        self.faults = m.Faults()
        for _ in range(5):
            self.run(0.02, m.Orders(open=True))
        self.run(61.0, m.Orders(close=True))
        self.link_v = 13.0
        self.run(0.1, m.Orders())

    def run(self, dt_s: float, orders: m.Orders) -> None:
        """One tick, and what must hold from the tick before to this one."""
        self.now_s += dt_s
        before, last = self.state, self.command
        seen = self.seen(orders)
        self.command, self.state = contactors(seen, self.faults, self.state, self.config, self.now_s)
        self.watch_opening(before, last)
        self.watch_closing(before, last, seen)

    def seen(self, orders: m.Orders) -> m.Measured:
        pins = CLOSED_PINS if self.command.main or self.aux_stuck else OPEN_PINS
        cells: Any = scan(self.cell_v, pack_v=13.2, link_v=self.link_v, current_a=self.current_a)
        return measured(self.now_s, cells=channel(None) if self.lost else cells, pins=pins, orders=orders)

    # -------------------------------------------------------------- what must hold
    def watch_opening(self, before: ContactorState, last: m.Command) -> None:
        recovering = before.control.state is S.RECOVERY_CHARGE
        faults = self.faults.but_low if recovering and self.faults.but_low else self.faults
        known_high = not self.lost and abs(self.current_a) > 300.0
        if faults.open and (faults.at_once or not known_high):
            assert not (self.command.main or self.command.precharge)
        if self.state.held_s != float("inf"):
            assert self.now_s - self.state.held_s < FUSE_S
            assert self.state.control.open_pending
        if self.state.control.state is S.OPENING:
            assert self.now_s - self.state.control.since_s < GRACE_S
        if faults.stop and last.main:
            assert self.state.control.state not in (S.CLOSED, S.RECOVERY_CHARGE) or self.state.control.open_pending

    def watch_closing(self, before: ContactorState, last: m.Command, seen: m.Measured) -> None:
        began = (self.command.main or self.command.precharge) and not (last.main or last.precharge)
        if began:
            recovering = self.state.control.state is S.RECOVERY_CHARGE
            faults = self.faults.but_low if recovering and self.faults.but_low else self.faults
            orders = seen.orders
            assert not (orders.open or orders.shutdown or faults.inhibit or faults.latched)
            assert not (self.lost or self.aux_stuck)
            assert orders.recovery if recovering else orders.close and self.open_seen and abs(self.link_v) <= 5.0
            self.open_seen = False
        if self.command.main and not last.main:
            assert self.config is CONFIGS[2] or self.link_v >= 12.54
            assert not self.lost
            self.closed_at.append(self.now_s)
        self.open_seen = (self.open_seen or seen.orders.open) and self.state.control.state not in (S.FAULT, S.LATCHED)
        self.open_seen |= seen.orders.open

    @invariant()
    def nothing_is_energised_unless_its_state_allows_it(self) -> None:
        at = self.state.control.state
        assert self.command.main == (at in ENERGISED - {S.PRECHARGE})
        assert (at in ENERGISED) or not (self.command.precharge or self.command.charge or self.command.alive)
        assert self.state.control.open_pending or self.state.control.countdown_s == 0.0

    @invariant()
    def closings_are_counted_and_kept_apart(self) -> None:
        assert self.state.control.closes == len(self.closed_at)
        gaps = [later - sooner for sooner, later in zip(self.closed_at, self.closed_at[1:], strict=False)]
        assert all(gap >= 60.0 for gap in gaps)
        recent = [time_s for time_s in self.closed_at if self.now_s - time_s < 3600.0]
        assert len(recent) <= 10


TestContactors = Contactors.TestCase
TestContactors.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
