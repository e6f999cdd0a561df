"""Open-circuit voltage tables."""

from __future__ import annotations

import numpy as np
import pytest

from bms_daemon.sim.ocv import OCV, Chemistry

SOC = np.linspace(-0.05, 1.10, 461)


@pytest.mark.parametrize("chemistry", ["lfp", "nmc"])
@pytest.mark.parametrize("branch", [-1.0, 0.0, 1.0])
def test_voltage_rises_with_state_of_charge_on_every_branch(chemistry: Chemistry, branch: float) -> None:
    volts = OCV[chemistry].rest_v(SOC, np.full(SOC.shape, branch))
    assert np.all(np.diff(volts) > 0.0)


@pytest.mark.parametrize("chemistry", ["lfp", "nmc"])
def test_charge_branch_lies_above_the_discharge_branch(chemistry: Chemistry) -> None:
    ones = np.ones(SOC.shape)
    gap_v = OCV[chemistry].rest_v(SOC, ones) - OCV[chemistry].rest_v(SOC, -ones)
    assert gap_v.min() > 0.005
    assert gap_v.max() < 0.25


@pytest.mark.parametrize(
    ("chemistry", "soc", "low_v", "high_v"),
    [
        ("lfp", 0.5, 3.25, 3.33),
        ("lfp", 0.0, 2.4, 2.8),
        ("lfp", 1.0, 3.35, 3.6),
        ("lfp", 1.03, 3.65, 3.9),
        ("nmc", 0.5, 3.6, 3.8),
        ("nmc", 0.0, 2.8, 3.1),
        ("nmc", 1.0, 4.15, 4.25),
        ("nmc", 1.08, 4.3, 4.6),
    ],
)
def test_voltage_is_typical_of_the_chemistry(chemistry: Chemistry, soc: float, low_v: float, high_v: float) -> None:
    volts = OCV[chemistry].rest_v(np.array([soc]), np.zeros(1))
    assert low_v < volts[0] < high_v


def test_entropic_slope_of_lfp_changes_sign_between_empty_and_half() -> None:
    slope = OCV["lfp"].entropic_v_per_k(np.array([0.05, 0.5]))
    assert slope[0] < -0.1e-3
    assert slope[1] > 0.0
