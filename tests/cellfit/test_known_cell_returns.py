"""Recordings of a cell whose numbers are known give these numbers back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fitting import WITHIN, fit, total_ratio, voltage_error_v
from known_cell import LFP, KnownCell, cycle, write


def test_a_slow_discharge_and_cycles_give_the_cell_back(
    files: dict[str, Path], known: KnownCell, tmp_path: Path
) -> None:
    cell = fit(tmp_path / "cell.toml", "--ocv", files["slow"], "--cycles", files["cycle"])
    assert voltage_error_v(cell, known) < 0.002
    assert total_ratio(cell, known) == pytest.approx(1.0, abs=0.02)
    assert cell.file.hysteresis is None
    soc = np.array([0.5])
    assert cell.circuit(soc, np.array([25.0])).series_ohm == pytest.approx(known.series_ohm, rel=0.03)


def test_slow_discharges_and_pulses_alone_give_the_voltage_and_most_of_the_resistance(
    files: dict[str, Path], known: KnownCell, tmp_path: Path
) -> None:
    """Slow pairs are held small where no cycle shows them."""
    cell = fit(tmp_path / "cell.toml", "--ocv", files["slow"], "--pulses", files["pulses"])
    assert voltage_error_v(cell, known) < 0.005
    assert total_ratio(cell, known) == pytest.approx(0.95, abs=0.07)


def test_the_cold_is_found_with_its_own_resistances_and_the_change_of_the_voltage(
    files: dict[str, Path], known: KnownCell, tmp_path: Path
) -> None:
    recordings = ["--ocv", files["slow"], files["slow_cold"], "--cycles", files["cycle"], files["cold"]]
    cell = fit(tmp_path / "cell.toml", *recordings)
    assert cell.file.resistance.temperature_degc == (0.0, 25.0)
    for degc, tolerance in ((25.0, 0.04), (12.0, 0.06), (0.0, 0.06)):
        assert voltage_error_v(cell, known, degc) < 0.006
        assert total_ratio(cell, known, degc) == pytest.approx(1.0, abs=tolerance)


def test_lithium_iron_phosphate_gets_its_hysteresis(files: dict[str, Path], tmp_path: Path) -> None:
    recordings = ["--chemistry", "lfp", "--ocv", files["lfp"], "--cycles", files["lfp_cycle"]]
    cell = fit(tmp_path / "cell.toml", *recordings)
    assert voltage_error_v(cell, LFP) < 0.003
    branch_v = cell.circuit(WITHIN, np.full(WITHIN.size, 25.0)).hysteresis_v
    assert branch_v == pytest.approx(LFP.branch_v, abs=0.001)


def test_a_large_cell_is_fitted_as_well_as_a_small_one(tmp_path: Path) -> None:
    """A cell of 5 Ah, told as if each ampere were forty: resistances forty times smaller, all else the same."""
    known = KnownCell()
    played = cycle(known, 1)
    path = write(tmp_path / "large.csv", played.changed(current_a=40.0 * played.current_a))
    cell = fit(tmp_path / "cell.toml", "--capacity-ah", 200.0, "--cycles", path)
    small = fit(tmp_path / "small.toml", "--cycles", write(tmp_path / "small.csv", played))
    assert 40.0 * np.array(cell.file.resistance.series_ohm) == pytest.approx(
        np.array(small.file.resistance.series_ohm), rel=0.01
    )
    assert cell.file.ocv.voltage_v == pytest.approx(small.file.ocv.voltage_v, abs=0.001)
