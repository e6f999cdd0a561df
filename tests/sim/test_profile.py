"""What the outside world asks for."""

from __future__ import annotations

import gzip
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.sim.profile import Demand, OutsideWorld, demand_of, household_day_a
from bms_daemon.sim.settings import Constant, Household, Outside, Recorded, Steps


def test_a_constant_is_constant() -> None:
    demand = demand_of(Constant(current_a=-12.5))
    assert [demand(time_s) for time_s in (0.0, 1e6)] == [-12.5, -12.5]


@pytest.mark.parametrize(
    ("time_s", "current_a"), [(0.0, 0.0), (9.99, 0.0), (10.0, 30.0), (19.9, 30.0), (20.0, -5.0), (1e5, -5.0)]
)
def test_steps_hold_until_the_next(time_s: float, current_a: float) -> None:
    assert demand_of(Steps(points=((10.0, 30.0), (20.0, -5.0))))(time_s) == current_a


def test_steps_repeat_when_told() -> None:
    demand = demand_of(Steps(points=((0.0, 30.0), (20.0, -5.0)), period_s=40.0))
    assert [demand(time_s) for time_s in (5.0, 25.0, 45.0, 65.0)] == [30.0, -5.0, 30.0, -5.0]


# ------------------------------------------------------------------ household
def test_a_household_charges_at_noon_and_discharges_in_the_evening() -> None:
    demand = demand_of(Household(start_hour=0.0), seed=3)
    for day in range(5):
        noon, evening, night = (day * 86400.0 + hour * 3600.0 for hour in (12.0, 19.5, 2.0))
        assert demand(noon) > 5.0
        assert demand(evening) < -20.0
        assert -15.0 < demand(night) < -2.0


def test_days_differ_and_repeat_with_their_seed() -> None:
    first, again, next_day, other = (
        household_day_a(Household(), day, seed) for day, seed in ((0, 1), (0, 1), (1, 1), (0, 2))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - next_day).max() > 1.0
    assert np.abs(first - other).max() > 1.0


def test_a_household_starts_at_its_hour() -> None:
    from_midnight, from_noon = (demand_of(Household(start_hour=hour)) for hour in (0.0, 12.0))
    assert from_noon(0.0) == from_midnight(43200.0)


# ------------------------------------------------------------------ recorded
CSV = "when,amps,volts\n100.0,5.0,51\n101.0,-7.5,50\n103.0,0.0,50\n"


def write(folder: Path, text: str, packed: bool = False) -> Path:
    file = folder / ("run.csv.gz" if packed else "run.csv")
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return file


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_recording_plays_from_zero_with_its_own_names_and_sign(tmp_path: Path, packed: bool, sign: int) -> None:
    settings = {"file": write(tmp_path, CSV, packed), "time_column": "when", "current_column": "amps", "sign": sign}
    demand: Demand = demand_of(Recorded.model_validate(settings))
    assert [demand(time_s) for time_s in (0.0, 0.9, 1.0, 2.9, 3.0, 99.0)] == [
        sign * current_a for current_a in (5.0, 5.0, -7.5, -7.5, 0.0, 0.0)
    ]


def test_a_recording_repeats_when_told(tmp_path: Path) -> None:
    file = write(tmp_path, CSV)
    demand = demand_of(Recorded(file=file, time_column="when", current_column="amps", repeat=True))
    assert demand(3.5) == demand(0.5) == 5.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time_s,amps\n0,1\n", "current_a"),
        ("time_s,current_a\n", "no rows"),
        ("time_s,current_a\n1,1\n0,1\n", "backwards"),
        ("time_s,current_a\n0,nan\n", "not a number"),
        ("time_s,current_a\n0\n", "run.csv"),
        ("time_s,current_a\n0,one\n", "one"),
        ("", "no column"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        demand_of(Recorded(file=write(tmp_path, text)))


SCRAPS = ["0,1", "1,-2", "2", "x,y", ",", '"', "nan,1", "1e999,0", "0,1,2", "\x00", ""]


@given(rows=st.lists(st.sampled_from(SCRAPS), max_size=6))
def test_any_file_is_played_or_refused(rows: list[str]) -> None:
    with TemporaryDirectory() as folder:
        file = write(Path(folder), "\n".join(["time_s,current_a", *rows]))
        try:
            demand = demand_of(Recorded(file=file))
        except ValueError as refused:
            assert str(file) in str(refused)
        else:
            assert isfinite(demand(0.5))


def test_half_a_gzip_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.csv.gz"
    file.write_bytes(gzip.compress(b"time_s,current_a\n0,1\n")[:-12])
    with pytest.raises(ValueError, match=r"run\.csv\.gz"):
        demand_of(Recorded(file=file))


# ------------------------------------------------------------------ obedience
def outside(current_a: float, **settings: object) -> OutsideWorld:
    return OutsideWorld(Outside.model_validate(settings), demand_of(Constant(current_a=current_a)))


@pytest.mark.parametrize(("asked_a", "got_a"), [(50.0, 20.0), (10.0, 10.0), (-50.0, -30.0)])
def test_published_limits_bind_an_obedient_world(asked_a: float, got_a: float) -> None:
    world = outside(asked_a)
    assert world.current_a(0.0, 51.2, 0.01) == asked_a
    world.publish(20.0, 30.0)
    assert world.current_a(0.0, 51.2, 0.01) == got_a


def test_a_disobedient_world_takes_what_it_wants() -> None:
    world = outside(50.0, obey_limits=False)
    world.publish(0.0, 0.0)
    assert world.current_a(0.0, 51.2, 0.01) == 50.0


@pytest.mark.parametrize(
    ("asked_a", "emf_v", "got_a"),
    [
        (50.0, 55.0, 50.0),
        (50.0, 55.8, 20.0),
        (50.0, 57.0, 0.0),
        (-50.0, 50.0, -50.0),
        (-50.0, 46.1, -10.0),
        (-50.0, 45.0, 0.0),
    ],
)
def test_charger_and_load_respect_their_voltages(asked_a: float, emf_v: float, got_a: float) -> None:
    world = outside(asked_a, charge_stop_v=56.0, discharge_stop_v=46.0)
    assert world.current_a(0.0, emf_v, 0.01) == pytest.approx(got_a)


def test_an_override_passes_every_limit_but_not_physics() -> None:
    world = outside(0.0, charge_stop_v=50.0)
    world.publish(0.0, 0.0)
    world.override_a = 400.0
    assert world.current_a(0.0, 51.2, 0.01) == 400.0
    world.override_a = -inf
    assert world.current_a(0.0, 51.2, 0.01) == pytest.approx(-5120.0)


def test_a_short_circuit_draws_what_the_resistances_allow() -> None:
    world = outside(0.0)
    world.short_ohm = 0.006
    assert world.current_a(0.0, 51.2, 0.010) == pytest.approx(-3200.0)
