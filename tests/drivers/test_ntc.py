"""Thermistors by the beta law."""

from __future__ import annotations

import numpy as np
import pytest

from bms_daemon.drivers import ntc


@pytest.mark.parametrize(
    ("ohm", "degc"),
    [(10e3, 25.0), (28.705e3, 0.0), (2.559e3, 65.0), (0.0, None), (1.0, None), (5e6, None)],
)
def test_a_thermistor_of_10_kohm_and_beta_3435(ohm: float, degc: float | None) -> None:
    (found,) = ntc.degc(np.array([ohm]), 10e3, 3435.0)
    assert np.isnan(found) if degc is None else found == pytest.approx(degc, abs=0.05)
