"""Two main contactors, and FETs that know directions, as physics."""

from __future__ import annotations

import pytest

from bms_daemon.sim.gate import RELEASED, CoilGate, Coils
from bms_daemon.sim.powerpath import PowerPath
from bms_daemon.sim.settings import ContactorData, LinkData

STIFF = ContactorData(bounce_s=0.0)
PRECHARGING = Coils(False, True, True)
BOTH = Coils(True, False, True)


def two(weld_a: float = 1500.0) -> PowerPath:
    path = PowerPath(ContactorData(bounce_s=0.0, weld_a=weld_a), LinkData(bleed_ohm=1e7), "two_mains")
    path.step(0.0, RELEASED, 51.2, 0.0)
    return path


@pytest.mark.parametrize(
    ("coils", "link_v"),
    [(PRECHARGING, 51.2), (Coils(False, True, False), 0.0), (Coils(False, False, True), 0.0),
     (Coils(True, False), 0.0)],
)
def test_a_link_is_fed_only_through_both_poles(coils: Coils, link_v: float) -> None:
    path = two()
    path.step(3.0, coils, 51.2, 0.0)
    assert path.link_v == pytest.approx(link_v, abs=0.01)


@pytest.mark.parametrize("left", [Coils(True, False, False), Coils(False, False, True)], ids=["positive", "negative"])
def test_either_contactor_alone_opens_the_pack(left: Coils) -> None:
    path = two()
    path.step(3.0, PRECHARGING, 51.2, 0.0)
    assert path.step(4.0, BOTH, 51.2, -80.0) == pytest.approx(-80.0, abs=1e-3)
    assert path.step(5.0, left, 51.2, -80.0) == 0.0
    assert (path.main_aux, path.main_negative_aux) == (left.main, left.negative)
    broke_a = [contact.worst_break_a for contact in path.mains]
    assert broke_a == [0.0 if left.main else pytest.approx(80.0, abs=1e-3),
                       0.0 if left.negative else pytest.approx(80.0, abs=1e-3)]  # fmt: skip


def test_the_contactor_that_closes_last_onto_an_empty_link_welds() -> None:
    path = two()
    path.step(1.0, Coils(True, False, False), 51.2, 0.0)
    path.step(2.0, BOTH, 51.2, 0.0)
    assert [contact.welded for contact in path.mains] == [False, True]


# ------------------------------------------------------------------ FETs
def fets(charge: bool, discharge: bool) -> tuple[PowerPath, Coils]:
    path = PowerPath(STIFF, LinkData(bleed_ohm=100.0, capacitance_f=1e-4), "fets")
    path.step(0.0, RELEASED, 14.8, 0.0)
    return path, Coils(charge or discharge, False, charge=charge, discharge=discharge)


@pytest.mark.parametrize("charge", [True, False])
@pytest.mark.parametrize("discharge", [True, False])
@pytest.mark.parametrize("demand_a", [5.0, -5.0])
def test_each_fet_lets_one_direction_through(charge: bool, discharge: bool, demand_a: float) -> None:
    """Through the other one's body diode; the link's own 0.15 A is drawn where discharging is allowed."""
    path, coils = fets(charge, discharge)
    found_a = path.step(1.0, coils, 14.8, demand_a)
    wanted_a = demand_a if (charge if demand_a > 0.0 else discharge) else 0.0
    conducts = discharge or (charge and demand_a > 0.0)
    assert found_a == pytest.approx(wanted_a - 0.148 * conducts)
    assert path.link_v == pytest.approx(14.8 if conducts else 0.0)


def test_fets_switch_at_once() -> None:
    path, coils = fets(True, True)
    path.step(1.0, coils, 14.8, -5.0)
    assert path.step(1.0, RELEASED, 14.8, -5.0) == 0.0


def test_the_chips_outputs_pass_the_gate_each_for_itself() -> None:
    gate = CoilGate(fets=True)
    gate.dead_man_edge(0.0)
    gate.drive(0.0, True, False)
    gate.allow(0.01, False, True)
    assert gate.coil(0.02) == Coils(True, False, charge=False, discharge=True)
    gate.allow(0.03, False, False)
    assert gate.coil(0.04) == RELEASED
    gate.allow(0.05, True, True)
    assert gate.coil(0.06) == Coils(True, False)
    assert gate.coil(0.21) == RELEASED, "the dead-man"
