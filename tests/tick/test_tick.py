"""The tick on a scripted rig: its order, its first pass, its snapshot, and what a restart keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from stages.stage_builders import CLOSED_PINS, OPEN_PINS, SETTINGS, Feed, scan, temps

from bms_daemon import model as m
from bms_daemon import tick as tick_module
from bms_daemon.config.schema import Settings
from bms_daemon.tick import Plan, first_state, survivor_of, tick

S = m.PackState
PLAN = Plan.of(SETTINGS)


class ScriptedRig:
    """A pack that follows its commands: contacts a tick later, the link with the third tick of precharge."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.orders = m.Orders()
        self.commands: list[m.Command] = []
        self.cells: dict[str, Any] = {}
        self.works = True
        self.calls: list[str] = []
        self.conversions = 0

    def newest(self, now_s: float) -> m.Raw:
        self.calls.append("newest")
        last = self.commands[-1] if self.commands else m.Command()
        self.conversions += 1
        charged = [command.precharge for command in self.commands[-3:]] == [True] * 3
        cells = {"link_v": 13.2 if last.main or charged else 0.0, "conversions": self.conversions}
        cells = cells | {"charge_on": last.charge, "discharge_on": last.discharge} | self.cells
        pins = CLOSED_PINS if last.main else OPEN_PINS
        raw = self.feed.put(now_s, cells=scan(**cells), temps=temps(), pins=pins, shunt=m.ShuntReading(0.0))
        orders, self.orders = self.orders, m.Orders()
        return replace(raw, orders=orders)

    def actuate(self, command: m.Command) -> m.Actuated:
        self.calls.append("actuate")
        self.commands.append(command)
        return m.Actuated(command.main, command.precharge, self.works)


class Run:
    """Ticks of 0.1 s, one new sample of everything in each."""

    def __init__(self, survivor: m.Survivor | None = None, config: Settings = SETTINGS) -> None:
        self.rig, self.now_s = ScriptedRig(), 1000.0
        self.plan = Plan.of(config)
        self.state = first_state(config, survivor, self.now_s)

    def tick(self, times: int = 1, **orders: Any) -> m.Snapshot:
        self.rig.orders = m.Orders(**orders)
        for _ in range(times):
            self.now_s += 0.1
            self.state, snapshot = tick(self.rig, self.state, self.plan, self.now_s)
        return snapshot

    def close(self) -> m.Snapshot:
        self.tick(10)
        self.tick(open=True)
        self.tick(close=True)
        return self.tick(5)


def test_a_tick_validates_estimates_protects_decides_and_actuates_in_this_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run()
    for verb in ("validate", "estimate", "protect", "decide"):
        real = getattr(tick_module, verb)

        def noted(*args: Any, verb: str = verb, real: Any = real) -> Any:
            run.rig.calls.append(verb)
            return real(*args)

        monkeypatch.setattr(tick_module, verb, noted)
    run.tick()
    assert run.rig.calls == ["newest", "validate", "estimate", "protect", "decide", "actuate"]


def test_the_first_tick_commands_nothing_and_knows_nothing() -> None:
    snapshot = Run().tick()
    assert snapshot.command == m.Command()
    assert (snapshot.control.state, snapshot.tick) == (S.SAFE, 1)
    assert snapshot.measured.cells.value is None
    assert {"afe_lost", "afe_settling"} <= {fault.code for fault in snapshot.faults.active}
    assert (snapshot.limits.charge_a, snapshot.limits.discharge_a) == (0.0, 0.0)
    assert snapshot.measured.dt_s == 0.0


def test_a_pack_is_open_until_it_is_opened_and_closed_by_order() -> None:
    run = Run()
    assert run.tick(100).control.state is S.STANDBY
    assert run.tick(close=True).control.state is S.STANDBY
    assert not any(command.main or command.precharge for command in run.rig.commands)
    snapshot = run.close()
    assert (snapshot.control.state, snapshot.faults.active) == (S.CLOSED, ())
    assert snapshot.command.main


