"""The cell file: what is refused and how, and what the look-up makes of what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimation.cell_bench import NMC_SOC, NMC_V, PAIR_OHM, SERIES_OHM, cell_of

from bms_daemon.config.cellfile import SLOW_SHARE, CellFileError, load_cell
from bms_daemon.estimation.tables import resistance_growth

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "cells").glob("*.toml"))


def array(*values: float) -> np.ndarray:
    return np.array(values)


def test_the_open_circuit_voltage_is_the_files_and_goes_on_beyond_its_ends() -> None:
    soc = np.array(NMC_SOC)
    found = cell_of().ocv_v(soc, np.full(soc.size, 25.0))
    assert found == pytest.approx(np.array(NMC_V), abs=1e-9)
    ends = cell_of().ocv_v(array(-9.0, 9.0), array(25.0, 25.0))
    assert ends == pytest.approx([NMC_V[0], NMC_V[-1]], abs=0.02)


def test_temperature_moves_the_voltage_by_its_own_slope_on_each_side_and_no_further_than_measured() -> None:
    slopes = {"cold_v_per_k": (0.001,) * len(NMC_SOC), "warm_v_per_k": (-0.0005,) * len(NMC_SOC)}
    cell = cell_of(ocv=slopes | {"temperature_min_degc": 0.0})
    base, cold, warm, colder = cell.ocv_v(array(0.5, 0.5, 0.5, 0.5), array(25.0, 15.0, 35.0, -40.0))
    assert (cold - base, warm - base, colder - base) == pytest.approx((-0.010, -0.005, -0.028))


def test_resistance_grows_by_its_law_beyond_the_measured_temperatures() -> None:
    cell = cell_of()
    found = cell.circuit(array(0.5, 0.5), array(25.0, -10.0)).series_ohm
    assert found[0] == pytest.approx(SERIES_OHM)
    assert found[1] == pytest.approx(SERIES_OHM * resistance_growth(array(-10.0), 0.27, 4800.0)[0], rel=1e-6)


@pytest.mark.parametrize(("said", "slow_share"), [({}, SLOW_SHARE), ({"slow_share": 0.4}, 0.4)])
def test_slow_pairs_grow_by_a_share_of_their_own(said: dict[str, Any], slow_share: float) -> None:
    """The bench's pairs have 10 s and 300 s."""
    found = cell_of(resistance=said).circuit(array(0.5), array(-10.0))
    for ohm, whole, share in zip(found.pair_ohm[:, 0], PAIR_OHM, (0.27, slow_share), strict=True):
        assert ohm == pytest.approx(whole * resistance_growth(array(-10.0), share, 4800.0)[0], rel=1e-6)
    assert found.whole_ohm == pytest.approx(found.series_ohm + found.pair_ohm.sum(axis=0))


def test_between_whole_degrees_a_resistance_lies_between_and_cells_may_differ_in_temperature() -> None:
    soc, degc = np.full(3, 0.5), array(-10.0, -10.5, -11.0)
    found = cell_of().circuit(soc, degc).series_ohm
    assert found[1] == pytest.approx(0.5 * (found[0] + found[2]), rel=1e-9)
    for each, ohm in zip(degc, found, strict=True):
        assert cell_of().circuit(soc, np.full(3, each)).series_ohm == pytest.approx(ohm, rel=1e-12)


@pytest.mark.parametrize("degc", [-1e6, -60.0, 200.0, 1e6])
def test_any_temperature_has_a_resistance(degc: float) -> None:
    found = cell_of("lfp").circuit(array(0.5), array(degc))
    assert np.isfinite(found.series_ohm).all()
    assert np.isfinite(found.pair_ohm).all()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ocv": {"soc": (1.0, 0.0), "voltage_v": (3.0, 4.0)}}, "ocv.soc must rise"),
    ({"ocv": {"voltage_v": NMC_V[:-1]}}, "ocv.voltage_v needs 14 values"),
    ({"ocv": {"soc": (0.1, 0.9)}}, "reach from 0 to 1"),
    ({"resistance": {"tau_s": (10.0,)}}, "needs 1 tables"),
    ({"resistance": {"series_ohm": ((0.01, -0.01),)}}, "must not be negative"),
    ({"resistance": {"temperature_degc": (0.0, 25.0)}}, "needs 2 rows"),
    ({"cell": {"min_v": 4.3}}, "min_v must be below"),
    ({"cell": {"capacity_ah": 0.0}}, "greater than 0"),
    ({"hysteresis": {"soc": (0.0, 1.0), "voltage_v": ((0.01,),), "rate": 50.0}}, "hysteresis"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG)
def test_a_file_that_does_not_fit_itself_is_refused_with_the_reason(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cell_of(**changes)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"schema = ", "TOML"), (b"\xff", "TOML"), (b"schema = 2", "schema"), (b"", "cell: Field required")],
)
def test_a_file_that_cannot_be_read_says_why_and_which(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "cell.toml"
    path.write_bytes(content)
    with pytest.raises(CellFileError, match=text) as caught:
        load_cell(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CellFileError, match=r"none\.toml: does not exist"):
        load_cell(tmp_path / "none.toml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_cell_loads_and_says_where_it_comes_from(path: Path) -> None:
    assert load_cell(path).cell.source
