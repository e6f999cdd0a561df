"""A bq76952 whose FETs carry the pack's current: what it measures, and the pins that turn it off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from afe_families import FAMILIES, wait
from pydantic import ValidationError

from bms_daemon.drivers.bq76952 import Settings
from bms_daemon.ports import Afe
from bms_daemon.sim.assembly import Assembly

BASE = next(family for family in FAMILIES if family.name == "bq76952 with CRC")
FETS = replace(
    BASE,
    world={"path": "fets", "afe": {"kind": "bq76952", "crc": True, "shunt_mohm": 0.5, "fets": True}},
    settings={**BASE.settings, "fets": True},
)


def test_the_pack_is_the_stack_and_the_link_is_behind_the_fets() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await wait(0.5)
        scan = await afe.scan()
        assert scan.pack_v == scan.stack_v == pytest.approx(assembly.plant.taps.stack_v, abs=0.05)
        assert scan.link_v == pytest.approx(0.0, abs=0.05)

    FETS.play(story)


def test_the_off_pins_win_over_what_the_chip_was_told() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        assembly.chip.hold_off(False)
        await afe.switch(True, True)
        assert assembly.chip.charge_allowed and assembly.chip.discharge_allowed
        assembly.chip.hold_off(True)
        assert not assembly.chip.charge_allowed and not assembly.chip.discharge_allowed
        scan = await afe.scan()
        assert (scan.charge_on, scan.discharge_on) == (False, False)
        assembly.chip.hold_off(False)
        assert assembly.chip.charge_allowed and assembly.chip.discharge_allowed

    FETS.play(story)


def test_without_fets_the_off_pins_are_not_configured() -> None:
    async def story(assembly: Assembly, afe: Afe) -> None:
        await afe.setup()
        await afe.switch(True, True)
        assembly.chip.hold_off(True)
        assert assembly.chip.charge_allowed and assembly.chip.discharge_allowed

    BASE.play(story)


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"probes": ("TS1", "CFETOFF")}, "belong to the FETs"), ({"dfetoff_pin": 0x07}, "dfetoff_pin: bits 1:0 must")],
)
def test_pins_that_the_fets_need_are_kept_for_them(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Settings(**(FETS.settings | changes))
    assert Settings(**FETS.settings).switches_current and not Settings(**BASE.settings).switches_current
