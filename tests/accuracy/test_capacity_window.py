"""Capacity from part of a charge: a made-up aged cell is found, what says nothing is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_daemon.estimation.capacity import SHARES, moments
from bms_daemon.offline.accuracy.charge_window import (
    APART_V,
    COMMON_SIGMA,
    COUNT_SHARE,
    CURVE_AGED_V,
    CURVE_V,
    RISE_V,
    SAMPLES,
    SHARE_MOST,
    SHIFT_AGED_V,
    SHIFT_V,
    Curve,
    Family,
    common_sigma,
    informative,
    likelihood,
)

RATED_AH, CHARGED_AH = 2.0, 1.8
CHARGE = np.linspace(0.0, 1.0, 400)


def shape_v(charge: np.ndarray) -> np.ndarray:
    """A knee at the empty end, a plateau, a rise: as cells with graphite have it."""
    return 3.78 - 0.3 * np.exp(-charge / 0.03) + 0.42 * charge**3 + 0.06 * np.tanh((charge - 0.25) / 0.08)


def charge(share: float = 1.0, rise_v: float = 0.0, noise_v: float = 0.0) -> Curve:
    """Of a cell that has kept so much of what it could charge."""
    random = np.random.default_rng(2)
    return Curve.of(shape_v(CHARGE) + rise_v + random.normal(0.0, noise_v, 400), share * CHARGED_AH * CHARGE)


NEW = Family.of(charge(), RATED_AH)


def share_of(kept: float) -> float:
    """What is lost of the charge is lost of the capacity."""
    return 1.0 - (1.0 - kept) * CHARGED_AH / RATED_AH


@pytest.mark.parametrize("kept", [1.0, 0.9, 0.75, 0.6])
@pytest.mark.parametrize("ends_v", [(3.7, 4.0), (3.75, 4.05), (3.7, 4.15)])
def test_an_aged_cell_is_found_from_part_of_its_charge(kept: float, ends_v: tuple[float, float]) -> None:
    window = charge(kept, rise_v=0.25 * (1.0 - kept) + 0.003, noise_v=0.001).window(*ends_v)
    assert window is not None
    level = likelihood(NEW, window)
    mean, sigma = moments(level[None])
    assert informative(level)
    assert mean[0] == pytest.approx(share_of(kept), abs=min(0.02, 2.0 * sigma[0]))


def test_shape_finds_what_counting_alone_does_not() -> None:
    """The voltage has risen, so that another part of the curve lies in the window."""
    window, usual = charge(0.8, rise_v=0.05).window(3.7, 4.0), charge().window(3.7, 4.0)
    assert window is not None and usual is not None
    counted = float(window.charge_ah[-1] / usual.charge_ah[-1])
    mean, _ = moments(likelihood(NEW, window)[None])
    assert abs(counted - share_of(0.8)) > 0.03
    assert abs(mean[0] - share_of(0.8)) < 0.015


def test_a_straight_line_of_a_curve_does_not_tell_its_length() -> None:
    line = Curve(np.linspace(3.6, 4.2, 200), np.linspace(0.0, CHARGED_AH, 200))
    window = line.window(3.8, 3.9)
    assert window is not None
    assert not informative(likelihood(Family.of(line, RATED_AH), window))


def test_shift_and_start_are_integrated_out() -> None:
    """On a straight line by brute force: a sum over both of the likelihood with both given."""
    line = Curve(np.linspace(3.0, 4.5, 200), np.linspace(0.0, CHARGED_AH, 200))
    window = charge(0.9).window(3.8, 4.1)
    assert window is not None
    level = likelihood(Family.of(line, RATED_AH), window)
    picked = [int(np.argmin(np.abs(SHARES - share))) for share in (0.85, 0.9, 0.95)]
    summed = [_by_force(float(SHARES[at]), window) for at in picked]
    assert np.diff(level[picked]) == pytest.approx(np.diff(summed), abs=1e-3)


def _by_force(share: float, window: Curve) -> float:
    slope = (1.0 - (1.0 - share) * RATED_AH / CHARGED_AH) * CHARGED_AH / 1.5
    lost, independent = 1.0 - share, float(window.voltage_v[-1] - window.voltage_v[0]) / APART_V
    rise_v = RISE_V * lost * RATED_AH / CHARGED_AH
    variance = (slope * (CURVE_V + CURVE_AGED_V * lost)) ** 2 + (COUNT_SHARE * RATED_AH) ** 2
    shift_sigma_v = SHIFT_V + SHIFT_AGED_V * lost
    shift_v = np.linspace(-8.0, 8.0, 801)[:, None] * shift_sigma_v
    start_ah = np.linspace(-8.0, 8.0, 801)[None] * (window.charge_ah[-1] / 8.0 + 0.1)
    cost = (shift_v / shift_sigma_v) ** 2 + 0.0 * start_ah
    for volts, charged in zip(window.voltage_v, window.charge_ah, strict=True):
        off = charged - start_ah - slope * (volts - rise_v - shift_v - 3.0)
        cost = cost + independent / SAMPLES * off**2 / variance
    least = float(cost.min())
    summed = float(np.log(np.exp(-0.5 * (cost - least)).sum()))
    return summed - 0.5 * least - 0.5 * independent * float(np.log(variance))


def test_a_further_shift_counts_less_the_less_likely_it_is() -> None:
    """The same cell, its voltage risen by more than usual: its capacity becomes less likely, as much as it should."""
    window, shifted = charge(1.0).window(3.72, 4.12), charge(1.0, rise_v=3.0 * SHIFT_V).window(3.72, 4.12)
    assert window is not None and shifted is not None
    at = int(np.argmin(np.abs(SHARES - 1.0)))
    fall = float(likelihood(NEW, window)[at] - likelihood(NEW, shifted)[at])
    assert 1.0 < fall < 0.5 * 3.0**2


@pytest.mark.parametrize("extra_v", [-0.02, 0.02])
def test_a_voltage_that_rose_by_more_or_less_than_usual_is_borne(extra_v: float) -> None:
    window = charge(0.7, rise_v=0.25 * 0.3 + extra_v).window(3.72, 4.12)
    assert window is not None
    mean, _ = moments(likelihood(NEW, window)[None])
    assert mean[0] == pytest.approx(share_of(0.7), abs=0.012)


def test_no_cell_holds_much_more_than_when_it_was_new() -> None:
    window = charge(1.3).window(3.7, 4.0)
    assert window is not None
    assert (likelihood(NEW, window)[SHARES > SHARE_MOST] == -np.inf).all()


def test_a_window_is_only_there_when_the_charge_passes_it() -> None:
    curve = charge()
    assert curve.window(3.0, 3.9) is None
    assert curve.window(3.7, 4.5) is None
    assert curve.window(3.9, 3.7) is None
    window = curve.window(3.7, 3.9)
    assert window is not None
    assert window.voltage_v.size == SAMPLES and window.charge_ah[0] == 0.0


def test_a_voltage_that_falls_back_does_not_count() -> None:
    curve = Curve.of(np.array([3.5, 3.6, 3.55, np.nan, 3.6, 3.7]), np.arange(6.0))
    assert curve.voltage_v.tolist() == [3.5, 3.6]
    curve = Curve.of(np.array([3.5, 3.6, 3.55, 3.6, 3.7]), np.arange(5.0))
    assert curve.charge_ah.tolist() == [0.0, 1.0, 4.0]


def test_a_curve_is_cut_at_a_voltage() -> None:
    curve = Curve(np.array([3.5, 3.7, 3.9]), np.array([0.0, 1.0, 2.0]))
    cut = curve.up_to(3.8)
    assert (cut.voltage_v[-1], cut.charge_ah[-1]) == (3.8, pytest.approx(1.5))
    assert curve.up_to(4.0) is curve


def test_narrow_windows_have_more_in_common() -> None:
    wide, narrow = charge().window(3.7, 4.1), charge().window(3.7, 3.8)
    assert wide is not None and narrow is not None
    assert common_sigma(wide) == COMMON_SIGMA
    assert common_sigma(narrow) == pytest.approx(3.0 * COMMON_SIGMA)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 100.0), min_size=SAMPLES, max_size=SAMPLES), st.floats(2.0, 4.2), st.floats(0.01, 1.0))
def test_any_charge_through_a_window_has_a_likelihood(charged: list[float], low_v: float, width_v: float) -> None:
    level = likelihood(NEW, Curve(np.linspace(low_v, low_v + width_v, SAMPLES), np.sort(charged)))
    mean, sigma = moments(level[None])
    assert not np.isnan(level).any()
    assert np.isfinite(mean).all() and np.isfinite(sigma).all()
