"""The fault table's interpreter, over every rung of the table: when it acts, releases, latches and is cleared."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages.fault_cases import CASES, NO_CELLS, Case, cell, doubt, flow, of, pins
from stages.stage_builders import CLOSED_PINS, SETTINGS, channel, measured, scan, scene, settings, temps

from bms_daemon import model as m
from bms_daemon.stages.protect import ProtectState, arm, due_groups, protect, restore, why_not_clear
from bms_daemon.stages.rules import CODES, RULES, Group

R, D, S = m.Reaction, m.Doubt, m.PackState
STEP_S = 0.1
FINE = {"orders": m.Orders()}
DBC = Path(__file__).parents[2] / "dbc/bms.dbc"
LATCHING = [case for case in CASES if case.latch]


class Bench:
    """Runs protect on one scene after another; each brings a new sample of everything that has a value."""

    def __init__(self, case: Case | None = None, state: ProtectState | None = None) -> None:
        self.config = case.config if case else SETTINGS
        self.rules = arm(self.config)
        self.key = (case.code, case.rung) if case else ("", 0)
        self.state, self.now_s = state or ProtectState(), 100.0

    def step(self, times: int = 1, **parts: Any) -> m.Faults:
        faults = m.Faults()
        for _ in range(times):
            self.now_s += STEP_S
            seen = scene(config=self.config, now_s=self.now_s, **parts)
            faults, self.state = protect(seen, self.state, self.rules, self.now_s)
        return faults

    @property
    def active(self) -> bool:
        standing = self.state.standings.get(self.key)
        return standing is not None and standing.active


def needed(case: Case) -> int:
    """Samples until a rung acts, a tenth of a second apart."""
    return max(case.samples, 1 + -(-round(case.hold_s * 1000) // 100))


def acted(case: Case) -> Bench:
    bench = Bench(case)
    bench.step(needed(case), **case.bad)
    return bench


# ------------------------------------------------------------------ the table itself
def test_every_rung_of_the_table_has_a_case_that_says_what_it_must_do() -> None:
    table = {(rule.code, i): (rung.reaction, rung.latch) for rule in RULES for i, rung in enumerate(rule.ladder)}
    assert {(case.code, case.rung): (case.reaction, case.latch) for case in CASES} == table


def test_numbers_and_codes_are_unique() -> None:
    assert len({rule.number for rule in RULES}) == len({rule.code for rule in RULES}) == len(RULES)
    assert min(rule.number for rule in RULES) > 0


def test_codes_and_numbers_are_those_of_the_dbc() -> None:
    line = re.search(r"^VAL_ \d+ Code (.*);$", DBC.read_text(), re.M)
    assert line
    named = {name: int(number) for number, name in re.findall(r'(\d+) "([a-z_]+)"', line[1])}
    assert named == {"no_fault": 0} | CODES


@pytest.mark.parametrize("config", [SETTINGS, settings(node={"profile": "vehicle"}, can={"required": False})])
def test_a_healthy_pack_has_no_fault(config: Any) -> None:
    faults, state = protect(scene(config=config), ProtectState(), arm(config), 1.0)
    assert (faults, faults.worst, state.standings) == (m.Faults(), None, {})


# ------------------------------------------------------------------ acting
@pytest.mark.parametrize("case", CASES, ids=str)
def test_just_inside_its_limit_a_rung_does_nothing(case: Case) -> None:
    bench = Bench(case)
    bench.step(needed(case) + 3, **case.good)
    assert not bench.active


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rung_acts_with_its_last_sample_and_not_one_earlier(case: Case) -> None:
    bench = Bench(case)
    for _ in range(needed(case) - 1):
        bench.step(**case.bad)
        assert not bench.active
    faults = bench.step(**case.bad)
    assert bench.active
    fault = next(fault for fault in faults.active if fault.code == case.code)
    assert fault.reaction >= case.reaction
    assert (case.code in faults.latched) is (case.latch or fault.latched)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_good_sample_in_between_starts_the_count_anew(case: Case) -> None:
    bench = Bench(case)
    bench.step(needed(case) - 1, **case.bad)
    bench.step(**case.good)
    bench.step(needed(case) - 1, **case.bad)
    assert not bench.active


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_reaction_is_in_force_as_its_flag(case: Case) -> None:
    bench = acted(case)
    faults = bench.state.faults
    flags = {
        R.BLOCK_C: faults.block_charge,
        R.BLOCK_D: faults.block_discharge,
        R.STOP: faults.stop,
        R.OPEN: faults.open,
    }
    flags |= {R.SECOND: faults.second and faults.open, R.DERATE: faults.derate < 1.0, R.INHIBIT: faults.inhibit}
    assert flags.get(case.reaction, True)
    assert faults.inhibit or case.reaction < R.INHIBIT


@pytest.mark.parametrize("case", [case for case in CASES if case.unknown], ids=str)
def test_what_is_unknown_triggers_nothing(case: Case) -> None:
    bench = Bench(case)
    bench.step(needed(case) + 3, **case.unknown)
    assert not bench.active


@pytest.mark.parametrize("case", [case for case in CASES if case.unknown], ids=str)
def test_what_is_unknown_clears_nothing(case: Case) -> None:
    bench = acted(case)
    bench.step(5, **case.unknown)
    assert bench.active


@pytest.mark.parametrize("case", [case for case in CASES if case.unknown and case.samples > 1], ids=str)
def test_a_failed_attempt_between_two_bad_samples_does_not_save_the_pack(case: Case) -> None:
    bench = Bench(case)
    bench.step(needed(case) - 1, **case.bad)
    bench.step(**case.unknown)
    bench.step(**case.bad)
    assert bench.active


# ------------------------------------------------------------------ releasing
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rung_releases_when_its_cause_is_gone(case: Case) -> None:
    bench = acted(case)
    bench.step(**(case.good if not case.kept else {}))
    assert not bench.active


@pytest.mark.parametrize("case", [case for case in CASES if case.kept], ids=str)
def test_within_the_hysteresis_a_rung_keeps_what_it_has(case: Case) -> None:
    bench, idle = acted(case), Bench(case)
    bench.step(10, **case.kept)
    idle.step(10, **case.kept)
    assert (bench.active, idle.active) == (True, False)


@given(st.lists(st.floats(3.62, 3.68), min_size=1, max_size=60))
def test_chatter_at_a_threshold_is_one_fault(cells_v: list[float]) -> None:
    bench = Bench()
    bench.step(2, **cell(3.66))
    since_s = bench.state.faults.active[0].since_s
    for cell_v in cells_v:
        faults = bench.step(**cell(cell_v))
        assert faults.block_charge
        assert faults.active[0].since_s == since_s


# ------------------------------------------------------------------ samples and ticks
STALE = [case for case in CASES if case.samples > 1]


@pytest.mark.parametrize("case", STALE, ids=str)
def test_one_stale_sample_read_many_times_counts_once(case: Case) -> None:
    bench = Bench(case)
    bench.step(**case.bad)
    seen = scene(config=case.config, **case.bad).measured
    old = {name: replace(getattr(seen, name), fresh=False, tried=False) for name in ("cells", "temps", "shunt", "pins")}
    bench.step(50, **(case.bad | old))
    assert not bench.active


@pytest.mark.parametrize(
    ("parts", "groups"),
    [
        ({}, {Group.CELLS, Group.CELLS_TRIED, Group.CURRENT, Group.TEMPS, Group.TEMPS_TRIED, Group.COMPARED}),
        ({"cells": channel(scan(), fresh=False), "temps": channel(None), "shunt": channel(None)}, set()),
        (
            {"cells": channel(None, tried=True), "temps": channel(None, tried=True)},
            {Group.CELLS_TRIED, Group.TEMPS_TRIED, Group.COMPARED},
        ),
    ],
    ids=["everything is new", "nothing is new", "refused samples"],
)
def test_rules_work_on_what_is_new(parts: dict[str, Any], groups: set[Group]) -> None:
    assert set(due_groups(measured(**parts))) == groups | {Group.TICK}


# ------------------------------------------------------------------ latches
@pytest.mark.parametrize("case", LATCHING, ids=str)
def test_a_latch_stays_when_its_cause_is_gone_until_an_order_names_it(case: Case) -> None:
    bench = acted(case)
    faults = bench.step(20)
    assert case.code in faults.latched
    assert faults.inhibit
    assert case.code in bench.step(orders=m.Orders(clear=("something_else",))).latched
    assert case.code not in bench.step(orders=m.Orders(clear=(case.code,))).latched
    assert not bench.step(orders=m.Orders(clear=("all",))).inhibit


@pytest.mark.parametrize("case", LATCHING, ids=str)
def test_an_order_clears_no_latch_whose_cause_stands(case: Case) -> None:
    bench = acted(case)
    cleared = bench.step(**case.bad, orders=m.Orders(clear=("all",)))
    forgiven = case.code == "precharge_failed"  # its cause is the count of tries, which the same order resets
    assert (case.code in cleared.latched) is not forgiven


@pytest.mark.parametrize("named", ["all", "the code"])
@pytest.mark.parametrize("case", LATCHING, ids=str)
def test_an_order_that_would_change_nothing_is_told_why(case: Case, named: str) -> None:
    code, bench = case.code if named == "the code" else "all", acted(case)
    told = why_not_clear(code, bench.state)
    kept = case.code in bench.step(**case.bad, orders=m.Orders(clear=(code,))).latched
    assert (case.code in told) is bool(told) is kept
    bench.step(20)
    assert not kept or why_not_clear(code, bench.state) == ""


def test_what_is_not_latched_is_not_cleared() -> None:
    assert why_not_clear("emergency_stop", Bench().state).startswith("'emergency_stop' is not latched")
    assert why_not_clear("all", Bench().state) == "nothing is latched"


@pytest.mark.parametrize("case", [case for case in LATCHING if case.unknown], ids=str)
def test_an_order_clears_no_latch_whose_cause_cannot_be_seen(case: Case) -> None:
    bench = Bench(case, restore([case.code], 0.0))
    assert bench.step(3, **case.unknown, orders=m.Orders(clear=("all",))).latched == (case.code,)
    assert case.code in why_not_clear("all", bench.state)
    assert bench.step(orders=m.Orders(clear=("all",))).latched == ()


@pytest.mark.parametrize("case", LATCHING, ids=str)
def test_a_restart_forgets_no_latch(case: Case) -> None:
    state = restore([case.code], 5.0)
    remembered = state.faults.active[0]
    worst = max(other.reaction for other in LATCHING if other.code == case.code)
    assert (remembered.code, remembered.number, remembered.reaction) == (case.code, CODES[case.code], worst)
    assert state.faults.inhibit
    assert state.faults.latched == (case.code,)
    assert Bench(state=state).step(30).latched == (case.code,)


def test_a_latch_of_another_version_forbids_closing_until_everything_is_cleared() -> None:
    bench = Bench(state=restore(["of_tomorrow"], 5.0))
    assert bench.state.faults.inhibit
    assert not (bench.state.faults.open or bench.state.faults.stop)
    fault = bench.step().active[0]
    assert (fault.code, fault.reaction, fault.latched, fault.since_s) == ("of_tomorrow", R.INHIBIT, True, 5.0)
    assert bench.step(orders=m.Orders(clear=("all",))) == m.Faults()


def test_a_code_that_never_latches_is_kept_as_one_that_forbids_closing() -> None:
    assert restore(["journal_write"], 0.0).faults.active[0].reaction is R.INHIBIT


def test_a_worse_rung_latches_beside_the_milder_one() -> None:
    bench = Bench()
    bench.step(3, **CASES[[str(case) for case in CASES].index("interlock_open-STOP-0")].bad)
    assert not bench.state.faults.open
    bench.step(3, **pins(interlock_ok=False))
    assert bench.state.faults.open
    assert bench.state.faults.latched == ("interlock_open",)


# ------------------------------------------------------------------ the picture
def test_the_worst_comes_first_and_a_code_comes_once() -> None:
    bench = Bench()
    faults = bench.step(60, **cell(3.72), health=m.Health(journal_ok=False))
    assert [(fault.code, fault.reaction) for fault in faults.active] == [
        ("cell_over_voltage", R.STOP),
        ("journal_write", R.WARN),
    ]
    assert faults.worst == faults.active[0]
    assert (faults.block_charge, faults.stop, faults.open) == (True, True, False)


@pytest.mark.parametrize(
    ("parts", "code", "value", "limit", "where"),
    [
        (cell(3.8), "cell_over_voltage_critical", 3.8, 3.75, 2),
        (cell(2.6), "cell_under_voltage", 2.6, 2.7, 1),
        (of(current_a=-130.0), "over_current_discharge", 130.0, 110.0, 0),
        ({"temps": m.TempScan(scan([20.0, 21.0, 70.0]).cell_v, 30.0)}, "temperature_critical", 70.0, 65.0, 3),
        ({"temps": m.TempScan(scan([20.0, -5.0, 22.0]).cell_v, 30.0)}, "under_temperature_charge", -5.0, 2.0, 2),
    ],
)
def test_a_fault_says_what_was_compared_and_where(
    parts: dict[str, Any], code: str, value: float, limit: float, where: int
) -> None:
    fault = next(fault for fault in Bench().step(3, **parts).active if fault.code == code)
    assert (fault.value, fault.limit, fault.where) == pytest.approx((value, limit, where))
    assert fault.since_s == pytest.approx(100.1)


def test_two_deratings_do_not_multiply() -> None:
    faults = Bench().step(3, **doubt(D.PROBE_RANGE), cells=channel(scan(), m.Quality.HELD, fresh=False))
    assert faults.derate == 0.5


@pytest.mark.parametrize(("parts", "at_once"), [(pins(emergency_stop_ok=False), True), (cell(3.8), False)])
def test_only_the_emergency_stop_does_not_wait_for_the_fuse(parts: dict[str, Any], at_once: bool) -> None:
    faults = Bench().step(3, **parts)
    assert (faults.open, faults.at_once) == (True, at_once)


def test_recovery_charging_is_judged_without_what_it_cures_and_needs() -> None:
    faults = Bench().step(3, **cell(2.3, link_v=13.0))
    assert {fault.code for fault in faults.active} == {
        "cell_under_voltage",
        "cell_under_voltage_critical",
        "link_live",
    }
    assert (faults.open, faults.inhibit, faults.block_discharge) == (True, True, True)
    assert faults.but_low == m.Faults()


@pytest.mark.parametrize(
    "parts", [cell(1.9), cell(2.3) | {"health": m.Health(approved=False)}], ids=["too deep", "another fault"]
)
def test_recovery_charging_is_forbidden_by_everything_else(parts: dict[str, Any]) -> None:
    faults = Bench().step(3, **parts)
    assert faults.but_low is not None
    assert faults.but_low.inhibit


def test_without_a_low_fault_there_is_no_second_judgement() -> None:
    assert Bench().step(3, **cell(3.8)).but_low is None


# ------------------------------------------------------------------ single probes
@pytest.mark.parametrize("state", [S.PRECHARGE, S.CLOSED, S.OPENING, S.RECOVERY_CHARGE])
def test_current_and_link_voltage_are_no_faults_while_energised(state: m.PackState) -> None:
    faults = Bench().step(
        5, state=state, cells=scan(current_a=5.0, link_v=13.0), pins=m.Pins(), limits=m.Limits(50.0, 50.0)
    )
    assert not faults.active


@pytest.mark.parametrize(("open_s", "found"), [(0.19, []), (0.2, ["current_when_open"])])
def test_a_contactor_has_time_to_open_before_current_counts(open_s: float, found: list[str]) -> None:
    faults = Bench().step(5, cells=scan(current_a=5.0), open_s=open_s)
    assert [fault.code for fault in faults.active] == found


@pytest.mark.parametrize(("open_s", "live"), [(10.0, False), (10.1, True)])
def test_a_link_has_time_to_drain_before_it_counts_as_live(open_s: float, live: bool) -> None:
    assert Bench().step(cells=scan(link_v=13.0), open_s=open_s).inhibit is live


@pytest.mark.parametrize(
    ("pins", "trips"), [(m.Pins(), False), (m.Pins(main_aux_closed=True), True), (m.Pins(readback_ok=False), False)]
)
def test_contacts_that_are_not_fitted_accuse_nobody(pins: m.Pins, trips: bool) -> None:
    assert Bench().step(5, pins=pins).second is trips


@pytest.mark.parametrize(
    ("config", "vcu", "stop", "derate"),
    [
        ({"vcu": "none"}, channel(None, age_s=9.0), False, 1.0),
        ({"vcu": "optional"}, channel(None), False, 1.0),
        ({"vcu": "optional"}, channel(None, age_s=9.0), False, 0.0),
        ({"vcu": "required"}, channel(None), True, 0.0),
    ],
    ids=["not listened to", "never spoke", "fell silent", "required"],
)
def test_a_silent_controller_matters_as_configured(config: dict[str, str], vcu: Any, stop: bool, derate: float) -> None:
    chosen = settings(can=config)
    faults, _ = protect(scene(config=chosen, vcu=vcu), ProtectState(), arm(chosen), 1.0)
    assert (faults.stop, faults.derate) == (stop, derate)


def test_a_bus_that_is_not_required_may_be_silent() -> None:
    chosen = settings(can={"required": False})
    faults, _ = protect(scene(config=chosen, can=m.CanHealth(99.0)), ProtectState(), arm(chosen), 1.0)
    assert faults == m.Faults()


def test_a_pack_without_a_shunt_loses_none() -> None:
    chosen = settings(shunt=None)
    faults, _ = protect(scene(config=chosen, shunt=channel(None)), ProtectState(), arm(chosen), 1.0)
    assert faults == m.Faults()


def test_flow_in_a_direction_that_is_blocked_is_no_flow_in_the_other() -> None:
    assert Bench().step(30, **flow(-50.0, charge_a=0.0), pins=CLOSED_PINS).active == ()


@given(st.lists(st.sampled_from(CASES), max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_latches_only_grow_without_an_order(cases: list[Case], known: list[bool]) -> None:
    bench, latched = Bench(), set[str]()
    for case, seen in zip(cases, known, strict=False):
        faults = bench.step(3, **(case.bad if seen else NO_CELLS))
        assert latched <= set(faults.latched)
        latched = set(faults.latched)
        assert faults.inhibit or not latched


def test_a_rung_that_waits_for_its_second_sample_makes_the_pack_suspect_until_then() -> None:
    bench = Bench()
    hot, cool = temps(68.0, 20.0), temps(20.0, 20.0)
    assert bench.step(temps=hot).suspect
    assert not bench.step(temps=cool).suspect
    assert bench.step(temps=hot).suspect
    confirmed = bench.step(temps=hot)
    assert confirmed.open
    assert not confirmed.suspect


def test_a_rung_that_would_only_block_makes_nothing_suspect() -> None:
    bench = Bench()
    assert not bench.step(temps=temps(47.0, 20.0)).suspect
    assert bench.step(temps=temps(47.0, 20.0)).block_charge
