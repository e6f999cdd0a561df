"""From cells to their pack: the weakest decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.estimation.pack import pack_soc

SHARES = st.floats(0.0, 1.0)


def of(soc: list[float], capacity_ah: list[float] | float = 100.0, sigma: list[float] | float = 0.02):
    cells = len(soc)
    return pack_soc(np.array(soc), np.broadcast_to(sigma, cells), np.broadcast_to(capacity_ah, cells))


@pytest.mark.parametrize(
    ("soc", "capacity_ah", "pack", "usable_ah"),
    [
        ([0.6, 0.6, 0.6], 100.0, 0.6, 100.0),
        ([0.5, 0.6, 0.6], 100.0, 0.5 / 0.9, 90.0),
        ([0.0, 0.5], 100.0, 0.0, 50.0),
        ([1.0, 0.5], 100.0, 1.0, 50.0),
        ([0.5, 0.5], [80.0, 100.0], 0.5, 80.0),
    ],
    ids=["alike", "one is lower", "one is empty", "one is full", "one is smaller"],
)
def test_the_pack_is_empty_with_its_first_cell_and_full_with_its_first(
    soc: list[float], capacity_ah: list[float] | float, pack: float, usable_ah: float
) -> None:
    found = of(soc, capacity_ah)
    assert (found[0], found[2]) == (pytest.approx(pack, abs=1e-9), pytest.approx(usable_ah, abs=1e-6))


def test_where_nothing_is_usable_nothing_is_certain() -> None:
    assert of([0.0, 1.0]) == (0.0, 1.0, 0.0)
    assert of([0.002, 0.999])[:2] == (1.0, 1.0)


def test_a_cell_that_may_be_the_weakest_brings_its_uncertainty() -> None:
    assert of([0.3, 0.32, 0.5], sigma=[0.01, 0.2, 0.01])[1] > 0.1


def test_cells_that_are_alike_are_as_uncertain_as_one() -> None:
    assert of([0.3, 0.3, 0.3])[1] == pytest.approx(0.02)


def test_the_cells_that_decide_bring_their_own_uncertainty() -> None:
    assert of([0.3, 0.5, 0.4], sigma=[0.02, 0.02, 0.05])[1] < 0.03
    assert of([0.3, 0.5, 0.4], sigma=[0.2, 0.02, 0.02])[1] > 0.1


@given(st.lists(SHARES, min_size=1, max_size=8), SHARES)
def test_a_pack_is_a_share_with_an_uncertainty_that_is_one(soc: list[float], sigma: float) -> None:
    pack, pack_sigma, usable_ah = of(soc, sigma=sigma)
    assert 0.0 <= pack <= 1.0 and 0.0 <= pack_sigma <= 1.0 and 0.0 <= usable_ah <= 100.0 + 1e-9
