"""Power paths beyond one contactor with precharge: a main contactor in either pole, and the chip's own FETs."""

from __future__ import annotations

from typing import Any

import pytest
from stages.contactor_bench import CLOSE, LOW, NAN, OPEN, UNDER, Machine, S
from stages.stage_builders import channel, estimated, scan, scene, settings

from bms_daemon import model as m
from bms_daemon.stages import probes
from bms_daemon.stages.contactors import why_not_close
from bms_daemon.stages.limits import limits
from bms_daemon.stages.path_probes import link_ratio, main_not_closing, mains_welded, welded_main

TWO = settings(contactor={"topology": "two_mains_precharge"}, gpio={"main_negative": {"line": 9}})
FETS = settings(contactor={"topology": "fets", "aux_feedback": False}, gpio={"precharge": None})
BLOCK_C, BLOCK_D = m.Faults(block_charge=True), m.Faults(block_discharge=True)


# ------------------------------------------------------------------ two main contactors
def test_the_negative_pole_closes_with_the_precharge_and_stays() -> None:
    machine = Machine(armed=True, config=TWO)
    machine.step(orders=CLOSE)
    assert machine.command == m.Command(negative=True, precharge=True, charge=True, discharge=True, alive=True)
    machine.step(dt_s=0.5, cells=scan(link_v=13.0))
    assert (machine.at, machine.command.main, machine.command.negative) == (S.CLOSED, True, True)
    machine.step(orders=OPEN, dt_s=1.0)
    machine.step()
    assert (machine.at, machine.command) == (S.STANDBY, m.Command())


@pytest.mark.parametrize("config", [settings(), FETS], ids=["one main", "FETs"])
def test_where_there_is_no_negative_contactor_it_is_never_driven(config: Any) -> None:
    machine = Machine(S.CLOSED, config)
    machine.step()
    assert machine.command.main and not machine.command.negative


def test_a_negative_contact_that_reports_closed_keeps_the_pack_open() -> None:
    machine = Machine(armed=True, config=TWO)
    pins = m.Pins(main_aux_closed=False, main_negative_aux_closed=True)
    assert machine.step(orders=CLOSE, pins=pins).state is S.STANDBY


PLUS, MINUS = m.Command(main=True), m.Command(negative=True)
BOTH = m.Command(main=True, negative=True)
WELDS: dict[str, tuple[Any, m.Command, float, int]] = {
    "both open": ((False, False), m.Command(), 0.0, 0),
    "both closed as told": ((True, True), BOTH, 0.0, 0),
    "one told, the other welded": ((True, True), MINUS, 1.0, 1),
    "positive welded": ((True, False), m.Command(), 1.0, 1),
    "negative welded": ((False, True), m.Command(), 1.0, 2),
    "both welded": ((True, True), m.Command(), 2.0, 1),
    "the only one welded": ((True, None), m.Command(), 2.0, 1),
    "none has a contact": ((None, None), m.Command(), 0.0, 0),
}


@pytest.mark.parametrize(("contacts", "command", "found", "where"), WELDS.values(), ids=WELDS)
def test_one_welded_contactor_of_two_leaves_the_other_to_open(
    contacts: Any, command: m.Command, found: float, where: int
) -> None:
    pins = m.Pins(main_aux_closed=contacts[0], main_negative_aux_closed=contacts[1])
    seen = scene(pins=pins, command=command)
    assert mains_welded(seen) == found
    assert not found or welded_main(seen) == where


@pytest.mark.parametrize(
    ("contacts", "closed_s", "found"),
    [((True, True), 9.0, 0.0), ((True, False), 0.1, 1.0), ((True, False), 9.0, 2.0), ((False, True), 9.0, 2.0)],
)
def test_either_main_contactor_must_close(contacts: tuple[bool, bool], closed_s: float, found: float) -> None:
    pins = m.Pins(main_aux_closed=contacts[0], main_negative_aux_closed=contacts[1])
    assert main_not_closing(scene(pins=pins, command=BOTH, closed_s=closed_s)) == found


@pytest.mark.parametrize("probe", [mains_welded, main_not_closing])
def test_contacts_that_are_not_known_say_nothing(probe: Any) -> None:
    seen = scene(pins=channel(None), command=BOTH)
    assert probe(seen) != probe(seen)
    assert welded_main(seen) == 0


@pytest.mark.parametrize(("negative", "discharge_a"), [(False, 0.0), (True, 80.0)])
def test_limits_stay_zero_until_both_contacts_have_followed(negative: bool, discharge_a: float) -> None:
    seen = scene(pins=m.Pins(main_aux_closed=True, main_negative_aux_closed=negative)).measured
    last = m.Limits(40.0, 80.0)
    found = limits(seen, estimated(40.0, 80.0), m.Faults(), m.Control(S.CLOSED), last, TWO)
    assert found.discharge_a == discharge_a


# ------------------------------------------------------------------ the chip's own FETs
@pytest.mark.parametrize(
    ("faults", "charge", "discharge"), [(m.Faults(), True, True), (BLOCK_C, False, True), (BLOCK_D, True, False)]
)
def test_fets_block_one_direction_alone(faults: m.Faults, charge: bool, discharge: bool) -> None:
    machine = Machine(S.CLOSED, FETS)
    machine.step(faults)
    assert (machine.command.main, machine.command.charge, machine.command.discharge) == (True, charge, discharge)
    coil = Machine(S.CLOSED)
    coil.step(faults)
    assert (coil.command.charge, coil.command.discharge) == (True, True), "one contactor cannot"


def test_fets_let_nothing_out_of_a_pack_that_recovers() -> None:
    machine = Machine(armed=True, config=FETS)
    assert machine.step(UNDER, **LOW).state is S.RECOVERY_CHARGE
    assert machine.command == m.Command(main=True, charge=True, discharge=False, alive=True)


@pytest.mark.parametrize(
    ("link_v", "closes"), [(0.0, True), (13.2, True), (15.0, True), (15.1, False), (-5.1, False), (NAN, False)]
)
def test_fets_close_onto_a_charger_but_not_onto_any_voltage(link_v: float, closes: bool) -> None:
    """Four cells of at most 3.75 V: 15 V."""
    machine = Machine(armed=True, config=FETS)
    machine.step(orders=CLOSE, cells=scan(link_v=link_v))
    assert (machine.at is S.CLOSED) is closes
    seen = scene(cells=scan(link_v=link_v)).measured
    told = why_not_close(seen, m.Faults(), Machine(armed=True, config=FETS).state, FETS, 100.0)
    assert bool(told) is not closes


def test_a_charger_behind_open_fets_is_no_weld() -> None:
    live = {"cells": scan(link_v=13.2), "open_s": 3600.0}
    assert link_ratio(scene(config=FETS, **live)) == 0.0
    assert link_ratio(scene(**live)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("told", "held", "found"),
    [((True, False), (True, False), 0.0), ((True, True), (True, False), 1.0), ((True, True), (None, None), 0.0)],
)
def test_an_output_that_is_off_as_told_is_no_fault(told: Any, held: Any, found: float) -> None:
    command = m.Command(main=True, charge=told[0], discharge=told[1])
    cells = scan(charge_on=held[0], discharge_on=held[1])
    assert probes.outputs_off(scene(cells=cells, command=command, closed_s=9.0)) == found
