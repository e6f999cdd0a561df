"""Contactor, DC link, fuse, and the power path that they form."""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf

import pytest

from bms_daemon.sim.contactor import Contactor
from bms_daemon.sim.dclink import DcLink
from bms_daemon.sim.gate import Coils
from bms_daemon.sim.powerpath import Fuse, PowerPath
from bms_daemon.sim.settings import ContactorData, LinkData

STIFF = ContactorData(close_s=0.015, open_s=0.008, bounce_s=0.0, weld_a=1500.0)


def moves(contactor: Contactor, end_s: float) -> list[tuple[float, bool]]:
    """Advance event by event; every change of the contact with its time."""
    seen: list[tuple[float, bool]] = []
    while contactor.next_event_s <= end_s:
        now_s, before = contactor.next_event_s, contactor.closed
        contactor.advance(now_s)
        if contactor.closed != before:
            seen.append((round(now_s, 6), contactor.closed))
    contactor.advance(end_s)
    return seen


def test_contact_closes_and_opens_after_its_travel() -> None:
    contactor = Contactor(STIFF)
    contactor.command(1.0, True)
    assert moves(contactor, 2.0) == [(1.015, True)]
    contactor.command(2.0, False)
    assert moves(contactor, 3.0) == [(2.008, False)]


def test_contact_bounces_and_ends_closed() -> None:
    contactor = Contactor(ContactorData(bounce_s=0.002))
    contactor.command(0.0, True)
    seen = moves(contactor, 1.0)
    assert [closed for _, closed in seen] == [True, False, True, False, True]
    assert seen[0][0] == 0.015
    assert seen[-1][0] == 0.017
    assert contactor.closings == 1


def test_a_coil_released_before_the_contact_touches_closes_nothing() -> None:
    contactor = Contactor(STIFF)
    contactor.command(0.0, True)
    contactor.advance(0.014)
    contactor.command(0.014, False)
    assert moves(contactor, 1.0) == []


def test_a_coil_that_returns_while_the_contact_leaves_keeps_it_closed() -> None:
    contactor = Contactor(STIFF)
    contactor.command(0.0, True)
    contactor.advance(0.1)
    contactor.command(0.1, False)
    contactor.command(0.104, True)
    assert moves(contactor, 1.0) == []
    assert contactor.closed


def test_a_weld_stays_closed_and_its_mirror_contact_says_so() -> None:
    contactor = Contactor(STIFF)
    contactor.command(0.0, True)
    contactor.advance(0.1)
    contactor.welded = True
    contactor.command(0.1, False)
    contactor.advance(1.0)
    assert contactor.closed
    assert contactor.aux


@pytest.mark.parametrize(("current_a", "welded"), [(1499.0, False), (-1501.0, True)])
def test_making_too_much_current_welds(current_a: float, welded: bool) -> None:
    contactor = Contactor(STIFF)
    contactor.making(current_a)
    assert contactor.welded is welded


def test_a_broken_coil_pulls_nothing() -> None:
    contactor = Contactor(STIFF)
    contactor.coil_broken = True
    contactor.command(0.0, True)
    assert contactor.next_event_s == inf


@pytest.mark.parametrize(("fault", "aux"), [("stuck_open", False), ("stuck_closed", True)])
@pytest.mark.parametrize("coil", [False, True])
def test_a_stuck_auxiliary_contact_ignores_the_armature(fault: str, aux: bool, coil: bool) -> None:
    contactor = Contactor(STIFF)
    contactor.aux_fault = fault  # type: ignore[assignment]
    contactor.command(0.0, coil)
    contactor.advance(1.0)
    assert contactor.aux is aux


def test_a_chattering_auxiliary_contact_changes_every_seven_milliseconds() -> None:
    contactor = Contactor(STIFF)
    contactor.aux_fault = "chatter"
    levels = []
    for k in range(701):
        contactor.advance(k / 1000.0 + 0.0005)
        levels.append(contactor.aux)
    assert sum(a != b for a, b in pairwise(levels)) == 100


# ------------------------------------------------------------------ DC link
def test_precharge_follows_the_exponential_whatever_the_step() -> None:
    link = DcLink(LinkData(capacitance_f=0.005, precharge_ohm=20.0, bleed_ohm=1e7))
    for dt_s in (0.02, 0.03, 0.05):
        link.step(dt_s, 51.2, 20.0)
    assert link.link_v == pytest.approx(51.2 * (1.0 - exp(-1.0)), rel=1e-4)


def test_mean_precharge_current_carries_the_capacitors_charge() -> None:
    link = DcLink(LinkData(capacitance_f=0.005, bleed_ohm=1e7))
    mean_a = link.step(0.05, 51.2, 22.0)
    assert mean_a * 0.05 == pytest.approx(0.005 * link.link_v, rel=1e-4)


def test_an_open_link_drains_through_its_bleed_resistor() -> None:
    link = DcLink(LinkData(capacitance_f=0.005, bleed_ohm=1000.0))
    link.link_v = 50.0
    assert link.step(5.0, 51.2) == 0.0
    assert link.link_v == pytest.approx(50.0 * exp(-1.0))


def test_a_load_keeps_precharge_low_and_never_turns_the_link_negative() -> None:
    link = DcLink(LinkData(bleed_ohm=1e7))
    link.load_a = 1.0
    link.step(10.0, 51.2, 22.0)
    assert link.link_v == pytest.approx(29.2, abs=0.01)
    link.step(10.0, 51.2)
    assert link.link_v == 0.0


