"""Which cell file stands for a pack's cells: shipped ones by name, own ones by path, scaled to the pack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from config.test_config_load import DEMO, changed, write
from stages.stage_builders import settings

from bms_daemon.app import load_settings
from bms_daemon.config.cellfile import CellFileError
from bms_daemon.config.load import ConfigError
from bms_daemon.config.pack_cell import CELLS, pack_cell, scaled


def of(**pack: Any):
    return pack_cell(settings(pack=pack))


@pytest.mark.parametrize("chemistry", ["lfp", "nmc"])
def test_without_a_name_the_generic_cell_of_the_chemistry_is_taken(chemistry: str) -> None:
    found = of(chemistry=chemistry, capacity_ah=280.0)
    assert (found.cell.chemistry, found.cell.capacity_ah) == (chemistry, 280.0)
    assert found.cell.name.startswith("generic")


def test_a_shipped_cell_is_taken_by_its_name() -> None:
    assert of(chemistry="nmc", cell_file=Path("lg-hg2")).cell.name == "LG 18650HG2"


@pytest.mark.parametrize("parallel", [0.5, 40.0])
def test_cells_in_parallel_share_the_current_and_the_heat(parallel: float) -> None:
    one = of(chemistry="nmc", cell_file=Path("lg-hg2"))
    many = scaled(one, parallel * one.cell.capacity_ah)
    for name in ("series_ohm", "pair_ohm"):
        ours, theirs = (np.array(getattr(file.resistance, name)) for file in (one, many))
        assert theirs == pytest.approx(ours / parallel)
    assert one.heat is not None and many.heat is not None
    assert many.heat.capacity_j_per_k == pytest.approx(one.heat.capacity_j_per_k * parallel)
    assert many.heat.resistance_k_per_w == pytest.approx(one.heat.resistance_k_per_w / parallel)
    assert many.ocv == one.ocv and many.cell.min_v == one.cell.min_v


def test_an_own_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    shutil.copy(CELLS / "generic-lfp.toml", tmp_path / "mine.toml")
    loaded = load_settings(write(tmp_path, changed(DEMO, {"pack.cell_file": "mine.toml"})))
    assert loaded.pack.cell_file == tmp_path / "mine.toml"
    assert pack_cell(loaded).cell.capacity_ah == 100.0


@pytest.mark.parametrize(
    ("cell_file", "text"),
    [
        ("none.toml", "none.toml: does not exist"),
        ("unheard-of", "unheard-of.toml: does not exist"),
        ("generic-nmc", "describes an nmc cell; pack.chemistry is lfp"),
        ("broken.toml", "cannot be read as TOML"),
    ],
)
def test_a_cell_file_that_cannot_be_used_is_an_error_of_the_configuration(
    tmp_path: Path, cell_file: str, text: str
) -> None:
    (tmp_path / "broken.toml").write_text("= 7")
    with pytest.raises(ConfigError, match=text) as error:
        load_settings(write(tmp_path, changed(DEMO, {"pack.cell_file": cell_file})))
    assert "pack.cell_file" in str(error.value)


def test_another_chemistry_is_refused() -> None:
    with pytest.raises(CellFileError, match="lfp"):
        of(chemistry="lfp", cell_file=Path("lg-hg2"))
