"""The bq76942 and the bq769142 beside the bq76952: inputs, device numbers, and what is refused."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from contract.afe_families import BQ76952
from pydantic import ValidationError

from bms_daemon.drivers import registry
from bms_daemon.drivers.bq76952_parts import other
from bms_daemon.drivers.bq76952_settings import Settings
from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import assemble
from bms_daemon.sim.settings import WorldSettings

MOST = {"bq76952": 16, "bq76942": 10, "bq769142": 14}


def settings(part: str, **changes: object) -> Settings:
    return Settings(**(BQ76952 | {"part": part} | changes))


@pytest.mark.parametrize(
    ("part", "mask"), [("bq76952", 0xFFFF), ("bq76942", 0x03FF), ("bq769142", 0xAFFF)]
)
def test_a_full_part_has_the_cell_mask_that_ti_gives(part: str, mask: int) -> None:
    """VCell Mode with every cell fitted; cells 13 and 14 of a bq769142 sit on inputs 14 and 16."""
    assert settings(part).memory(MOST[part])["VCell mode"] == mask


@pytest.mark.parametrize("part", MOST)
def test_more_cells_than_a_part_has_inputs_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match=f"a {part} measures at most {MOST[part]} cells"):
        settings(part).fit(MOST[part] + 1)


@pytest.mark.parametrize(("part", "inputs", "text"), [("bq76942", (1, 11), "no input 11"), ("bq769142", (13,), "13")])
def test_inputs_that_a_part_does_not_have_are_refused(part: str, inputs: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        settings(part, inputs=inputs)


@pytest.mark.parametrize(
    ("part", "number", "told"),
    [("bq76952", 0x7695, ""), ("bq76942", 0x7694, ""), ("bq76942", 0x7695, "0x7695 is a bq76952, no bq76942"),
     ("bq76952", 0x7692, "0x7692 is no bq76952"), ("bq769142", 0x7614, ""), ("bq769142", 0x7694, "is a bq76942, no")],
)  # fmt: skip
def test_a_device_number_that_belongs_to_another_part_is_told(part: str, number: int, told: str) -> None:
    found = other(part, number)
    assert told in found and bool(found) is bool(told)


@pytest.mark.parametrize(("fitted", "believed"), [("bq76952", "bq76942"), ("bq76942", "bq769142")])
def test_another_part_of_the_family_is_refused_by_name(fitted: str, believed: str) -> None:
    async def main() -> None:
        data = {"kind": "bq76952", "crc": True, "shunt_mohm": 0.5, "part": fitted}
        parts = assemble(WorldSettings.model_validate({"series": 10, "afe": data}))
        afe = registry.make_afe("bq76952", parts.afe_bus, settings(believed, crc=True), 10)
        with pytest.raises(BusFault, match=f"is a {fitted}, no {believed}"):
            await afe.setup()

    run_manual(main())


@pytest.mark.parametrize("part", MOST)
def test_every_cell_is_read_from_its_own_input(part: str) -> None:
    async def main() -> None:
        data = {"kind": "bq76952", "crc": True, "shunt_mohm": 0.5, "part": part}
        parts = assemble(WorldSettings.model_validate({"series": MOST[part], "afe": data}))
        parts.plant.cells.offset_v[:] = 0.01 * np.arange(MOST[part])
        parts.plant.refresh()
        afe = registry.make_afe("bq76952", parts.afe_bus, settings(part, crc=True), MOST[part])
        await afe.setup()
        await asyncio.sleep(1.0)
        assert (await afe.scan()).cell_v == pytest.approx(parts.plant.taps.cell_v, abs=0.003)

    run_manual(main())