def test_a_live_link_stays_up() -> None:
    link = DcLink(LinkData())
    link.live_v = 48.0
    link.step(60.0, 51.2)
    assert link.link_v == 48.0


# ------------------------------------------------------------------ fuse
def test_a_fuse_carries_its_rating_for_ever_and_melts_at_its_i2t() -> None:
    fuse = Fuse(100.0, 10_000.0)
    fuse.carry(100.0, 1e6)
    assert not fuse.melted
    assert fuse.remaining_s(200.0) == pytest.approx(1.0 / 3.0)
    fuse.carry(-200.0, 0.33)
    assert not fuse.melted
    fuse.carry(-200.0, 0.01)
    assert fuse.melted


# ------------------------------------------------------------------ power path
def path(**link: float) -> PowerPath:
    return PowerPath(STIFF, LinkData(bleed_ohm=1e7, **link))


def precharged(**link: float) -> PowerPath:
    power = path(**link)
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    power.step(2.0, Coils(False, True), 51.2, 0.0)
    return power


def test_outside_current_waits_for_the_main_contact() -> None:
    power = precharged()
    assert power.step(2.014, Coils(True, True), 51.2, 20.0) == pytest.approx(0.0, abs=1e-3)
    assert power.step(2.016, Coils(True, True), 51.2, 20.0) == pytest.approx(20.0, abs=1e-3)


def test_charge_counts_from_the_instant_of_contact_to_that_of_parting() -> None:
    power = precharged()
    before_as = power.charge_as
    power.step(3.0, Coils(True, True), 51.2, 20.0)
    power.step(4.0, Coils(False, False), 51.2, 20.0)
    assert power.charge_as - before_as == pytest.approx(20.0 * (1.0 - 0.015 + 0.008), rel=1e-4)


def test_precharge_draws_from_the_pack() -> None:
    power = path(capacitance_f=0.005, precharge_ohm=22.0)
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    current_a = power.step(0.015, Coils(False, True), 51.2, 0.0)
    assert current_a == pytest.approx(-51.2 / 22.0, rel=1e-6)
    power.step(1.0, Coils(False, True), 51.2, 0.0)
    assert power.link_v == pytest.approx(51.2, rel=1e-3)
    assert power.charge_as == pytest.approx(-0.005 * 51.2, rel=1e-3)


@pytest.mark.parametrize(("precharge_s", "welded"), [(0.0, True), (1.0, False)])
def test_closing_onto_an_empty_link_welds_and_onto_a_full_one_does_not(precharge_s: float, welded: bool) -> None:
    power = path()
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    power.step(precharge_s, Coils(False, precharge_s > 0.0), 51.2, 0.0)
    power.step(precharge_s + 0.1, Coils(True, False), 51.2, 0.0)
    power.step(precharge_s + 0.2, Coils(False, False), 51.2, 0.0)
    assert power.main.welded is welded
    assert power.main_aux is welded


def test_a_melting_fuse_ends_the_current_within_the_step() -> None:
    power = precharged(fuse_rated_a=100.0, fuse_i2t_a2s=10_000.0)
    power.step(2.1, Coils(True, True), 51.2, 0.0)
    before_as = power.charge_as
    assert power.step(3.1, Coils(True, False), 51.2, -200.0) == 0.0
    assert power.charge_as - before_as == pytest.approx(-200.0 / 3.0, rel=1e-3)


def test_a_closed_contact_holds_the_link_at_the_pack() -> None:
    power = PowerPath(STIFF, LinkData(bleed_ohm=100.0))
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    power.step(1.0, Coils(False, True), 51.2, 0.0)
    power.step(2.0, Coils(True, False), 51.2, 0.0)
    assert power.link_v == 51.2
    assert power.current_a == pytest.approx(-0.512)


@pytest.mark.parametrize(("i2t_a2s", "melted"), [(430.0, True), (445.0, False)])
def test_inrush_strikes_the_fuse(i2t_a2s: float, melted: bool) -> None:
    """Charging 5 mF to 51.2 V through 15 mohm takes V²C/2R = 437 A²s."""
    power = path(capacitance_f=0.005, loop_ohm=0.015, fuse_i2t_a2s=i2t_a2s)
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    power.step(0.1, Coils(True, False), 51.2, 0.0)
    assert power.fuse.melted is melted


def test_the_second_disconnect_cuts_a_welded_path_for_good() -> None:
    power = precharged()
    power.step(2.1, Coils(True, False), 51.2, 20.0)
    power.main.welded = True
    assert power.step(2.2, Coils(False, False), 51.2, 20.0) == pytest.approx(20.0, abs=1e-3)
    power.trip()
    assert power.step(2.3, Coils(False, False), 51.2, 20.0) == 0.0
    power.trip(False)
    assert power.severed


def test_opening_under_load_is_remembered_and_bouncing_is_not() -> None:
    power = PowerPath(ContactorData(bounce_s=0.002), LinkData())
    power.step(0.0, Coils(False, False), 51.2, 0.0)
    power.step(1.0, Coils(False, True), 51.2, -80.0)
    power.step(2.0, Coils(True, False), 51.2, -80.0)
    assert power.main.worst_break_a == 0.0
    power.step(3.0, Coils(False, False), 51.2, -80.0)
    assert power.main.worst_break_a == pytest.approx(80.0, abs=0.1)
