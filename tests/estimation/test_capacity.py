"""Capacity from noisy pairs: known truth is found where least squares is biased, and garbage moves nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.estimation.capacity import (
    FADE,
    LEAST_SIGMA,
    OUTLIER,
    SHARE_MAX,
    SHARE_MIN,
    SHARES,
    SYSTEMATIC,
    WALK,
    Belief,
    aged,
    learned,
    moments,
    pair_likelihood,
    unmeasured,
)

ANY = st.floats(allow_nan=True, allow_infinity=True)


def flat(share: float, sigma: float) -> Belief:
    return Belief(np.array([share]), np.array([sigma]))


def one(value: float) -> np.ndarray:
    return np.array([value])


def test_one_exact_pair_is_the_capacity() -> None:
    found = learned(flat(0.85, 0.05), pair_likelihood(one(-0.5), one(0.001), one(-0.4), one(0.001)))
    assert found.mean[0] == pytest.approx(0.8, abs=0.001)
    assert found.sigma[0] == LEAST_SIGMA


def test_with_an_exact_way_it_is_bayes_rule_of_two_normal_distributions() -> None:
    """Closed form: measured 0.84 with 0.03 beside believed 0.9 with 0.04."""
    found = learned(flat(0.9, 0.04), pair_likelihood(one(0.5), one(1e-9), one(0.42), one(0.015)))
    weights = np.array([1.0 / 0.04**2, 1.0 / 0.03**2])
    assert found.mean[0] == pytest.approx(weights @ [0.9, 0.84] / weights.sum(), abs=0.002)
    assert found.sigma[0] == pytest.approx(weights.sum() ** -0.5, rel=0.03)


@pytest.mark.parametrize("share", [0.7, 0.95])
def test_noise_on_both_sides_biases_least_squares_and_not_the_estimate(share: float) -> None:
    random, sigma, counted_sigma = np.random.default_rng(1), 0.06, 0.02
    true = random.uniform(0.15, 0.35, 600) * random.choice([-1.0, 1.0], 600)
    moved, counted = true + random.normal(0.0, sigma, 600), share * true + random.normal(0.0, counted_sigma, 600)
    belief = flat(0.85, 0.2)
    for x, y in zip(moved, counted, strict=True):
        belief = learned(belief, pair_likelihood(one(x), one(sigma), one(y), one(counted_sigma)))
    ordinary = float(moved @ counted / (moved @ moved))
    assert abs(ordinary / share - 1.0) > 0.04
    assert abs(belief.mean[0] / share - 1.0) < 0.015


def test_cells_are_learned_apart() -> None:
    belief = Belief(np.array([1.0, 0.9]), np.array([0.1, 0.1]))
    pairs = pair_likelihood(
        np.array([0.5, 0.5]), np.array([0.005, 0.005]), np.array([0.4, 0.45]), np.array([0.005, 0.005])
    )
    pairs[1] = np.nan
    found = learned(belief, pairs)
    assert found.mean[0] == pytest.approx(0.8, abs=0.01)
    assert (found.mean[1], found.sigma[1]) == (0.9, 0.1)


def test_a_pair_that_contradicts_everything_known_moves_little() -> None:
    found = learned(flat(0.95, 0.01), pair_likelihood(one(0.5), one(0.005), one(0.15), one(0.005)))
    assert found.mean[0] == pytest.approx(0.95, abs=0.005)
    assert OUTLIER > 0.0


def test_belief_widens_with_cycles_and_never_narrows() -> None:
    belief = flat(0.9, 0.02)
    assert aged(belief, 0.0).sigma[0] == pytest.approx(0.02)
    assert aged(belief, -5.0).sigma[0] == pytest.approx(0.02)
    assert aged(belief, 100.0).sigma[0] == pytest.approx(np.sqrt(0.02**2 + 100.0 * WALK**2 + (100.0 * FADE) ** 2))
    assert aged(belief, 1e9).sigma[0] == SHARE_MAX
    assert belief.told_sigma[0] == pytest.approx(np.hypot(0.02, SYSTEMATIC))


def test_moments_are_those_of_a_normal_distribution() -> None:
    mean, sigma = moments(-0.5 * ((SHARES[None] - 0.8) / 0.03) ** 2)
    assert (mean[0], sigma[0]) == (pytest.approx(0.8), pytest.approx(0.03, rel=1e-3))


@given(ANY, ANY, ANY, ANY)
def test_no_pair_makes_anything_but_a_belief_within_bounds(
    moved: float, moved_sigma: float, counted: float, counted_sigma: float
) -> None:
    with np.errstate(all="ignore"):
        pairs = pair_likelihood(one(moved), one(moved_sigma), one(counted), one(counted_sigma))
        found = learned(unmeasured(1), pairs)
    assert SHARE_MIN <= found.mean[0] <= SHARE_MAX
    assert LEAST_SIGMA <= found.sigma[0] <= SHARE_MAX