def test_the_snapshot_is_one_tick_whole() -> None:
    run = Run()
    snapshot = run.close()
    assert (snapshot.node, snapshot.now_s, snapshot.tick) == (0, run.now_s, len(run.rig.commands))
    assert snapshot.command == run.rig.commands[-1] == run.state.command
    assert snapshot.actuated == m.Actuated(main=True, precharge=snapshot.command.precharge)
    assert snapshot.measured.now_s == run.now_s
    assert snapshot.estimate == run.state.est.estimate
    assert snapshot.control == run.state.ctrl.contactors.control
    assert snapshot.faults == run.state.prot.faults


def test_a_critical_cell_opens_with_its_second_scan() -> None:
    run = Run()
    run.close()
    run.rig.cells = {"cell_v": [3.8, 3.3, 3.3, 3.3]}
    assert run.tick().command.main
    snapshot = run.tick()
    assert (snapshot.command.main, snapshot.control.state) == (False, S.FAULT)
    assert snapshot.limits.charge_a == 0.0


def test_an_output_that_fails_is_a_latched_fault_of_the_next_tick() -> None:
    run = Run()
    run.close()
    run.rig.works = False
    assert not run.tick().actuated.ok
    snapshot = run.tick()
    assert snapshot.faults.latched == ("gpio_failed",)
    assert snapshot.command == m.Command()


def test_current_through_an_open_pack_counts_once_the_contactor_had_its_time() -> None:
    run = Run()
    run.close()
    run.rig.cells = {"current_a": 4.0}
    run.tick(open=True)
    assert run.tick(2).faults.latched == ()
    snapshot = run.tick(6)
    assert snapshot.faults.latched == ("current_when_open",)
    assert snapshot.command.second


def test_at_boot_a_live_link_and_a_flowing_current_are_seen_without_delay() -> None:
    run = Run()
    run.rig.cells = {"link_v": 13.0, "current_a": 4.0}
    codes = {fault.code for fault in run.tick(8).faults.active}
    assert {"link_live", "current_when_open"} <= codes


def test_a_restart_keeps_latches_state_of_charge_and_wear() -> None:
    run = Run(m.Survivor(soc=0.7, soc_sigma=0.03))
    run.close()
    run.rig.cells = {"cell_v": [3.8, 3.3, 3.3, 3.3]}
    run.tick(3)
    kept = survivor_of(run.state, "abc", 4)
    assert (kept.latched, kept.closes, kept.commissioned_hash, kept.boots) == (
        ("cell_over_voltage_critical",),
        1,
        "abc",
        4,
    )
    assert kept.soc == pytest.approx(0.7, abs=0.01)

    again = Run(kept)
    first = again.tick()
    assert first.faults.latched == ("cell_over_voltage_critical",)
    assert first.estimate.soc == kept.soc
    assert again.tick(20).control.state is S.LATCHED
    assert again.close().control.state is S.LATCHED
    found = survivor_of(again.state, "abc", 5)
    followed = {name: getattr(found, name) for name in ("soc", "soc_sigma", "cell_soc", "cell_soc_sigma")}
    assert found == replace(kept, boots=5, **followed)
    assert len(found.cell_soc) == 4
    again.tick(clear=("cell_over_voltage_critical",))
    assert again.close().control.state is S.CLOSED


def test_a_restart_keeps_the_count_of_failed_precharges() -> None:
    run = Run(m.Survivor(precharge_tries=3, closes=7))
    assert run.tick().faults.latched == ("precharge_failed",)
    assert survivor_of(run.state, "", 0).closes == 7


def test_a_first_start_knows_no_state_of_charge_until_the_chip_has_settled() -> None:
    run = Run()
    assert run.tick(4).estimate.soc != run.state.est.estimate.soc
    assert 0.0 <= run.tick().estimate.soc <= 1.0


def test_the_same_trace_in_gives_the_same_trace_out() -> None:
    first, second = Run(), Run()
    for _ in range(3):
        assert repr(first.close()) == repr(second.close())
