"""Heat against its own closed forms."""

from __future__ import annotations

import json
import tomllib
from math import exp

import numpy as np
import pytest
from estimation.cell_bench import cell_of
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.config.cellfile import CellFile, Heat
from bms_daemon.estimation.heat import allowed_a, generated_w, reversible_v, rise_k_per_w
from bms_daemon.offline.cellfit.write import cell_text

MASS = Heat(capacity_j_per_k=50.0, resistance_k_per_w=8.0)
MASSIVE = cell_of(heat=MASS.model_dump())


@pytest.mark.parametrize("span_s", [1.0, 400.0, 1e5])
def test_temperature_after_a_time_of_constant_heat(span_s: float) -> None:
    kelvin, step_s = 0.0, span_s / 20000
    for _ in range(20000):
        kelvin += step_s * (3.0 - kelvin / 8.0) / 50.0
    assert 3.0 * rise_k_per_w(MASSIVE, (span_s,))[0] == pytest.approx(kelvin, rel=1e-3)


def test_at_first_all_heat_stays_and_at_last_all_of_it_leaves() -> None:
    short, one, long = rise_k_per_w(MASSIVE, (1e-3, 400.0, 1e7))
    assert short == pytest.approx(1e-3 / 50.0, rel=1e-4)
    assert one == pytest.approx(8.0 * (1.0 - exp(-1.0)))
    assert long == pytest.approx(8.0)


@pytest.mark.parametrize("amps", [-6.0, 6.0])
def test_a_resistance_warms_in_both_directions(amps: float) -> None:
    heat_w = generated_w(np.array([amps]), np.array([0.05 * amps]), np.array([0.5]), np.array([25.0]), cell_of())
    assert heat_w[0] == pytest.approx(0.05 * 36.0)


def test_heat_of_reaction_takes_the_slope_of_its_side_of_the_reference() -> None:
    flat = [1.0] * 14
    cell = cell_of(ocv={"cold_v_per_k": [1e-4 * v for v in flat], "warm_v_per_k": [-3e-4 * v for v in flat]})
    found = reversible_v(cell, np.array([0.5, 0.5]), np.array([5.0, 35.0]))
    assert found == pytest.approx([278.15e-4, -308.15 * 3e-4])
    charging = generated_w(np.array([2.0]), np.array([0.0]), np.array([0.5]), np.array([5.0]), cell)
    assert charging[0] == pytest.approx(2.0 * 278.15e-4)


@given(st.floats(0.0, 1e3), st.floats(1e-6, 1.0), st.floats(0.0, 0.5))
def test_an_allowed_current_makes_just_the_spare_heat(spare_w: float, ohm: float, direct_v: float) -> None:
    amps = float(allowed_a(np.array([spare_w]), np.array([ohm]), np.array([direct_v]))[0])
    assert ohm * amps**2 + direct_v * amps == pytest.approx(spare_w, rel=1e-5, abs=1e-9)


def test_no_spare_heat_no_current() -> None:
    assert allowed_a(np.array([-5.0, 0.0]), np.array([0.01, 0.01]), np.array([0.0, 0.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("bad", [{"capacity_j_per_k": 0.0}, {"resistance_k_per_w": -1.0}, {"mass_kg": 1.0}])
def test_a_cell_file_with_impossible_heat_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        cell_of(heat={"capacity_j_per_k": 50.0, "resistance_k_per_w": 8.0} | bad)


@pytest.mark.parametrize("way", ["charge", "discharge"])
def test_temperatures_in_the_wrong_order_are_refused(way: str) -> None:
    with pytest.raises(ValueError, match=f"{way}_min_degc must be below cell.{way}_max_degc"):
        cell_of(cell={f"{way}_min_degc": 50.0, f"{way}_max_degc": 20.0})


def test_heat_is_written_as_it_is_read() -> None:
    file = MASSIVE.file
    again = CellFile.model_validate_json(json.dumps(tomllib.loads(cell_text(file, ["made up"]))))
    assert again == file
    assert "[heat]" not in cell_text(cell_of().file, [])
