"""Current and terminal voltages come from whoever measures them, with that one's quality and age."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest
from stages.stage_builders import FullAfe, FullShunt, channel, scan, settings

from bms_daemon import model as m
from bms_daemon.config.driver_tables import AfeTable, ShuntTable
from bms_daemon.config.senses import Senses, Source, period_s
from bms_daemon.stages.terminals import terminals

Q = m.Quality
CELLS = channel(scan(current_a=-5.0, pack_v=13.0, link_v=12.0), now_s=9.0)
SHUNT = channel(m.ShuntReading(-7.0, 13.5, 11.0, charge_ah=-40.0), now_s=9.5, fresh=False)


def senses(afe: AfeTable, shunt: ShuntTable | None) -> Senses:
    table = None if shunt is None else {"settings": shunt, "period_s": 0.05}
    return Senses.of(settings(afe={"settings": afe}, shunt=table))


@pytest.mark.parametrize(
    ("afe", "shunt", "current", "voltages"),
    [
        (FullAfe(), FullShunt(), Source.SHUNT, Source.AFE),
        (FullAfe(), None, Source.AFE, Source.AFE),
        (FullAfe(), ShuntTable(), Source.AFE, Source.AFE),
        (AfeTable(), FullShunt(), Source.SHUNT, Source.SHUNT),
        (AfeTable(), ShuntTable(), Source.NONE, Source.NONE),
        (AfeTable(), None, Source.NONE, Source.NONE),
    ],
)
def test_the_afe_goes_first_then_the_shunt_then_nobody_but_current_is_the_fasters(
    afe: AfeTable, shunt: ShuntTable | None, current: Source, voltages: Source
) -> None:
    assert senses(afe, shunt) == Senses(current, voltages, voltages)


def test_a_shunt_that_is_slower_than_the_afe_is_the_second_opinion() -> None:
    slow = settings(afe={"settings": FullAfe()}, shunt={"settings": FullShunt(), "period_s": 1.0})
    assert Senses.of(slow).current is Source.AFE


@pytest.mark.parametrize(("source", "period"), [(Source.AFE, 0.1), (Source.SHUNT, 0.05), (Source.NONE, 0.1)])
def test_the_period_is_the_measurers(source: Source, period: float) -> None:
    assert period_s(settings(shunt={"period_s": 0.05}), source) == period


def test_each_quantity_is_its_own_sources() -> None:
    found = terminals(Senses(Source.SHUNT, Source.AFE, Source.SHUNT), CELLS, SHUNT)
    assert (found.current_a, found.pack_v, found.link_v) == (-7.0, 13.0, 11.0)
    assert (found.current_s, found.current_fresh, found.charge_ah) == (9.5, False, -40.0)
    found = terminals(Senses(Source.AFE, Source.SHUNT, Source.AFE), CELLS, SHUNT)
    assert (found.current_a, found.pack_v, found.link_v) == (-5.0, 13.5, 12.0)
    assert (found.current_s, found.current_fresh) == (9.0, True)
    assert isnan(found.charge_ah), "a counter of somebody else's current"


@pytest.mark.parametrize(
    ("who", "cells", "shunt", "quality"),
    [
        (Senses(Source.AFE, Source.AFE, Source.AFE), channel(scan(), Q.HELD), channel(None), Q.HELD),
        (Senses(Source.AFE, Source.SHUNT, Source.AFE), CELLS, channel(m.ShuntReading(0.0), Q.HELD), Q.HELD),
        (Senses(Source.AFE, Source.AFE, Source.SHUNT), CELLS, channel(None), Q.FAILED),
        (Senses(Source.SHUNT, Source.SHUNT, Source.SHUNT), channel(None), SHUNT, Q.GOOD),
        (Senses(Source.AFE, Source.AFE, Source.NONE), CELLS, SHUNT, Q.FAILED),
    ],
)
def test_quality_is_that_of_the_worst_who_is_asked(who: Senses, cells: Any, shunt: Any, quality: Q) -> None:
    assert terminals(who, cells, shunt).quality is quality


@pytest.mark.parametrize("source", list(Source))
def test_what_is_not_measured_or_lost_is_not_known(source: Source) -> None:
    found = terminals(Senses(source, source, source), channel(None), channel(None))
    assert isnan(found.current_a) and isnan(found.pack_v) and isnan(found.link_v) and isnan(found.charge_ah)
    assert not found.current_fresh
